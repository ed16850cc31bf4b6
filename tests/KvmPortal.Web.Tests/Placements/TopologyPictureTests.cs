using System.Globalization;
using Bunit;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using KvmPortal.Web.Hosts;
using KvmPortal.Web.Placements;
using HostTopology = KvmPortal.Web.Hosts.HostTopology;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Web.Tests.Placements;

/// <summary>The picture of who is where, and the ledger as a table.</summary>
public sealed class TopologyPictureTests : BunitContext
{
    private static readonly VmId A = VmId.New(TimeProvider.System), B = VmId.New(TimeProvider.System);

    public TopologyPictureTests() => Services.AddLocalization();

    [Fact]
    public void Each_thread_says_in_words_and_signs_who_is_there_and_for_what()
    {
        var picture = Render<HostTopology>(p => p.Add(t => t.Host, Simulated()).Add(t => t.Uses, new CpuUses(Ledger())));
        Assert.Equal("CPU 17, core 17,49: lat-1 (vCPU 0)", Cpu(picture, 17).GetAttribute("aria-label"));
        Assert.Equal("A v0", Cpu(picture, 17).QuerySelector("i")!.TextContent);
        Assert.Equal("A –", Cpu(picture, 49).QuerySelector("i")!.TextContent);
        Assert.Equal("B v1", Cpu(picture, 20).QuerySelector("i")!.TextContent);
        Assert.Equal("AB em", Cpu(picture, 16).QuerySelector("i")!.TextContent);
        Assert.Contains("Kept for the host: lat-1 (QEMU (emulator), vhost (vhost)); hpc-1 (QEMU (emulator)", Cpu(picture, 16).GetAttribute("aria-label"), StringComparison.Ordinal);
        Assert.Equal(("host", "s"), (Cpu(picture, 0).QuerySelector("i")!.TextContent, Cpu(picture, 1).QuerySelector("i")!.TextContent));
        Assert.Equal(["machines/lat-1/placement", "machines/hpc-1/placement"], picture.FindAll(".legend a").Select(a => a.GetAttribute("href")));
    }

    [Fact]
    public void One_stop_for_the_tab_key_and_the_chosen_thread_is_told_below()
    {
        var picture = Render<HostTopology>(p => p.Add(t => t.Host, Simulated()).Add(t => t.Uses, new CpuUses(Ledger())));
        Assert.Equal("0", Assert.Single(picture.FindAll(".cpu[tabindex='0']")).QuerySelector("b")!.TextContent);
        Cpu(picture, 20).Focus();
        Assert.Equal("20", Assert.Single(picture.FindAll(".cpu[tabindex='0']")).QuerySelector("b")!.TextContent);
        Assert.Contains("hpc-1 (vCPU 1)", picture.Find(".cpu-detail").TextContent, StringComparison.Ordinal);
        Assert.Equal("machines/hpc-1/placement", picture.Find(".cpu-detail a").GetAttribute("href"));
    }

    [Fact]
    public void On_a_machines_page_the_others_are_grey()
    {
        var picture = Render<HostTopology>(p => p.Add(t => t.Host, Simulated()).Add(t => t.Uses, new CpuUses(Ledger())).Add(t => t.Only, B));
        Assert.DoesNotContain("other", Cpu(picture, 20).ClassList);
        Assert.Contains("other", Cpu(picture, 17).ClassList);
        Assert.Equal("B em", Cpu(picture, 16).QuerySelector("i")!.TextContent);
        Assert.Equal(["hpc-1"], picture.FindAll(".legend a").Select(a => a.TextContent));
    }

    [Fact]
    public void Two_hundred_and_fifty_six_threads_and_many_machines_are_drawn()
    {
        var host = Simulated();
        var big = host with
        {
            Cpus = [.. Enumerable.Range(0, 256).Select(i => new LogicalCpu(i, i != 255, i % 128 / 64, 0, CpuSet.Of(i % 128, (i % 128) + 128), default, default, CpuSet.Range(i % 128 / 8 * 8, (i % 128 / 8 * 8) + 7) | CpuSet.Range((i % 128 / 8 * 8) + 128, (i % 128 / 8 * 8) + 135), i % 128 / 64, CpuKind.Unknown, 3000, null))],
            NumaNodes = [.. Enumerable.Range(0, 2).Select(n => new NumaNode(n, CpuSet.Range(n * 64, (n * 64) + 63) | CpuSet.Range((n * 64) + 128, (n * 64) + 191), 1 << 20, 1 << 19, new Dictionary<int, int>(), []))],
        };
        var lines = Enumerable.Range(1, 60).Select(i => Line(VmId.New(TimeProvider.System), $"m{i}", [i], CpuSet.Of(i + 128), CpuSet.Of(0))).ToList();
        var picture = Render<HostTopology>(p => p.Add(t => t.Host, big).Add(t => t.Uses, new CpuUses(Ledger() with { Lines = lines })));
        Assert.Equal((256, 128, 16, 2), (picture.FindAll(".cpu").Count, picture.FindAll(".core").Count, picture.FindAll(".cache").Count, picture.FindAll(".node").Count));
        Assert.Equal(60, picture.FindAll(".cpu.vcpu").Select(c => c.QuerySelector("i")!.TextContent).Distinct().Count());
        Assert.Equal("AA v0", Cpu(picture, 27).QuerySelector("i")!.TextContent);
        Assert.Equal("60 em", Cpu(picture, 0).QuerySelector("i")!.TextContent);
        Assert.Contains("offline", Cpu(picture, 255).ClassList);
    }

