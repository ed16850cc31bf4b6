using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Images;

/// <summary>The qcow2 header (QEMU's docs/interop/qcow2.txt), read field by field, and the tables it points to, one level deep.</summary>
internal static class Qcow2Header
{
    private const long MostVirtualBytes = 64L << 40;
    private const ulong Dirty = 1, Corrupt = 2, ExternalData = 4, Compression = 8, ExtendedL2 = 16;
    private const uint BackingFormat = 0xE2792ACA, DataFileName = 0x44415441, Encryption = 0x0537BE77;
    private const ulong OffsetBits = 0x00FF_FFFF_FFFF_FE00;
    /// <summary>QEMU's own limits: 32 MiB of L1 table, 8 MiB of refcount table.</summary>
    private const ulong MostL1Bytes = 32 << 20, MostRefcountBytes = 8 << 20;

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
        if (U32(head, 60) != 0)
            throw ImageInspector.Refused("The qcow2 image contains internal snapshots.", "Remove them first: qemu-img snapshot -d.");
        var (features, headerLength) = version == 3 ? Version3(head, (int)clusterBits, file.Length) : (0UL, 72);
        Extensions(head, headerLength, (int)Math.Min(1L << (int)clusterBits, file.Length));
        Tables(head, (int)clusterBits, size, file, (features & ExtendedL2) != 0);
        // A size that is no multiple of 512 is legal; a disk that holds it has whole sectors.
        return new ImageInspection(ImageKind.Qcow2, (long)((size + 511) & ~511UL));
    }

    private static (ulong Features, int HeaderLength) Version3(ReadOnlySpan<byte> head, int clusterBits, long fileLength)
    {
        if (head.Length < 104)
            throw ImageInspector.Refused("The qcow2 header is cut off.");
        var features = U64(head, 72);
        if ((features & Dirty) != 0)
            throw ImageInspector.Refused("The qcow2 image was not closed properly (dirty bit).", "Repair it first: qemu-img check -r all.");
        if ((features & Corrupt) != 0)
            throw ImageInspector.Refused("The qcow2 image is marked corrupt.", "Repair it first: qemu-img check -r all.");
        if ((features & ExternalData) != 0)
            throw ImageInspector.Refused("The qcow2 image keeps its data in an external data file: QEMU would open that file of the host.", "Flatten it first: qemu-img convert -O qcow2.");
        if ((features & ~(Compression | ExtendedL2)) != 0)
            throw ImageInspector.Refused($"The qcow2 image uses unknown incompatible features (0x{features:x}).");
        if ((features & ExtendedL2) != 0 && clusterBits < 14)
            throw ImageInspector.Refused($"The qcow2 image has extended L2 entries, which need clusters of 16 KiB, not of 2^{clusterBits} bytes.");
        if (U32(head, 96) > 6)
            throw ImageInspector.Refused("The qcow2 refcount width is out of range.");
        var length = U32(head, 100);
        if (length is < 104 or > 4096 || length % 8 != 0 || length > fileLength || length > 1u << clusterBits)
            throw ImageInspector.Refused($"The qcow2 header length ({length}) is impossible.");
        var compression = length > 104 ? head[104] : 0;
        if (compression > 1 || (compression == 1) != ((features & Compression) != 0))
            throw ImageInspector.Refused($"The qcow2 compression type ({compression}) is unknown or contradicts the feature bits.");
        return (features, (int)length);
    }

    /// <summary>Walks the extensions to their end mark or to the end of the first cluster; unknown ones may be skipped by definition.</summary>
    private static void Extensions(ReadOnlySpan<byte> head, int at, int clusterEnd)
    {
        while (at + 8 <= Math.Min(head.Length, clusterEnd))
        {
            var (type, length) = (U32(head, at), U32(head, at + 4));
            switch (type)
            {
                case 0:
                    return;
                case DataFileName:
                    throw ImageInspector.Refused("The qcow2 image names an external data file: QEMU would open that file of the host.", "Flatten it first: qemu-img convert -O qcow2.");
                case BackingFormat:
                    throw ImageInspector.Refused("The qcow2 image names the format of a backing file.", "Flatten it first: qemu-img convert -O qcow2.");
                case Encryption:
                    throw ImageInspector.Refused("The qcow2 image has an encryption header.", "Decrypt it first: qemu-img convert.");
            }

            if (length > clusterEnd - at - 8)
                throw ImageInspector.Refused("A qcow2 header extension has an impossible length, or the header is cut off.");
            at += 8 + (((int)length + 7) & ~7);
        }

        if (at + 8 <= clusterEnd)
            throw ImageInspector.Refused("The qcow2 header extensions do not end within 4 KiB.");
    }

    private static void Tables(ReadOnlySpan<byte> head, int clusterBits, ulong size, Stream file, bool extendedL2)
    {
        // One L1 entry covers a whole L2 table of clusters.
        var coveredBits = clusterBits - (extendedL2 ? 4 : 3) + clusterBits;
        var entries = (ulong)U32(head, 36);
        var needed = (size + (1UL << coveredBits) - 1) >> coveredBits;
        if (entries < needed || entries * 8 > MostL1Bytes)
            throw ImageInspector.Refused($"The qcow2 L1 table has {entries} entries where the disk's size needs {needed} and {MostL1Bytes / 8} are possible.");
        Table("L1 table", "an L2 table", U64(head, 40), entries * 8, clusterBits, file, OffsetBits);
        var refcountBytes = (ulong)U32(head, 56) << clusterBits;
        if (refcountBytes is 0 or > MostRefcountBytes)
            throw ImageInspector.Refused("The qcow2 refcount table has an impossible size.");
        Table("refcount table", "a refcount block", U64(head, 48), refcountBytes, clusterBits, file, ~511UL);
    }

    /// <summary>The table lies in the file, and so does everything it points to: a file that was cut off shows here.</summary>
    private static void Table(string what, string target, ulong offset, ulong length, int clusterBits, Stream file, ulong offsetBits)
    {
        var (fileLength, clusterMask) = ((ulong)file.Length, (1UL << clusterBits) - 1);
        if (offset == 0 || (offset & clusterMask) != 0 || offset >= fileLength || length > fileLength - offset)
            throw ImageInspector.Refused($"The qcow2 {what} lies outside of the file.", "Was the file cut off while it was copied?");
        var buffer = ArrayPool<byte>.Shared.Rent(64 << 10);
        try
        {
            file.Position = (long)offset;
            for (var left = length; left > 0;)
            {
                var part = buffer.AsSpan(0, (int)Math.Min(left, 64 << 10));
                if (file.ReadAtLeast(part, part.Length, throwOnEndOfStream: false) < part.Length)
                    throw ImageInspector.Refused($"The qcow2 {what} is cut off.");
                left -= (ulong)part.Length;
                if (part.IndexOfAnyExcept((byte)0) < 0)
                    continue;
                for (var at = 0; at < part.Length; at += 8)
                    if ((U64(part, at) & offsetBits) is > 0 and var entry && ((entry & clusterMask) != 0 || entry >= fileLength))
                        throw ImageInspector.Refused($"The qcow2 {what} points to {target} outside of the file.", "Was the file cut off while it was copied?");
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
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
