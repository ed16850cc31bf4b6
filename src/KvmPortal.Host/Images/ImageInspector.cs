using System.IO.Compression;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Images;

/// <summary>What a header says.</summary>
internal sealed record ImageInspection(ImageKind Kind, long VirtualSizeBytes);

/// <summary>
/// Our own header parser: decides what a file is before anything else may open it, and refuses what could make QEMU open something else. Bounded: it reads
/// a few KiB at known places and a qcow2's top tables (at most 96 MiB, 64 KiB at a time), whatever the file's size. Refusals are <see cref="HostException"/>
/// <see cref="HostError.ImageRefused"/> and name the trick; nothing else is thrown for any content.
/// </summary>
internal static class ImageInspector
{
    private const int HeadBytes = 4096;
    private const int IsoDescriptor = 16 * 2048;

    /// <param name="file">Seekable.</param>
    /// <param name="declared">What the sender says it is; anything else is refused.</param>
    public static ImageInspection Inspect(Stream file, ImageKind? declared)
    {
        var head = ReadAt(file, 0, HeadBytes);
        if (head.Length == 0)
            throw Refused("The file is empty.");
        var tail = ReadAt(file, Math.Max(0, file.Length - 512), 512);
        var iso = IsIso(file);
        if (Starts(head, [0x51, 0x46, 0x49, 0xFB]))
        {
            if (iso)
                throw Refused("The file is a qcow2 image and an ISO 9660 file system at once (a polyglot).");
            return Checked(Qcow2Header.Inspect(head, file), declared);
        }

        if (ForeignFormats.Find(head, tail) is { } format)
            throw Refused(iso ? $"The file is a {format} image and an ISO 9660 file system at once (a polyglot)." : $"The file is of the format {format}, which is not supported.", "Convert it to qcow2 or raw first.");
        if (iso)
            return Checked(new ImageInspection(ImageKind.Iso, file.Length), declared);
        if (IsKernel(head))
            return Checked(new ImageInspection(ImageKind.Kernel, file.Length), declared);
        if (IsInitrd(head))
            return Checked(new ImageInspection(ImageKind.Initrd, file.Length), declared);
        if (ForeignFormats.FindArchive(head) is { } archive)
            throw Refused($"The file is a {archive} archive.", "Unpack it and send the image that is in it.");
        if (file.Length % 512 != 0)
            throw Refused("The file has no header of a known format, and its size is not a multiple of 512 bytes, so it is no raw disk either.", "Was it cut off while it was copied?");
        return Checked(new ImageInspection(ImageKind.Raw, file.Length), declared);
    }

    internal static HostException Refused(string message, string? hint = null) => new(HostError.ImageRefused, message) { Hint = hint };

    /// <summary>Reads up to <paramref name="count"/> bytes at an offset; fewer at the end of the file.</summary>
    internal static byte[] ReadAt(Stream file, long offset, int count)
    {
        if (offset >= file.Length)
            return [];
        file.Position = offset;
        var buffer = new byte[(int)Math.Min(count, file.Length - offset)];
        return buffer[..file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false)];
    }

    private static ImageInspection Checked(ImageInspection found, ImageKind? declared) =>
        declared is { } said && said != found.Kind ? throw Refused($"The file was declared as {said.ToString().ToLowerInvariant()}, but its header says {found.Kind.ToString().ToLowerInvariant()}.") : found;

    /// <summary>A volume descriptor of ECMA-119 at sector 16: type, `CD001`, version 1. What stands before it, such as an MBR, is normal (hybrid images).</summary>
    private static bool IsIso(Stream file)
    {
        var descriptor = ReadAt(file, IsoDescriptor, 7);
        return descriptor.Length == 7 && descriptor.AsSpan(1, 5).SequenceEqual("CD001"u8) && descriptor[6] == 1;
    }

    /// <summary>bzImage (`HdrS` at 0x202, Linux's Documentation/arch/x86/boot.rst) or the arm64 Image (`ARM\x64` at 56).</summary>
    private static bool IsKernel(byte[] head) =>
        (head.Length > 0x206 && head.AsSpan(0x202, 4).SequenceEqual("HdrS"u8) && head[0x1FE] == 0x55 && head[0x1FF] == 0xAA) || (head.Length > 60 && head.AsSpan(56, 4).SequenceEqual("ARMd"u8));

    /// <summary>cpio newc, plain or behind a compressor that the kernel knows. Behind gzip, what is inside is looked at: a packed disk is a common mistake.</summary>
    private static bool IsInitrd(byte[] head)
    {
        if (Starts(head, [0x1F, 0x8B]))
            return Unpacked(head) is not { } inside || IsCpio(inside) ? true : throw Refused("The file is gzip-compressed, and what is inside is no initial RAM disk (cpio).", "Unpack it first (gunzip).");
        return IsCpio(head) || Starts(head, [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) || Starts(head, [0x28, 0xB5, 0x2F, 0xFD]) || Starts(head, [0x02, 0x21, 0x4C, 0x18])
            || Starts(head, [0x5D, 0x00, 0x00]) || Starts(head, [0x89, 0x4C, 0x5A, 0x4F]);
    }

    private static bool IsCpio(byte[] head) => Starts(head, "070701"u8) || Starts(head, "070702"u8);

    /// <summary>The first bytes of a gzip stream, of which only the head is at hand; null when they cannot be unpacked.</summary>
    private static byte[]? Unpacked(byte[] head)
    {
        try
        {
            using var gzip = new GZipStream(new MemoryStream(head), CompressionMode.Decompress);
            var first = new byte[6];
            return first[..gzip.ReadAtLeast(first, first.Length, throwOnEndOfStream: false)];
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    private static bool Starts(byte[] head, ReadOnlySpan<byte> magic) => head.AsSpan().StartsWith(magic);
}
