using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Images;

/// <summary>What people and attackers send: each hostile file with words that its refusal must contain, each good one with what it is.</summary>
internal static class ImageCorpus
{
    private const uint BackingFormat = 0xE2792ACA, DataFile = 0x44415441, FeatureNames = 0x6803F857, Encryption = 0x0537BE77, Bitmaps = 0x23852875;

    public static IReadOnlyDictionary<string, (Func<byte[]> Make, string Says)> Hostile { get; } = new Dictionary<string, (Func<byte[]>, string)>
    {
        ["empty"] = (() => [], "empty"),
        ["qcow2: backing file by absolute path"] = (Backed("/etc/shadow"), "backing file (/etc/shadow)"),
        ["qcow2: backing file by relative path"] = (Backed("../../other.qcow2"), "backing file (../../other.qcow2)"),
        ["qcow2: json backing"] = (Backed("json:{\"driver\":\"file\",\"filename\":\"/etc/shadow\"}"), "json: description"),
        ["qcow2: nbd backing"] = (Backed("nbd:127.0.0.1:10809"), "backing file (nbd:127"),
        ["qcow2: http backing"] = (Backed("http://169.254.169.254/latest"), "backing file (http://169"),
        ["qcow2: backing name with terminal escapes"] = (Backed("\u001b[2J\u0007x"), "backing file ([2Jx)"),
        ["qcow2: backing offset without a length"] = (new CraftedQcow2 { BackingOffset = 4096 }.Build, "backing file"),
        ["qcow2: backing offset beyond the file"] = (new CraftedQcow2 { BackingOffset = ulong.MaxValue - 7 }.Build, "backing file (unreadable name)"),
        ["qcow2 v2: backing file"] = (new CraftedQcow2 { Version = 2, BackingOffset = 1024, BackingName = "/etc/shadow"u8.ToArray() }.Build, "backing file (/etc/shadow)"),
        ["qcow2: external data file bit"] = (new CraftedQcow2 { Incompatible = 4 }.Build, "external data file"),
        ["qcow2: external data file name only"] = (Extended(DataFile, "/etc/shadow"), "names an external data file"),
        ["qcow2: external data file behind the feature names"] = (new CraftedQcow2 { Extensions = [(FeatureNames, new byte[384]), (DataFile, "/etc/shadow"u8.ToArray())] }.Build, "names an external data file"),
        ["qcow2 v2: external data file name"] = (new CraftedQcow2 { Version = 2, Extensions = [(DataFile, "/etc/shadow"u8.ToArray())] }.Build, "names an external data file"),
        ["qcow2: backing format without a backing file"] = (Extended(BackingFormat, "raw"), "format of a backing file"),
        ["qcow2: encryption header"] = (Extended(Encryption, "0123456789abcdef"), "encryption header"),
        ["qcow2: aes"] = (new CraftedQcow2 { Encryption = 1 }.Build, "encrypted"),
        ["qcow2: luks inside"] = (new CraftedQcow2 { Encryption = 2 }.Build, "encrypted"),
        ["qcow2: dirty"] = (new CraftedQcow2 { Incompatible = 1 }.Build, "dirty bit"),
        ["qcow2: corrupt"] = (new CraftedQcow2 { Incompatible = 2 }.Build, "marked corrupt"),
        ["qcow2: unknown incompatible feature"] = (new CraftedQcow2 { Incompatible = 1UL << 40 }.Build, "unknown incompatible features (0x10000000000)"),
        ["qcow2: snapshots"] = (new CraftedQcow2 { Snapshots = 1 }.Build, "internal snapshots"),
        ["qcow2: version 1"] = (new CraftedQcow2 { Version = 1 }.Build, "version 1 is unknown"),
        ["qcow2: version 4"] = (new CraftedQcow2 { Version = 4 }.Build, "version 4 is unknown"),
        ["qcow2: clusters too small"] = (new CraftedQcow2 { ClusterBits = 8 }.Build, "cluster size (2^8)"),
        ["qcow2: clusters too large"] = (new CraftedQcow2 { ClusterBits = 63 }.Build, "cluster size (2^63)"),
        ["qcow2: size 0"] = (new CraftedQcow2 { Size = 0 }.Build, "size 0"),
        ["qcow2: size 2^62"] = (new CraftedQcow2 { Size = 1UL << 62, L1Entries = 1 }.Build, "more than 64 TiB"),
        ["qcow2: negative size"] = (new CraftedQcow2 { Size = ulong.MaxValue, L1Entries = 1 }.Build, "more than 64 TiB"),
        ["qcow2: L1 table overflows"] = (new CraftedQcow2 { L1Entries = uint.MaxValue }.Build, "L1 table has 4294967295 entries"),
        ["qcow2: L1 table too short for the size"] = (new CraftedQcow2 { Size = 8UL << 40, L1Entries = 1 }.Build, "L1 table has 1 entries"),
        ["qcow2: L1 table in the header"] = (new CraftedQcow2 { L1Offset = 0 }.Build, "L1 table lies outside"),
        ["qcow2: L1 table not aligned"] = (new CraftedQcow2 { ByteOffsets = true, L1Offset = 65_544, RefcountOffset = 65_536 }.Build, "L1 table lies outside"),
        ["qcow2: L1 table beyond the file"] = (new CraftedQcow2 { L1Offset = 1 << 20 }.Build, "L1 table lies outside"),
        ["qcow2: L1 offset negative"] = (new CraftedQcow2 { ByteOffsets = true, L1Offset = ulong.MaxValue << 16, RefcountOffset = 65_536 }.Build, "L1 table lies outside"),
        ["qcow2: L1 entry beyond the file"] = (new CraftedQcow2 { L1Entry = (1UL << 63) | (1UL << 40) }.Build, "L1 table points to an L2 table outside"),
        ["qcow2: L1 entry not aligned"] = (new CraftedQcow2 { L1Entry = (1UL << 63) | 512 }.Build, "L1 table points to an L2 table outside"),
        ["qcow2: refcount table beyond the file"] = (new CraftedQcow2 { RefcountOffset = 1 << 20 }.Build, "refcount table lies outside"),
        ["qcow2: refcount table of no size"] = (new CraftedQcow2 { RefcountClusters = 0 }.Build, "refcount table has an impossible size"),
        ["qcow2: refcount table of huge size"] = (new CraftedQcow2 { RefcountClusters = uint.MaxValue }.Build, "refcount table has an impossible size"),
        ["qcow2: refcount block beyond the file"] = (new CraftedQcow2 { RefcountEntry = 1UL << 50 }.Build, "refcount table points to a refcount block outside"),
        ["qcow2: refcount width"] = (new CraftedQcow2 { RefcountOrder = 7 }.Build, "refcount width"),
        ["qcow2: header length too short"] = (new CraftedQcow2 { HeaderLength = 72 }.Build, "header length (72)"),
        ["qcow2: header length odd"] = (new CraftedQcow2 { HeaderLength = 109 }.Build, "header length (109)"),
        ["qcow2: header longer than its cluster"] = (new CraftedQcow2 { ClusterBits = 9, Size = 1 << 20, HeaderLength = 1024 }.Build, "header length (1024)"),
        ["qcow2: compression type unknown"] = (new CraftedQcow2 { Incompatible = 8, Compression = 9 }.Build, "compression type (9)"),
        ["qcow2: compression type without its bit"] = (new CraftedQcow2 { Compression = 1 }.Build, "compression type (1)"),
        ["qcow2: extended L2 with small clusters"] = (new CraftedQcow2 { Incompatible = 16, ClusterBits = 12, Size = 1 << 20 }.Build, "extended L2"),
        ["qcow2: extension longer than the header"] = (EndlessExtension, "impossible length"),
        ["qcow2: extensions without an end"] = (new CraftedQcow2 { Extensions = [.. Enumerable.Repeat((0x1234u, new byte[1000]), 8)] }.Build, "do not end"),
        ["qcow2: cut off in the header"] = (new CraftedQcow2 { CutAt = 60 }.Build, "cut off"),
        ["qcow2: cut off in the version 3 fields"] = (new CraftedQcow2 { CutAt = 90 }.Build, "cut off"),
        ["qcow2: cut off behind the header"] = (new CraftedQcow2 { CutAt = 65_536 }.Build, "outside of the file"),
        ["qcow2: cut off before the L1 table"] = (new CraftedQcow2 { CutAt = 3 * 65_536 }.Build, "outside of the file"),
        ["polyglot: iso and qcow2"] = (() => Iso(new CraftedQcow2().Build()), "polyglot"),
        ["polyglot: iso and vmdk"] = (() => Iso(Magic("KDMV")), "polyglot"),
        ["polyglot: iso and vdi"] = (() => Iso(Magic("", 64, 0x7F, 0x10, 0xDA, 0xBE)), "polyglot"),
        ["vmdk sparse"] = (() => Magic("KDMV"), "vmdk"),
        ["vmdk COWD"] = (() => Magic("COWD"), "vmdk (COWD)"),
        ["vmdk SE sparse"] = (() => Magic("", 0, 0xBE, 0xBA, 0xFE, 0xCA), "vmdk (SE sparse)"),
        ["vmdk descriptor"] = (() => Magic("# Disk DescriptorFile\nversion=1\nRW 63 FLAT \"/etc/shadow\" 0\n"), "vmdk descriptor"),
        ["vmdk descriptor in disguise"] = (() => Magic("# nothing to see\r\n   \n\n#\nversion=1\nRW 63 FLAT \"/etc/shadow\" 0\n"), "vmdk descriptor"),
        ["vdi"] = (() => Magic("<<< Oracle VM VirtualBox Disk Image >>>\n", 64, 0x7F, 0x10, 0xDA, 0xBE), "vdi"),
        ["vhd dynamic"] = (() => Magic("conectix"), "vhd"),
        ["vhd fixed"] = (() => Tail("conectix"u8), "vhd (fixed)"),
        ["vhd fixed with a short footer"] = (() => Tail("\0conectix"u8), "vhd (fixed)"),
        ["vhdx"] = (() => Magic("vhdxfile"), "vhdx"),
        ["qed"] = (() => Magic("QED\0"), "qed"),
        ["luks"] = (() => Magic("LUKS", 4, 0xBA, 0xBE), "luks"),
        ["parallels"] = (() => Magic("WithoutFreeSpace"), "parallels"),
        ["parallels extended"] = (() => Magic("WithouFreSpacExt"), "parallels"),
        ["bochs"] = (() => Magic("Bochs Virtual HD Image"), "bochs"),
        ["cow"] = (() => Magic("OOOM"), "cow"),
        ["cloop"] = (() => Magic("#!/bin/sh\n#V2.0 Format\nmodprobe cloop"), "cloop"),
        ["dmg"] = (() => Tail([.. "koly"u8, 0, 0, 0, 4, 0, 0, 2, 0]), "dmg"),
        ["zip"] = (() => Magic("PK\u0003\u0004"), "zip archive"),
        ["ova"] = (() => Magic("machine.ovf", 257, "ustar"u8.ToArray()), "tar (or ova) archive"),
        ["disk behind gzip"] = (() => Gzip(new byte[1 << 16]), "gzip-compressed"),
        ["raw of odd size"] = (() => new byte[1000], "not a multiple of 512"),
        ["text"] = (() => "<!doctype html><title>404 Not Found</title>"u8.ToArray(), "not a multiple of 512"),
    };

