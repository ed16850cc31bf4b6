using System.Buffers.Binary;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;

namespace KvmPortal.Host.Tests.Images;

public sealed class ImageInspectorTests
{
    private static readonly (string Name, string Says, Func<byte[]> Make)[] Bad =
    [
        ("empty", "empty", () => []),
        ("odd size", "multiple of 512", () => new byte[1000]),
        ("version 1", "version 1", () => Qcow2(b => U32(b, 4, 1))),
        ("version 4", "version 4", () => Qcow2(b => U32(b, 4, 4))),
        ("backing file", "/etc/shadow", () => Qcow2(b => Backing(b, "/etc/shadow"))),
        ("json backing", "json:", () => Qcow2(b => Backing(b, "json:{\"driver\":\"file\"}"))),
        ("backing size without offset", "backing file", () => Qcow2(b => U32(b, 16, 5))),
        ("backing offset outside", "backing file", () => Qcow2(b => U64(b, 8, ulong.MaxValue))),
        ("data file bit", "external data file", () => Qcow2(b => U64(b, 72, 4))),
        ("data file name", "external data file", () => Qcow2(b => Extension(b, 0x44415441, 8))),
        ("backing format", "format of a backing file", () => Qcow2(b => Extension(b, 0xE2792ACA, 8))),
        ("extension length", "impossible length", () => Qcow2(b => Extension(b, 0x1234, 0xFFFFFFF8))),
        ("extensions without end", "4 KiB", () => Qcow2(b => Extension(b, 0x1234, 60000))),
        ("dirty", "dirty", () => Qcow2(b => U64(b, 72, 1))),
        ("corrupt", "corrupt", () => Qcow2(b => U64(b, 72, 2))),
        ("unknown bit", "unknown incompatible", () => Qcow2(b => U64(b, 72, 32))),
        ("highest unknown bit", "unknown incompatible", () => Qcow2(b => U64(b, 72, 1UL << 63))),
        ("AES", "encrypted", () => Qcow2(b => U32(b, 32, 1))),
        ("LUKS inside", "encrypted", () => Qcow2(b => U32(b, 32, 2))),
        ("snapshots", "snapshots", () => Qcow2(b => U32(b, 60, 1))),
        ("cluster bits 8", "cluster size", () => Qcow2(b => U32(b, 20, 8))),
        ("cluster bits 22", "cluster size", () => Qcow2(b => U32(b, 20, 22))),
        ("cluster bits 2^32-1", "cluster size", () => Qcow2(b => U32(b, 20, uint.MaxValue))),
        ("size 0", "size 0", () => Qcow2(b => U64(b, 24, 0))),
        ("size 2^62", "64 TiB", () => Qcow2(b => U64(b, 24, 1UL << 62))),
        ("L1 too small", "L1 table has 0", () => Qcow2(b => U32(b, 36, 0))),
        ("L1 huge", "L1 table has", () => Qcow2(b => U32(b, 36, uint.MaxValue))),
        ("L1 outside", "L1 table lies outside", () => Qcow2(b => U64(b, 40, 1UL << 40))),
        ("L1 not aligned", "L1 table lies outside", () => Qcow2(b => U64(b, 40, 196609))),
        ("L1 at 0", "L1 table lies outside", () => Qcow2(b => U64(b, 40, 0))),
        ("refcount outside", "refcount table lies outside", () => Qcow2(b => U64(b, 48, 1UL << 40))),
        ("refcount clusters 0", "refcount table has an impossible", () => Qcow2(b => U32(b, 56, 0))),
        ("refcount clusters huge", "refcount table has an impossible", () => Qcow2(b => U32(b, 56, uint.MaxValue))),
        ("refcount order", "refcount width", () => Qcow2(b => U32(b, 96, 7))),
        ("header length 100", "header length", () => Qcow2(b => U32(b, 100, 100))),
        ("header length huge", "header length", () => Qcow2(b => U32(b, 100, uint.MaxValue))),
        ("cut at 4", "cut off", () => Qcow2(_ => { })[..4]),
        ("cut at 71", "cut off", () => Qcow2(_ => { })[..71]),
        ("cut before L1", "lies outside", () => Qcow2(_ => { })[..65536]),
        ("vmdk", "vmdk", () => Sectors("KDMV"u8)),
        ("vmdk descriptor", "vmdk descriptor", () => Sectors("# Disk DescriptorFile\nRW 63 FLAT \"/etc/shadow\" 0\n"u8)),
        ("vdi", "vdi", () => At(64, [0x7F, 0x10, 0xDA, 0xBE])),
        ("vhd header", "vhd", () => Sectors("conectix"u8)),
        ("vhd footer", "vhd", () => At(65536 - 512, "conectix"u8)),
        ("vhdx", "vhdx", () => Sectors("vhdxfile"u8)),
        ("qed", "qed", () => Sectors("QED\0"u8)),
        ("luks", "luks", () => Sectors([0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE])),
        ("parallels", "parallels", () => Sectors("WithoutFreeSpace"u8)),
        ("bochs", "bochs", () => Sectors("Bochs Virtual HD Image"u8)),
        ("polyglot", "polyglot", () => Qcow2(b => "\u0001CD001\u0001"u8.CopyTo(b.AsSpan(32768)))),
    ];