    [Fact]
    public void The_ledger_names_holders_what_is_free_and_what_would_fit()
    {
        var page = Render<HostLedger>(p => p.Add(l => l.Ledger, Ledger()));
        Assert.Equal(["machines/lat-1/placement", "machines/hpc-1/placement"], page.FindAll("#ledger a").Select(a => a.GetAttribute("href")));
        Assert.Contains("2 x 1 GiB on node 1", page.Find("#ledger").TextContent, StringComparison.Ordinal);
        Assert.Contains("2 of 16", page.Find("#free").TextContent, StringComparison.Ordinal);
        Assert.Contains("CPUs 16-31,48-63: 2 of 16 cores free", page.Find("#free").TextContent, StringComparison.Ordinal);
        Assert.Contains("None fits", page.Find("#fits").TextContent, StringComparison.Ordinal);
        var empty = Render<HostLedger>(p => p.Add(l => l.Ledger, Ledger() with { Lines = [] }));
        Assert.Equal("machines/new", empty.Find("#ledger a").GetAttribute("href"));
        Assert.NotEmpty(empty.FindAll("#free tbody tr"));
    }

    [Theory]
    [InlineData("en", "vcpu0-7", "vCPU 0-7")]
    [InlineData("en", "iothread1", "I/O thread 1")]
    [InlineData("en", "device 0000:31:00.0", "Device 0000:31:00.0")]
    [InlineData("en", "something new", "something new")]
    [InlineData("zh-CN", "nodes", "节点")]
    public void Names_of_plans_have_words(string language, string subject, string word)
    {
        var before = CultureInfo.CurrentUICulture;
        try
        {
            CultureInfo.CurrentUICulture = CultureInfo.GetCultureInfo(language);
            var text = Services.GetRequiredService<Microsoft.Extensions.Localization.IStringLocalizer<Resources.PlacementText>>();
            Assert.Equal(word, PlacementWords.Subject(text, subject));
            Assert.DoesNotContain("node0", PlacementWords.Choice(text, "2 x 1G node0, cpu 1-8"), StringComparison.Ordinal);
            Assert.DoesNotContain("sockets=", PlacementWords.Choice(text, "sockets=1,dies=1,cores=8,threads=2"), StringComparison.Ordinal);
        }
        finally
        {
            CultureInfo.CurrentUICulture = before;
        }
    }

    private static AngleSharp.Dom.IElement Cpu(IRenderedComponent<HostTopology> picture, int cpu) => picture.FindAll(".cpu").Single(c => c.QuerySelector("b")!.TextContent == cpu.ToString(CultureInfo.InvariantCulture));

    private static LedgerView Ledger() => new(7, [Line(A, "lat-1", [17, 18], CpuSet.Of(49, 50), CpuSet.Of(16, 48)), Line(B, "hpc-1", [19, 20], CpuSet.Of(51, 52), CpuSet.Of(16, 48))],
        [new LedgerNode(1, CpuSet.Range(16, 31) | CpuSet.Range(48, 63), 16, 2, CpuSet.Range(17, 20), CpuSet.Of(16, 48)) { MemoryMiB = 1024, FreeMemoryMiB = 512, HugePages = [new LedgerPages(1 << 20, 16, 4, 12)], Caches = [new LedgerCache(CpuSet.Range(16, 31) | CpuSet.Range(48, 63), 16, 2)] }],
        CpuSet.Range(0, 16), 3)
    {
        Housekeeping = CpuSet.Of(0, 16, 32, 48),
        Fits = [new LedgerFit("general", CpuPool.Shared, 8, 4096, false), new LedgerFit("hpc", CpuPool.Dedicated, 0, 0, false)],
    };

    private static LedgerLine Line(VmId id, string name, int[] vcpus, CpuSet idle, CpuSet host) =>
        new(id, name, new Reservation { Vm = id.ToString(), Class = "low-latency", Running = true, Vcpus = vcpus.Length, Cpus = CpuSet.Of(vcpus) | idle, HugePages = [new HugePageHold(1, 1 << 20, 2)] })
        {
            Idle = idle,
            Threads = [.. vcpus.Select((cpu, i) => new LedgerThread(ThreadRole.Vcpu, i, $"vcpu{i}", CpuSet.Of(cpu))), new LedgerThread(ThreadRole.Emulator, null, "emulator", host), new LedgerThread(ThreadRole.Vhost, null, "vhost", host)],
        };

    private static HostInventory Simulated()
    {
        using var host = new SimulatedMachineHost(new SimulatedOptions { DataRoot = Path.GetTempPath() }, TimeProvider.System);
        return host.Inventory;
    }
}