    public static IReadOnlyDictionary<string, (Func<byte[]> Make, ImageKind Kind, long VirtualSize)> Good { get; } = new Dictionary<string, (Func<byte[]>, ImageKind, long)>
    {
        ["qcow2 v3"] = (new CraftedQcow2().Build, ImageKind.Qcow2, 1 << 30),
        ["qcow2 v2"] = (new CraftedQcow2 { Version = 2 }.Build, ImageKind.Qcow2, 1 << 30),
        ["qcow2 with a short header"] = (new CraftedQcow2 { HeaderLength = 104 }.Build, ImageKind.Qcow2, 1 << 30),
        ["qcow2 with feature names and bitmaps"] = (new CraftedQcow2 { Extensions = [(FeatureNames, new byte[384]), (Bitmaps, new byte[24]), (0, [])] }.Build, ImageKind.Qcow2, 1 << 30),
        ["qcow2 with zstd"] = (new CraftedQcow2 { Incompatible = 8, Compression = 1 }.Build, ImageKind.Qcow2, 1 << 30),
        ["qcow2 of odd size"] = (new CraftedQcow2 { Size = 1025 }.Build, ImageKind.Qcow2, 1536),
        ["raw"] = (() => new byte[1024], ImageKind.Raw, 1024),
        ["raw with an MBR"] = (() => Magic("", 510, 0x55, 0xAA), ImageKind.Raw, 1 << 16),
        ["iso"] = (() => Iso(new byte[1 << 16]), ImageKind.Iso, 1 << 16),
        ["iso with an MBR"] = (() => Iso(Magic("", 510, 0x55, 0xAA)), ImageKind.Iso, 1 << 16),
        ["bzImage"] = (() => Magic("", 510, [0x55, 0xAA, 0xEB, 0x66, .. "HdrS"u8]), ImageKind.Kernel, 1 << 16),
        ["arm64 Image"] = (() => Magic("MZ", 56, "ARMd"u8.ToArray()), ImageKind.Kernel, 1 << 16),
        ["initrd, cpio"] = (() => "070701000000"u8.ToArray(), ImageKind.Initrd, 12),
        ["initrd, gzip"] = (() => Gzip("070701000000"u8.ToArray()), ImageKind.Initrd, Gzip("070701000000"u8.ToArray()).Length),
        ["initrd, xz"] = (() => [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 0, 4], ImageKind.Initrd, 8),
        ["initrd, zstd"] = (() => [0x28, 0xB5, 0x2F, 0xFD, 4, 0], ImageKind.Initrd, 6),
        ["initrd, lz4"] = (() => [0x02, 0x21, 0x4C, 0x18, 0], ImageKind.Initrd, 5),
    };