    public static TheoryData<string> Names => [.. Bad.Select(b => b.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_bad_image_is_refused_by_the_name_of_its_trick(string name)
    {
        var (_, says, make) = Bad.Single(b => b.Name == name);
        var refused = Assert.Throws<HostException>(() => ImageInspector.Inspect(new MemoryStream(make()), null));
        Assert.Equal(HostError.ImageRefused, refused.Error);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Good_files_are_what_they_are_and_nothing_else_that_is_declared()
    {
        (ImageKind, byte[])[] good =
        [
            (ImageKind.Qcow2, Qcow2(_ => { })), (ImageKind.Raw, new byte[65536]), (ImageKind.Iso, At(32768, "\u0001CD001\u0001"u8)), (ImageKind.Initrd, Sectors([0x1F, 0x8B])),
            (ImageKind.Kernel, At(0x1FE, [0x55, 0xAA, 0, 0, .. "HdrS"u8])),
        ];
        foreach (var (kind, bytes) in good)
        {
            Assert.Equal(kind, ImageInspector.Inspect(new MemoryStream(bytes), kind).Kind);
            foreach (var other in Enum.GetValues<ImageKind>().Where(k => k != kind))
                Assert.Contains("declared", Assert.Throws<HostException>(() => ImageInspector.Inspect(new MemoryStream(bytes), other)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Random_damage_throws_nothing_but_a_refusal()
    {
        var random = new Random(4711);
        var good = Qcow2(_ => { });
        for (var i = 0; i < 5000; i++)
        {
            var bytes = good[..(i % 3 == 0 ? random.Next(good.Length) : good.Length)];
            for (var n = random.Next(1, 9); n > 0 && bytes.Length > 4; n--)
                bytes[random.Next(4, Math.Min(bytes.Length, 160))] = (byte)random.Next(256);
            try
            {
                ImageInspector.Inspect(new MemoryStream(bytes), null);
            }
            catch (HostException e)
            {
                Assert.Equal(HostError.ImageRefused, e.Error);
            }
        }
    }

    /// <summary>A version 3 image of 1 MiB with 64 KiB clusters: header, refcount table, refcount block, L1 table.</summary>
    private static byte[] Qcow2(Action<byte[]> spoil)
    {
        var b = new byte[4 * 65536];
        U32(b, 0, 0x514649FB);
        U32(b, 4, 3);
        U32(b, 20, 16);
        U64(b, 24, 1 << 20);
        U32(b, 36, 1);
        U64(b, 40, 3 * 65536);
        U64(b, 48, 65536);
        U32(b, 56, 1);
        U32(b, 96, 4);
        U32(b, 100, 104);
        spoil(b);
        return b;
    }

    private static void Backing(byte[] b, string name)
    {
        U64(b, 8, 512);
        U32(b, 16, (uint)name.Length);
        System.Text.Encoding.ASCII.GetBytes(name).CopyTo(b, 512);
    }

    private static void Extension(byte[] b, uint type, uint length)
    {
        U32(b, 104, type);
        U32(b, 108, length);
    }

    private static byte[] Sectors(ReadOnlySpan<byte> start) => At(0, start);

    private static byte[] At(int offset, ReadOnlySpan<byte> bytes)
    {
        var file = new byte[65536];
        bytes.CopyTo(file.AsSpan(offset));
        return file;
    }

    private static void U32(byte[] b, int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(b.AsSpan(at), value);

    private static void U64(byte[] b, int at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(b.AsSpan(at), value);
}
