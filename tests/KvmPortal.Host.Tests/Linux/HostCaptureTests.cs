using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Inventory;
using KvmPortal.Host.Tests.Linux.Fixtures;

namespace KvmPortal.Host.Tests.Linux;

/// <summary>A capture holds all that the inventory needs and nothing that tells who the host is.</summary>
public sealed partial class HostCaptureTests
{
    public static TheoryData<string> Hosts => [.. FixtureHosts.All.Keys];

    [Theory]
    [MemberData(nameof(Hosts))]
    public void A_captured_host_reads_the_same(string name)
    {
        using var written = FixtureHosts.Build(name).WriteOut();
        using var unpacked = Unpack(written.Root, out var raw);
        Assert.Equal(InventoryJson.Of(InventoryReader.Read(new HostTree(written.Root))), InventoryJson.Of(InventoryReader.Read(new HostTree(unpacked.Root))));
        Assert.All(Secrets.All, secret => Assert.DoesNotContain(secret, raw));
    }

    [Fact]
    public void This_host_captured_reads_the_same()
    {
        using var unpacked = Unpack("/", out var raw);
        Assert.Equal(Settled(InventoryReader.Read(new HostTree("/"))), Settled(InventoryReader.Read(new HostTree(unpacked.Root))));
        foreach (var nic in Directory.GetDirectories("/sys/class/net").Where(n => File.Exists($"{n}/address")).Select(n => File.ReadAllText($"{n}/address").Trim()).Where(a => a.Length == 17 && a != "00:00:00:00:00:00"))
            Assert.DoesNotContain(nic, raw);
        Assert.DoesNotMatch(Uuid(), raw);
    }

    /// <summary>Without what moves between two readings.</summary>
    private static string Settled(HostInventory host) => InventoryJson.Of(host with
    {
        NumaNodes = [.. host.NumaNodes.Select(n => n with { FreeMiB = null, HugePages = [] })],
        Irqs = [.. host.Irqs.Select(i => i with { Effective = default })],
        Kernel = host.Kernel with { CommandLine = null },
    });

    private static Written Unpack(string root, out string raw)
    {
        using var archive = new MemoryStream();
        Assert.True(LinuxMachineHost.CaptureInventory(root, archive) > 0);
        archive.Position = 0;
        using var plain = new MemoryStream();
        using (var gzip = new GZipStream(archive, CompressionMode.Decompress))
            gzip.CopyTo(plain);
        raw = Encoding.Latin1.GetString(plain.ToArray());
        plain.Position = 0;
        using (var entries = new TarReader(plain, leaveOpen: true))
            while (entries.GetNextEntry() is { } entry)
                Assert.False(entry.Name.StartsWith('/') || entry.LinkName.StartsWith('/'));
        plain.Position = 0;
        var unpacked = new HostTreeFiles().WriteOut();
        TarFile.ExtractToDirectory(plain, unpacked.Root, overwriteFiles: false);
        return unpacked;
    }

    [GeneratedRegex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")]
    private static partial Regex Uuid();
}
