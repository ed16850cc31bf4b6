using System.Buffers.Binary;

namespace KvmPortal.Host.Images;

/// <summary>
/// Disk formats that are refused by name. A file of one of them must never pass as raw: who later opens it with a format probe would follow what its header
/// names (CVE-2024-40767 was a "raw" image that was really something else).
/// </summary>
internal static class ForeignFormats
{
    private static readonly (byte[] Magic, int Offset, string Format)[] Magics =
    [
        ("KDMV"u8.ToArray(), 0, "vmdk"), ("COWD"u8.ToArray(), 0, "vmdk (COWD)"), ([0xBE, 0xBA, 0xFE, 0xCA, 0, 0, 0, 0], 0, "vmdk (SE sparse)"), ("conectix"u8.ToArray(), 0, "vhd"),
        ("cxsparse"u8.ToArray(), 0, "vhd"), ("vhdxfile"u8.ToArray(), 0, "vhdx"), ("QED\0"u8.ToArray(), 0, "qed"), ([0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE], 0, "luks"),
        ([0x53, 0x4B, 0x55, 0x4C, 0xBA, 0xBE], 0, "luks"), ("WithoutFreeSpace"u8.ToArray(), 0, "parallels"), ("WithouFreSpacExt"u8.ToArray(), 0, "parallels"),
        ("Bochs Virtual HD Image"u8.ToArray(), 0, "bochs"), ("OOOM"u8.ToArray(), 0, "cow"), ([0x7F, 0x10, 0xDA, 0xBE], 64, "vdi"), ("#!/bin/sh\n#V2.0 Format\n"u8.ToArray(), 0, "cloop"),
    ];

    /// <summary>What people upload by mistake; each would otherwise pass as a raw disk or an initial RAM disk, or be refused without a name.</summary>
    private static readonly (byte[] Magic, int Offset, string What)[] Archives =
    [
        ("PK\u0003\u0004"u8.ToArray(), 0, "zip"), ("ustar"u8.ToArray(), 257, "tar (or ova)"), ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], 0, "7z"), ("Rar!"u8.ToArray(), 0, "rar"),
    ];

    /// <summary>The disk format of this name, or null.</summary>
    /// <param name="head">The first 4 KiB.</param>
    /// <param name="tail">The last 512 bytes.</param>
    public static string? Find(ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail)
    {
        foreach (var (magic, offset, format) in Magics)
            if (Has(head, offset, magic))
                return format;
        if (IsVmdkDescriptor(head))
            return "vmdk descriptor";
        // A fixed vhd and a dmg have their header at the end only. Old Virtual PC wrote a vhd footer of just 511 bytes.
        if (tail.StartsWith("conectix"u8) || (tail.Length == 512 && tail[1..].StartsWith("conectix"u8)))
            return "vhd (fixed)";
        return tail.StartsWith("koly"u8) && tail.Length == 512 && BinaryPrimitives.ReadUInt32BigEndian(tail[8..]) == 512 ? "dmg" : null;
    }

    /// <summary>The archive format of this name, or null.</summary>
    public static string? FindArchive(ReadOnlySpan<byte> head)
    {
        foreach (var (magic, offset, what) in Archives)
            if (Has(head, offset, magic))
                return what;
        return null;
    }

    private static bool Has(ReadOnlySpan<byte> head, int offset, ReadOnlySpan<byte> magic) => head.Length >= offset + magic.Length && head.Slice(offset, magic.Length).SequenceEqual(magic);

    /// <summary>Text that names extents by path. The same rule as QEMU's probe: comments and blank lines, then `version=`.</summary>
    private static bool IsVmdkDescriptor(ReadOnlySpan<byte> head)
    {
        if (head.StartsWith("# Disk DescriptorFile"u8))
            return true;
        while (head.IndexOf((byte)'\n') is >= 0 and var end)
        {
            var line = head[..end].TrimEnd((byte)'\r');
            if (line.StartsWith("version="u8))
                return true;
            if (line.TrimStart((byte)' ').Length > 0 && line[0] != (byte)'#')
                return false;
            head = head[(end + 1)..];
        }

        return false;
    }
}