    public static byte[] Gzip(byte[] content)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
            gzip.Write(content);
        return packed.ToArray();
    }

    private static Func<byte[]> Backed(string name) => new CraftedQcow2 { BackingOffset = 1024, BackingName = Encoding.UTF8.GetBytes(name) }.Build;

    private static Func<byte[]> Extended(uint type, string data) => new CraftedQcow2 { Extensions = [(type, Encoding.UTF8.GetBytes(data))] }.Build;

    private static byte[] EndlessExtension()
    {
        var file = new CraftedQcow2 { Extensions = [(0x1234, new byte[8])] }.Build();
        BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(116), 0xFFFFFFF8);
        return file;
    }

    /// <summary>64 KiB that begin with a text and have some bytes elsewhere.</summary>
    private static byte[] Magic(string text, int at = 0, params byte[] bytes)
    {
        var file = new byte[1 << 16];
        Encoding.Latin1.GetBytes(text).CopyTo(file, 0);
        bytes.CopyTo(file, at);
        return file;
    }

    private static byte[] Tail(ReadOnlySpan<byte> footer)
    {
        var file = new byte[1 << 16];
        footer.CopyTo(file.AsSpan(file.Length - 512));
        return file;
    }

    private static byte[] Iso(byte[] file)
    {
        file[32768] = 1;
        "CD001"u8.CopyTo(file.AsSpan(32769));
        file[32774] = 1;
        return file;
    }
}
