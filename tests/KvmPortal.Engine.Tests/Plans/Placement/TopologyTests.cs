using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>Hosts are read as sets within sets, however odd their numbers are.</summary>
public sealed class TopologyTests
{
    [Fact]
    public void Interleaved_cpus_and_devices_local_to_all_or_to_one_node()
    {
        var host = Hosts.Interleaved();
        var topology = HostTopology.From(host);
        Assert.Equal((4, 40, 4), (topology.CpuNodes.Count, topology.Cores.Count, topology.Caches));
        Assert.Null(topology.NodeOf(host.PciDevices[0]));
        Assert.Equal(1, topology.NodeOf(host.PciDevices[1])!.Id);
        var plan = Asked.For(Profiles.LowLatency, 4, 4, Asked.At("0000:05:00.0")).On(host).Planned();
        Assert.Equal("4,8,12,16", plan.Cpus());
        Assert.Contains(plan.Warnings, w => w.Code == "warn-node-unknown");
        var near = Asked.For(Profiles.LowLatency, 4, 4, Asked.At("0000:06:00.0")).On(host).Planned();
        Assert.Equal([1], near.Nodes);
        Assert.Contains(near.Reasons.Single(r => r.Subject == "device 0000:06:00.0").Because, b => b.Code == "because-local-cpus");
    }

    [Fact]
    public void Nodes_of_memory_only_carry_no_cpus_and_gaps_in_numbers_do_not_matter()
    {
        var topology = HostTopology.From(Hosts.MemoryNodes());
        Assert.Equal([0, 8], topology.CpuNodes.Select(n => n.Id));
        Assert.Equal(8, topology.Nodes.Count);
        var plan = Asked.For(Profiles.AiMl, 16, 8).On(Hosts.MemoryNodes()).Planned();
        Assert.Equal(new GuestTopology(1, 1, 4, 4), plan.Topology);
        var wide = Asked.For(Profiles.Hpc, 30, 16).On(Hosts.MemoryNodes()).Planned();
        Assert.Equal([0, 8], wide.Nodes);
        Assert.Equal(40, wide.Score.Distance);
    }

    [Fact]
    public void Asymmetric_distances_count_the_longer_way()
    {
        var topology = HostTopology.From(Hosts.Asymmetric());
        Assert.Equal(22, HostTopology.Distance(topology.Nodes[0], topology.Nodes[3]));
        Assert.Equal(22, HostTopology.Distance(topology.Nodes[3], topology.Nodes[0]));
        var plan = Asked.For(Profiles.Hpc, 14, 8).On(Hosts.Asymmetric()).Planned();
        Assert.Equal((2, 16, 1), (plan.Score.Nodes, plan.Score.Distance, plan.Score.Packages));
    }

    [Fact]
    public void A_host_that_tells_nothing_is_one_node_of_single_cores()
    {
        var bare = new HostBuilder().Core([0], -1, -1, CpuSet.Empty).Core([1], -1, -1, CpuSet.Empty).Build();
        var topology = HostTopology.From(bare);
        Assert.Equal((1, 2, 1), (topology.CpuNodes.Count, topology.Cores.Count, topology.Caches));
    }

    [Fact]
    public void Offline_threads_are_not_there_and_no_cpu_is_in_two_cores()
    {
        var host = Hosts.TwoSockets();
        var half = HostTopology.From(host with { Cpus = [.. host.Cpus.Select(c => c.Id == 65 ? c with { Online = false } : c)] });
        Assert.Equal("1", half.CoreOf(1)!.Cpus.ToString());
        Assert.Null(half.CoreOf(65));
        var muddled = HostTopology.From(host with { Cpus = [.. host.Cpus.Select(c => c with { Core = CpuSet.Range(0, 7) })] });
        Assert.Equal(128, muddled.Cores.Sum(c => c.Threads.Count));
        Assert.Equal(128, muddled.Online.Count);
    }

    [Fact]
    public void The_host_keeps_a_core_on_every_node_even_where_some_are_isolated_at_boot()
    {
        var host = Hosts.TwoSockets();
        var isolated = host with { Cpu = host.Cpu with { Isolated = CpuSet.Parse("4-31,68-95,32-60,96-124") } };
        var plan = Asked.For(Profiles.LowLatency, 8, 8).On(isolated).Planned();
        Assert.Equal("0,64", plan.Emulator.ToString());
        Assert.Equal("61,125", (Asked.For(Profiles.LowLatency, 8, 8) with { OnNodes = [1] }).On(isolated).Planned().Emulator.ToString());
        Assert.Equal("1-3,65-67", Asked.For(Profiles.General, 2, 2).On(isolated).Planned().Cpus());
        var told = new PlacementPolicy { Housekeeping = CpuSet.Of(5), DedicatedOnly = CpuSet.Parse("8-15,72-79") };
        Assert.Equal(("8-11", "5,69"), (Asked.For(Profiles.LowLatency, 4, 4).On(host, policy: told).Planned().Cpus(), Asked.For(Profiles.LowLatency, 4, 4).On(host, policy: told).Planned().Emulator.ToString()));
        Assert.False(Asked.For(Profiles.General, 4, 4).On(host, policy: told).Planned().Vcpus[0].Cpus.Overlaps(CpuSet.Parse("8-15,72-79,5,69")));
    }
}
