using System.Buffers.Binary;
using System.Text;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Images;

/// <summary>What a header says.</summary>
internal sealed record ImageInspection(ImageKind Kind, long VirtualSizeBytes);

/// <summary>
/// Our own header parser: decides what a file is before anything else may open it, and refuses what could make QEMU open something else. Bounded: it reads
/// a few KiB at known places, whatever the file's size. Refusals are <see cref="HostException"/> <see cref="HostError.ImageRefused"/> and name the trick.
/// </summary>
internal static class ImageInspector
{
    private const int HeadBytes = 4096;
    private const int IsoDescriptor = 16 * 2048;

    private static readonly (byte[] Magic, int Offset, string Format)[] Foreign =
    [
        ("KDMV"u8.ToArray(), 0, "vmdk"), ("COWD"u8.ToArray(), 0, "vmdk (COWD)"), ("# Disk DescriptorFile"u8.ToArray(), 0, "vmdk descriptor"), ("conectix"u8.ToArray(), 0, "vhd"),
        ("cxsparse"u8.ToArray(), 0, "vhd"), ("vhdxfile"u8.ToArray(), 0, "vhdx"), ("QED\0"u8.ToArray(), 0, "qed"), ([0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE], 0, "luks"), ("WithoutFreeSpace"u8.ToArray(), 0, "parallels"),
        ("WithouFreSpacExt"u8.ToArray(), 0, "parallels"), ("Bochs Virtual HD Image"u8.ToArray(), 0, "bochs"), ("OOOM"u8.ToArray(), 0, "cow"), ([0x7F, 0x10, 0xDA, 0xBE], 64, "vdi"),
        ("#!/bin/sh\n#V2.0 Format\n"u8.ToArray(), 0, "cloop"), ("koly"u8.ToArray(), 0, "dmg"),
    ];

