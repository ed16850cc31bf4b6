using System.Buffers.Binary;

namespace KvmPortal.Host.Tests.Images;

/// <summary>A qcow2 file made byte by byte (QEMU's docs/interop/qcow2.txt), sound unless a test says otherwise.</summary>
internal sealed record CraftedQcow2
{
    public uint Version { get; init; } = 3;
    public ulong BackingOffset { get; init; }
    public byte[] BackingName { get; init; } = [];
    public int ClusterBits { get; init; } = 16;
    public ulong Size { get; init; } = 1 << 30;
    public uint Encryption { get; init; }
    public uint? L1Entries { get; init; }
    public ulong L1Offset { get; init; } = 3;
    public ulong L1Entry { get; init; }
    public ulong RefcountOffset { get; init; } = 1;
    public uint RefcountClusters { get; init; } = 1;
    public ulong? RefcountEntry { get; init; }
    public uint Snapshots { get; init; }
    public ulong Incompatible { get; init; }
    public uint RefcountOrder { get; init; } = 4;
    public uint HeaderLength { get; init; } = 112;
    public byte Compression { get; init; }
    public (uint Type, byte[] Data)[] Extensions { get; init; } = [];
    /// <summary>Cut the file after so many bytes.</summary>
    public int? CutAt { get; init; }
    /// <summary>Offsets are given in clusters; true: as they are, in bytes.</summary>
    public bool ByteOffsets { get; init; }

    public byte[] Build()
    {
        var cluster = 1UL << Math.Clamp(ClusterBits, 9, 21);
        ulong At(ulong offset) => ByteOffsets ? offset : offset * cluster;
        // Header, refcount table, refcount block, L1 table: one cluster each.
        var file = new byte[4 * Math.Max(cluster, 4096)];
        "QFI\u00fb"u8[..3].CopyTo(file);
        file[3] = 0xFB;
        U32(file, 4, Version);
        U64(file, 8, BackingOffset);
        U32(file, 16, (uint)BackingName.Length);
        U32(file, 20, (uint)ClusterBits);
        U64(file, 24, Size);
        U32(file, 32, Encryption);
        U32(file, 36, L1Entries ?? (uint)((Size + (cluster * cluster / 8) - 1) / (cluster * cluster / 8)));
        U64(file, 40, At(L1Offset));
        U64(file, 48, At(RefcountOffset));
        U32(file, 56, RefcountClusters);
        U32(file, 60, Snapshots);
        var at = 72;
        if (Version >= 3)
        {
            U64(file, 72, Incompatible);
            U32(file, 96, RefcountOrder);
            U32(file, 100, HeaderLength);
            file[104] = Compression;
            at = (int)Math.Clamp(HeaderLength, 104, 4096);
        }

        foreach (var (type, data) in Extensions)
        {
            U32(file, at, type);
            U32(file, at + 4, (uint)data.Length);
            data.CopyTo(file, at + 8);
            at += 8 + ((data.Length + 7) & ~7);
        }

        if (BackingName.Length > 0 && BackingOffset < 65_000)
            BackingName.CopyTo(file, (int)BackingOffset);
        U64(file, (int)cluster, RefcountEntry ?? 2 * cluster);
        U64(file, (int)(3 * cluster), L1Entry);
        return CutAt is { } end ? file[..end] : file;
    }

    /// <summary>A small file that describes a large disk full of content: every L1 entry names one L2 table, and every entry of that one cluster.</summary>
    public static byte[] Repeating(long size)
    {
        const int cluster = 1 << 16;
        const ulong used = 1UL << 63;
        var file = new CraftedQcow2 { Size = (ulong)size }.Build().Concat(new byte[2 * cluster]).ToArray();
        for (var entry = 0; entry < size / cluster * 8 / cluster; entry++)
            U64(file, (3 * cluster) + (8 * entry), used | (4 * cluster));
        for (var entry = 0; entry < cluster / 8; entry++)
            U64(file, (4 * cluster) + (8 * entry), used | (5 * cluster));
        file.AsSpan(5 * cluster).Fill(0xAA);
        return file;
    }

    private static void U32(byte[] file, int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(at), value);

    private static void U64(byte[] file, int at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(at), value);
}
