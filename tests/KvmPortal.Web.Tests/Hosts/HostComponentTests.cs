using Bunit;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using KvmPortal.Web.Hosts;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Web.Tests.Hosts;

public sealed class HostComponentTests : BunitContext
{
    public HostComponentTests() => Services.AddLocalization();

    [Fact]
    public void The_topology_shows_whole_cores_by_node_and_cache()
    {
        var page = Render<HostTopology>(p => p.Add(t => t.Host, Simulated()).Add(t => t.Busy, [.. Enumerable.Repeat(0.5f, 64)]));
        Assert.Equal(2, page.FindAll(".node").Count);
        Assert.Equal(2, page.FindAll(".cache").Count);
        Assert.Equal(32, page.FindAll(".core").Count);
        Assert.Equal(64, page.FindAll(".cpu").Count);
        Assert.Contains("CPU 33, core 1,33, 50 % busy", page.Markup, StringComparison.Ordinal);
    }

    [Fact]
    public void A_host_of_which_little_is_known_is_shown_too()
    {
        var bare = Simulated() with { Cpus = [new LogicalCpu(3, false, null, null, CpuSet.Of(3), default, default, default, -1, CpuKind.Unknown, null, null)], NumaNodes = [new NumaNode(8, CpuSet.Of(3, 9), null, null, new Dictionary<int, int>(), []), new NumaNode(250, default, 1, null, new Dictionary<int, int>(), [])], PciDevices = [], Nics = [], BlockDevices = [] };
        Assert.Contains("CPU 3 is offline", Render<HostTopology>(p => p.Add(t => t.Host, bare)).Markup, StringComparison.Ordinal);
        Assert.Contains("No PCI devices", Render<HostDevices>(p => p.Add(t => t.Host, bare)).Markup, StringComparison.Ordinal);
        Assert.Contains("no huge pages", Render<HostHugePages>(p => p.Add(t => t.Host, bare)).Markup, StringComparison.Ordinal);
    }

    [Fact]
    public void Devices_stand_on_their_node_in_their_group()
    {
        var text = Render<HostDevices>(p => p.Add(t => t.Host, Simulated())).Find("#devices").TextContent;
        Assert.True(text.IndexOf("On node 0", StringComparison.Ordinal) < text.IndexOf("IOMMU group 17", StringComparison.Ordinal));
        Assert.True(text.IndexOf("On node 1", StringComparison.Ordinal) < text.IndexOf("0000:98:00.0", StringComparison.Ordinal));
    }

    [Fact]
    public void A_purpose_shows_only_its_checks_and_what_can_be_done_now_can_be_planned()
    {
        HostSetting? planned = null;
        var report = Doctor.Examine(new ReadinessInput(Simulated(), null, null, null));
        var all = Render<ReadinessTab>(p => p.Add(t => t.Report, report));
        Assert.Equal(report.Checks.Count, all.FindAll("details.check").Count);
        var some = Render<ReadinessTab>(p => p.Add(t => t.Report, report).Add(t => t.Purpose, Purpose.SriovNetworking).Add(t => t.Prepare, setting => planned = setting));
        Assert.InRange(some.FindAll("details.check").Count, 3, report.Checks.Count - 10);
        Render<ReadinessTab>(p => p.Add(t => t.Report, report).Add(t => t.Prepare, setting => planned = setting)).Find("#numa-balancing button").Click();
        Assert.Equal(new NumaBalancingSetting(false), planned);
    }

    private static HostInventory Simulated()
    {
        using var host = new SimulatedMachineHost(new SimulatedOptions { DataRoot = Path.GetTempPath() }, TimeProvider.System);
        return host.Inventory;
    }
}
