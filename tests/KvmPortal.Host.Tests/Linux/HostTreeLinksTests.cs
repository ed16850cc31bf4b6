using System.Diagnostics;
using System.Globalization;
using KvmPortal.Host.Linux.Inventory;
using KvmPortal.Host.Tests.Linux.Fixtures;

namespace KvmPortal.Host.Tests.Linux;

/// <summary>A captured tree may be made by anybody: it neither leads out of its root nor holds up who reads it.</summary>
public sealed class HostTreeLinksTests(ITestOutputHelper output)
{
    [Fact]
    public void Links_stay_below_the_root()
    {
        using var written = new HostTreeFiles().File("/sys/real/file", "inside").File("/etc/passwd", "root:x:99999:\n")
            .RawLink("/sys/absolute", "/sys/real/file").RawLink("/sys/above", "../../../../../../../../etc/passwd").RawLink("/sys/host", "/proc/self/environ").RawLink("/sys/folder", "/sys/real").WriteOut();
        var tree = new HostTree(written.Root);
        Assert.Equal("inside", tree.Text("/sys/absolute"));
        Assert.Equal("inside", tree.Text("/sys/folder/file"));
        Assert.Equal("root:x:99999:", tree.Text("/sys/above"));
        Assert.Null(tree.Text("/sys/host"));
        Assert.Equal("/sys/real/file", tree.Resolve("/sys/folder/file"));
        Assert.Equal(["file"], tree.Names("/sys/folder"));
    }

    [Fact]
    public async Task Loops_bombs_and_pipes_end()
    {
        var files = new HostTreeFiles().RawLink("/loop", "loop").RawLink("/a", "b").RawLink("/b", "a").RawLink("/self", ".").File("/sys/class/net/x", "");
        for (var i = 0; i < 60; i++)
            files.RawLink($"/bomb{i}", $"bomb{i + 1}/../bomb{i + 1}/../bomb{i + 1}");
        using var written = files.WriteOut();
        Process.Start("mkfifo", $"{written.Root}/pipe").WaitForExit();
        await Task.Run(() =>
        {
            var tree = new HostTree(written.Root);
            Assert.All((string[])["/loop", "/a", "/bomb0", "/loop/x/y", "/self/self/self/none"], path => Assert.Null(tree.Text(path)));
            Assert.True(tree.Text("/pipe") is null or "");
            InventoryFixtureTests.Sound(InventoryReader.Read(tree));
        }).WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
    }

    [Fact]
    public void A_huge_file_is_read_to_its_limit_and_zeros_end_a_text()
    {
        using var written = new HostTreeFiles().Bytes("/huge", new byte[40 << 20]).Bytes("/padded", [.. "0-3\n"u8, .. new byte[60]]).WriteOut();
        var tree = new HostTree(written.Root);
        Assert.Equal(1 << 20, tree.Bytes("/huge", 1 << 20)!.Length);
        Assert.Equal("0-3", tree.Cpus("/padded").ToString());
    }

    [Fact]
    public void A_large_host_is_read_in_time()
    {
        var host = new FixtureHost(Renaming.None);
        for (var c = 0; c < 256; c++)
        {
            var core = $"{c % 128},{(c % 128) + 128}";
            host.Cpu(c, new FixtureCpu(c % 128 / 64, c % 64, core, FixtureCpu.Levels(32, 32, 512, 32768, core, core, $"{c % 128 / 8 * 8}-{(c % 128 / 8 * 8) + 7},{(c % 128 / 8 * 8) + 128}-{(c % 128 / 8 * 8) + 135}")) { MaxKHz = 3_000_000 });
        }

        host.CpuLists().Node(0, "0-63,128-191", "10 32", 1 << 28, (2048, 0)).Node(1, "64-127,192-255", "32 10", 1 << 28, (2048, 0));
        for (var i = 0; i < 500; i++)
            host.Pci(new($"0000:{i / 32:x2}:{i % 32:x2}.0", "020000", "8086:1583") { Node = i % 2, LocalCpus = "0-63,128-191", Driver = "i40e", Group = i, Reset = "flr bus", TotalVfs = 64, Bars = [(0, 8, true)], Link = ("8.0 GT/s PCIe", 8, "8.0 GT/s PCIe", 8) });
        using var written = host.Files.WriteOut();
        var best = TimeSpan.MaxValue;
        for (var i = 0; i < 5; i++)
        {
            var start = Stopwatch.GetTimestamp();
            var read = InventoryReader.Read(new HostTree(written.Root));
            best = TimeSpan.FromTicks(Math.Min(best.Ticks, Stopwatch.GetElapsedTime(start).Ticks));
            Assert.Equal((256, 500), (read.Cpus.Count, read.PciDevices.Count));
        }

        output.WriteLine(best.TotalMilliseconds.ToString("0.0 ms", CultureInfo.InvariantCulture));
        // The aim is 200 ms on a quiet machine; what must not come back is a reading that grows with the square of the host.
        Assert.True(best < TimeSpan.FromSeconds(3), $"{best.TotalMilliseconds} ms");
    }
}