    /// <param name="file">Seekable.</param>
    /// <param name="declared">What the sender says it is; anything else is refused.</param>
    public static ImageInspection Inspect(Stream file, ImageKind? declared)
    {
        var head = ReadAt(file, 0, HeadBytes);
        if (head.Length == 0)
            throw Refused("The file is empty.");
        var iso = IsIso(file);
        if (Starts(head, [0x51, 0x46, 0x49, 0xFB]))
        {
            if (iso)
                throw Refused("The file is a qcow2 image and an ISO 9660 file system at once (a polyglot).");
            return Checked(Qcow2Header.Inspect(head, file), declared);
        }

        foreach (var (magic, offset, format) in Foreign)
            if (head.Length >= offset + magic.Length && head.AsSpan(offset, magic.Length).SequenceEqual(magic))
                throw Refused($"The file is of the format {format}, which is not supported: convert it to qcow2 or raw first.", iso ? "It also looks like an ISO image (a polyglot)." : null);
        if (HasVhdFooter(file))
            throw Refused("The file ends with the footer of a vhd image: convert it to qcow2 or raw first.");
        if (iso)
            return Checked(new ImageInspection(ImageKind.Iso, file.Length), declared);
        if (IsKernel(head))
            return Checked(new ImageInspection(ImageKind.Kernel, file.Length), declared);
        if (IsInitrd(head))
            return Checked(new ImageInspection(ImageKind.Initrd, file.Length), declared);
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

    /// <summary>A volume descriptor of ECMA-119 at sector 16: type, `CD001`, version 1.</summary>
    private static bool IsIso(Stream file)
    {
        var descriptor = ReadAt(file, IsoDescriptor, 7);
        return descriptor.Length == 7 && descriptor.AsSpan(1, 5).SequenceEqual("CD001"u8) && descriptor[6] == 1;
    }

    /// <summary>A fixed vhd has its header only at the end, in the last 512 bytes.</summary>
    private static bool HasVhdFooter(Stream file) => file.Length >= 512 && ReadAt(file, file.Length - 512, 8).AsSpan().SequenceEqual("conectix"u8);

    /// <summary>bzImage (`HdrS` at 0x202, Linux's Documentation/arch/x86/boot.rst) or the arm64 Image (`ARM\x64` at 56).</summary>
    private static bool IsKernel(byte[] head) =>
        (head.Length > 0x206 && head.AsSpan(0x202, 4).SequenceEqual("HdrS"u8) && head[0x1FE] == 0x55 && head[0x1FF] == 0xAA) || (head.Length > 60 && head.AsSpan(56, 4).SequenceEqual("ARMd"u8));

    /// <summary>cpio newc, plain or behind a compressor that the kernel knows.</summary>
    private static bool IsInitrd(byte[] head) =>
        Starts(head, "070701"u8) || Starts(head, "070702"u8) || Starts(head, [0x1F, 0x8B]) || Starts(head, [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) || Starts(head, [0x28, 0xB5, 0x2F, 0xFD])
        || Starts(head, [0x02, 0x21, 0x4C, 0x18]) || Starts(head, [0x5D, 0x00, 0x00]) || Starts(head, [0x89, 0x4C, 0x5A, 0x4F]);

    private static bool Starts(byte[] head, ReadOnlySpan<byte> magic) => head.AsSpan().StartsWith(magic);
}

/// <summary>The qcow2 header (QEMU's docs/interop/qcow2.txt), read field by field.</summary>
internal static class Qcow2Header
{
    private const long MostVirtualBytes = 64L << 40;
    private const ulong KnownIncompatible = 0b1_1001; // dirty and corrupt are refused below; compression type and extended L2 are fine
    private const uint BackingFormat = 0xE2792ACA;
    private const uint DataFileName = 0x44415441;

    public static ImageInspection Inspect(ReadOnlySpan<byte> head, Stream file)
    {
        if (head.Length < 72)
            throw ImageInspector.Refused("The qcow2 header is cut off.");
        var version = U32(head, 4);
        if (version is not (2 or 3))
            throw ImageInspector.Refused($"qcow2 version {version} is unknown.");
        if (U64(head, 8) != 0 || U32(head, 16) != 0)
            throw ImageInspector.Refused($"The qcow2 image has a backing file ({BackingName(head, file)}): QEMU would open that file of the host.", "Flatten it first: qemu-img convert -O qcow2.");
        var clusterBits = U32(head, 20);
        if (clusterBits is < 9 or > 21)
            throw ImageInspector.Refused($"The qcow2 cluster size (2^{clusterBits}) is out of range.");
        var size = U64(head, 24);
        if (size is 0 or > (ulong)MostVirtualBytes)
            throw ImageInspector.Refused(size == 0 ? "The qcow2 image describes a disk of size 0." : "The qcow2 image claims a disk of more than 64 TiB.");
        if (U32(head, 32) != 0)
            throw ImageInspector.Refused("The qcow2 image is encrypted.", "Decrypt it first: qemu-img convert.");
        Tables(head, (int)clusterBits, size, file.Length, version);
        if (U32(head, 60) != 0)
            throw ImageInspector.Refused("The qcow2 image contains internal snapshots.", "Remove them first: qemu-img snapshot -d.");
        if (version == 3)
            Version3(head, file.Length);
        return new ImageInspection(ImageKind.Qcow2, (long)size);
    }

    private static void Tables(ReadOnlySpan<byte> head, int clusterBits, ulong size, long fileLength, uint version)
    {
        var extended = version == 3 && head.Length >= 80 && (U64(head, 72) & 0b1_0000) != 0;
        var entryBits = clusterBits - (extended ? 4 : 3);
        var entries = (ulong)U32(head, 36);
        // One L1 entry covers a whole L2 table of clusters.
        var needed = (size + (1UL << (entryBits + clusterBits)) - 1) >> (entryBits + clusterBits);
        if (entries < needed || entries > 32 * 1024 * 1024 / 8)
            throw ImageInspector.Refused($"The qcow2 L1 table has {entries} entries where the size needs {needed}.");
        Inside("L1 table", U64(head, 40), entries * 8, clusterBits, fileLength);
        var refcountClusters = U32(head, 56);
        if (refcountClusters is 0 or > (8u << 20))
            throw ImageInspector.Refused("The qcow2 refcount table has an impossible size.");
        Inside("refcount table", U64(head, 48), 8, clusterBits, fileLength);
    }

    private static void Version3(ReadOnlySpan<byte> head, long fileLength)
    {
        if (head.Length < 104)
            throw ImageInspector.Refused("The qcow2 header is cut off.");
        var incompatible = U64(head, 72);
        if ((incompatible & 0b001) != 0)
            throw ImageInspector.Refused("The qcow2 image was not closed properly (dirty bit).", "Repair it first: qemu-img check -r all.");
        if ((incompatible & 0b010) != 0)
            throw ImageInspector.Refused("The qcow2 image is marked corrupt.", "Repair it first: qemu-img check -r all.");
        if ((incompatible & 0b100) != 0)
            throw ImageInspector.Refused("The qcow2 image keeps its data in an external data file: QEMU would open that file of the host.", "Flatten it first: qemu-img convert -O qcow2.");
        if ((incompatible & ~KnownIncompatible) != 0)
            throw ImageInspector.Refused($"The qcow2 image uses unknown incompatible features (0x{incompatible:x}).");
        var refcountOrder = U32(head, 96);
        if (refcountOrder > 6)
            throw ImageInspector.Refused("The qcow2 refcount width is out of range.");
        var length = U32(head, 100);
        if (length is < 104 or > 4096 || length % 8 != 0 || length > fileLength)
            throw ImageInspector.Refused($"The qcow2 header length ({length}) is impossible.");
        Extensions(head, (int)length);
    }

    private static void Extensions(ReadOnlySpan<byte> head, int at)
    {
        while (at + 8 <= head.Length)
        {
            var (type, length) = (U32(head, at), U32(head, at + 4));
            if (type == 0)
                return;
            if (type == DataFileName)
                throw ImageInspector.Refused("The qcow2 image names an external data file: QEMU would open that file of the host.", "Flatten it first: qemu-img convert -O qcow2.");
            if (type == BackingFormat)
                throw ImageInspector.Refused("The qcow2 image names the format of a backing file.", "Flatten it first: qemu-img convert -O qcow2.");
            if (length > 65_536)
                throw ImageInspector.Refused("A qcow2 header extension has an impossible length.");
            at += 8 + (((int)length + 7) & ~7);
        }

        if (at < 4096 && head.Length < 4096)
            throw ImageInspector.Refused("The qcow2 header extensions are cut off.");
        throw ImageInspector.Refused("The qcow2 header extensions do not end within 4 KiB.");
    }

    private static void Inside(string what, ulong offset, ulong length, int clusterBits, long fileLength)
    {
        if (offset == 0 || offset % (1UL << clusterBits) != 0 || offset > (ulong)fileLength || offset + length > (ulong)fileLength)
            throw ImageInspector.Refused($"The qcow2 {what} lies outside of the file.", "Was the file cut off while it was copied?");
    }

    /// <summary>The name for the message only: shortened, without control characters.</summary>
    private static string BackingName(ReadOnlySpan<byte> head, Stream file)
    {
        var bytes = ImageInspector.ReadAt(file, (long)Math.Min(U64(head, 8), long.MaxValue), (int)Math.Min(U32(head, 16), 64));
        var name = new string([.. Encoding.UTF8.GetString(bytes).Where(c => !char.IsControl(c))]);
        return name.Length == 0 ? "unreadable name" : name.StartsWith("json:", StringComparison.Ordinal) ? $"a json: description, {name}" : name;
    }

    private static uint U32(ReadOnlySpan<byte> b, int at) => BinaryPrimitives.ReadUInt32BigEndian(b[at..]);

    private static ulong U64(ReadOnlySpan<byte> b, int at) => BinaryPrimitives.ReadUInt64BigEndian(b[at..]);
}
