using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>The worked examples that the planner must give exactly.</summary>
public sealed class GoldenExampleTests
{
    private static readonly HostInventory TwoSockets = Hosts.TwoSockets();

    [Fact]
    public void Low_latency_with_a_function_of_a_nic_sits_beside_it_on_idle_siblings()
    {
        var plan = (Asked.For(Profiles.LowLatency, 8, 16, Asked.Function("0000:4b:00.0")) with { FastDisks = 1 }).On(TwoSockets).Planned();
        Assert.Equal([0], plan.Nodes);
        Assert.Equal(["1", "2", "3", "4", "5", "6", "7", "8"], plan.Vcpus.Select(v => v.Cpus.ToString()));
        Assert.Equal("0,64", plan.Emulator.ToString());
        Assert.Equal("0,64", plan.Vhost.ToString());
        Assert.Equal(["iothread0 9"], plan.IoThreads.Select(t => $"{t.Name} {t.Cpus}"));
        Assert.Equal("65-73", plan.Idle.ToString());
        Assert.Equal("1-9,65-73", plan.Dedicated.ToString());
        Assert.Equal(new GuestTopology(1, 1, 8, 1), plan.Topology);
        var memory = Assert.Single(plan.GuestNodes).Memory;
        Assert.Equal((16L * 1024, 0, 1024L * 1024, MemoryBinding.Bind, true, 16, true), (memory.SizeMiB, memory.HostNode, memory.HugePageKiB, memory.Binding, memory.Prealloc, memory.PreallocThreads, memory.Locked));
        Assert.Equal([new HugePageHold(0, 1024 * 1024, 16)], plan.ToReservation().HugePages);
        Assert.Equal("0000:4b:00.2", Assert.Single(plan.Devices).Address);
        var vcpus = plan.Reasons.Single(r => r.Subject == "vcpu0-7");
        Assert.Contains(vcpus.Rejected, r => r.Choice == "cpu 0,64" && r.Why.Code == "kept-for-host");
        Assert.Contains(vcpus.Because, b => b.Text.Contains("0000:4b:00.2", StringComparison.Ordinal));
        Assert.Contains(plan.Reasons.Single(r => r.Subject == "nodes").Rejected, r => r.Choice == "node1" && r.Why.Text.Contains("distance 20", StringComparison.Ordinal));
        Assert.Contains(plan.Reasons.Single(r => r.Subject == "threads").Because, b => b.Text.Contains("65-73", StringComparison.Ordinal));
        Assert.Equal([(140, "0,64", (bool?)null), (141, "0,64", true), (142, "0,10-64,74-127", false)], plan.Interrupts.Select(i => (i.Number, i.To.ToString(), i.Managed)));
        Assert.DoesNotContain(plan.HostActions, a => a.Subject == "irq 141");
        Assert.Equal(Exclusivity.Partition, plan.Exclusivity);
        Assert.Equal(new PlacementCost(9, 0, 18), plan.Cost);
    }

    [Fact]
    public void Without_disks_no_core_is_kept_for_them()
    {
        var plan = Asked.For(Profiles.LowLatency, 8, 16, Asked.Function("0000:4b:00.0")).On(TwoSockets).Planned();
        Assert.Equal("1-8,65-72", plan.Dedicated.ToString());
        Assert.Empty(plan.IoThreads);
    }

    [Fact]
    public void Devices_of_two_nodes_are_refused_for_low_latency_and_another_port_or_hpc_helps()
    {
        var refusal = (Asked.For(Profiles.LowLatency, 8, 16, Asked.Function("0000:4b:00.0"), Asked.Function("0000:98:00.0")) with { FastDisks = 1 }).On(TwoSockets).Refused().Honest(TwoSockets);
        Assert.Equal("DEVICES_SPLIT_NODES", refusal.CodeName);
        Assert.Equal(["0000:4b:00.0", "0000:4b:00.1"], refusal.Nearest!.Devices.Select(d => d.FunctionOf).Order());
        Assert.Equal(Profiles.LowLatency, refusal.Nearest.Profile);
        var hpc = refusal.Remedies.Single(r => r.Request?.Profile == Profiles.Hpc).Request!;
        Assert.Equal(2, hpc.VirtualNodes);
        Assert.Equal([0, 1], hpc.On(TwoSockets).Planned().Nodes);
    }

    [Fact]
    public void Hpc_of_48_spans_both_nodes_evenly_and_the_guest_sees_them()
    {
        var plan = Asked.For(Profiles.Hpc, 48, 96).On(TwoSockets).Planned();
        Assert.Equal([0, 1], plan.Nodes);
        Assert.Equal(["0-23", "24-47"], plan.GuestNodes.Select(n => n.Vcpus.ToString()));
        Assert.Equal("1-24,33-56", plan.Cpus());
        Assert.Equal([(48L * 1024, (int?)0), (48L * 1024, 1)], plan.GuestNodes.Select(n => (n.Memory.SizeMiB, n.Memory.HostNode)));
        Assert.All(plan.GuestNodes, n => Assert.Equal(1024 * 1024, n.Memory.HugePageKiB));
        Assert.Equal([[10, 20], [20, 10]], plan.GuestNodes.Select(n => n.Distances));
        Assert.Equal(20, plan.Score.Distance);
        Assert.Equal(new GuestTopology(2, 1, 24, 1), plan.Topology);
        Assert.Equal([("iothread0", "0,32,64,96")], plan.IoThreads.Select(t => (t.Name, t.Cpus.ToString())));
        Assert.Contains(plan.Reasons.Single(r => r.Subject == "nodes").Rejected, r => r.Choice == "node0" && r.Why.Text.Contains("31 free cores", StringComparison.Ordinal));
    }

    [Fact]
    public void Ai_ml_pairs_threads_beside_its_gpu_and_keeps_a_core_for_qemu()
    {
        var plan = Asked.For(Profiles.AiMl, 16, 60, Asked.At("0000:31:00.0")).On(TwoSockets).Planned();
        Assert.Equal([0], plan.Nodes);
        Assert.Equal("1-8,65-72", plan.Cpus());
        Assert.Equal(["1", "65", "2", "66"], plan.Vcpus.Take(4).Select(v => v.Cpus.ToString()));
        Assert.Equal(new GuestTopology(1, 1, 8, 2), plan.Topology);
        Assert.Equal("9", plan.Emulator.ToString());
        Assert.Equal(["73"], plan.IoThreads.Select(t => t.Cpus.ToString()));
        Assert.Equal("1-9,65-73", plan.Dedicated.ToString());
        Assert.True(plan.Idle.IsEmpty);
        Assert.Equal(60, plan.ToReservation().HugePages.Single().Pages);
    }

    [Fact]
    public void Ai_ml_with_more_memory_than_the_nodes_pages_is_refused_with_what_fits()
    {
        var refusal = Asked.For(Profiles.AiMl, 16, 68, Asked.At("0000:31:00.0")).On(TwoSockets).Refused().Honest(TwoSockets);
        Assert.Equal("HUGEPAGES_SHORT", refusal.CodeName);
        Assert.Equal(("1G", "0", "68", "64"), (refusal.Evidence["size"], refusal.Evidence["node"], refusal.Evidence["need"], refusal.Evidence["free"]));
        Assert.Equal("hugepagesz=1G hugepages=0:68,1:64", refusal.Evidence["bootParameter"]);
        Assert.Equal(64 * 1024, refusal.Nearest!.MemoryMiB);
        Assert.Contains(refusal.Remedies, r => r.Request?.VirtualNodes == 2);
        Assert.Contains(refusal.Remedies, r => r.Request?.Allow.GrowPool == true);
        Assert.Contains(refusal.Remedies, r => r.Advice.Code == "fix-boot" && r.Request is null);
    }

    [Fact]
    public void Low_latency_of_32_finds_31_on_each_node_or_hpc()
    {
        var refusal = Asked.For(Profiles.LowLatency, 32, 32).On(TwoSockets).Refused().Honest(TwoSockets);
        Assert.Equal("CORES_FRAGMENTED_ACROSS_NODES", refusal.CodeName);
        Assert.Equal("node0: 31, node1: 31", refusal.Evidence["byNode"]);
        Assert.Equal(31, refusal.Nearest!.Vcpus);
        Assert.Contains(refusal.Remedies, r => r.Request?.Profile == Profiles.Hpc && r.Request.Vcpus == 32);
    }

    [Fact]
    public void Small_nodes_refuse_6_and_give_hpc_two_nodes_of_one_package()
    {
        var host = Hosts.FourNodesPerSocket();
        var refusal = Asked.For(Profiles.LowLatency, 6, 8).On(host).Refused().Honest(host);
        Assert.Equal(("CORES_FRAGMENTED_ACROSS_NODES", 5), (refusal.CodeName, refusal.Nearest!.Vcpus));
        var plan = Asked.For(Profiles.Hpc, 10, 8).On(host).Planned();
        Assert.Equal((2, 12, 1), (plan.Score.Nodes, plan.Score.Distance, plan.Score.Packages));
        Assert.Equal([0, 1], plan.Nodes);
        Assert.Equal("1-5,7-11", plan.Cpus());
        Assert.Equal(new GuestTopology(1, 2, 5, 1), plan.Topology);
        var whole = Asked.For(Profiles.Hpc, 40, 80).On(host).Planned();
        Assert.Equal((8, new GuestTopology(2, 4, 5, 1)), (whole.Nodes.Count, whole.Topology));
    }

    [Theory]
    [InlineData(8, "8-15", 0)]
    [InlineData(7, "1-7", 0)]
    [InlineData(9, "1,8-15", 0)]
    [InlineData(3, "1-3", 4)]
    public void Whole_caches_are_filled_and_leftovers_are_used_up_first(int vcpus, string cpus, int leftover)
    {
        var plan = Asked.For(Profiles.LowLatency, vcpus, 8).On(Hosts.TwoCachesPerNode()).Planned();
        Assert.Equal((cpus, 0), (plan.Cpus(), plan.Nodes.Single()));
        Assert.Equal(vcpus == 9 ? 6 : leftover, plan.Score.Leftover);
        Assert.Equal(0, plan.Score.ExtraCaches);
    }

    [Fact]
    public void A_laptop_gives_low_latency_its_fast_cores_only_and_passes_nothing_through()
    {
        var host = Hosts.Hybrid();
        var refusal = Asked.For(Profiles.General, 2, 1, Asked.At("0000:04:00.0")).On(host).Refused().Honest(host);
        Assert.Equal("IOMMU_OFF", refusal.CodeName);
        Assert.Equal("intel_iommu=on iommu=pt", refusal.Evidence["bootParameter"]);
        var request = Asked.For(Profiles.LowLatency, 4, 4) with { Allow = new PlacementLeeway(GrowPool: true) };
        var plan = request.On(host).Planned();
        Assert.Equal("2-5", plan.Cpus());
        Assert.Contains(plan.Warnings, w => w.Code == "warn-few-fast-cores");
        Assert.Equal("2,4,6", (request with { Vcpus = 3 }).On(host).Planned().Cpus());
        var mixed = (request with { Vcpus = 4, Knobs = new ProfileOverrides { Threads = SmtUse.Isolate } }).On(host).Refused().Honest(host);
        Assert.Equal(("HYBRID_CORES_MIXED", 3), (mixed.CodeName, mixed.Nearest!.Vcpus));
        Assert.Equal("8-13", (Asked.For(Profiles.Hpc, 6, 4) with { Allow = new PlacementLeeway(GrowPool: true), Knobs = new ProfileOverrides { Threads = SmtUse.Isolate } }).On(host).Planned().Cpus());
    }

    [Fact]
    public void A_cloud_guest_without_working_kvm_gives_only_the_general_profile()
    {
        var host = Hosts.Cloud();
        var broken = new HostCondition { Kvm = KvmVerdict.Broken, KvmEvidence = "A tiny test guest did not finish." };
        var refusal = Asked.For(Profiles.LowLatency, 1, 1).On(host, condition: broken).Refused().Honest(host, condition: broken);
        Assert.Equal("KVM_SMOKE_FAILED", refusal.CodeName);
        Assert.Contains(refusal.Remedies, r => r.Request?.Profile == Profiles.General);
        Assert.Equal("KVM_UNAVAILABLE", Asked.For(Profiles.Hpc, 1, 1).On(host, condition: broken with { Kvm = KvmVerdict.Absent }).Refused().CodeName);
        var general = Asked.For(Profiles.General, 2, 1).On(host, condition: broken).Planned();
        Assert.Equal(("1-3", Exclusivity.None), (general.Cpus(), general.Exclusivity));
        var emulated = Asked.For(Profiles.Hpc, 2, 1) with { Allow = new PlacementLeeway(Emulation: true), Knobs = new ProfileOverrides { Pages = PageKind.Transparent } };
        var soft = emulated.On(host, condition: broken).Planned();
        Assert.Equal(("1-2", Exclusivity.Soft), (soft.Cpus(), soft.Exclusivity));
        var small = Asked.For(Profiles.LowLatency, 1, 1).On(Hosts.Cloud(largePages: false)).Refused().Honest(Hosts.Cloud(largePages: false));
        Assert.Equal(("HUGEPAGE_SIZE_UNSUPPORTED", "pdpe1gb"), (small.CodeName, small.Evidence["missing"]));
    }

    [Fact]
    public void Arm_has_large_pages_nothing_to_isolate_and_prefers_whole_clusters()
    {
        var plan = Asked.For(Profiles.LowLatency, 4, 8).On(Hosts.Arm()).Planned();
        Assert.Equal(("4-7", 0), (plan.Cpus(), plan.Idle.Count));
        Assert.Equal(1024 * 1024, plan.GuestNodes.Single().Memory.HugePageKiB);
        Assert.Contains(plan.Reasons.Single(r => r.Subject == "threads").Because, b => b.Code == "because-no-smt");
        Assert.Equal("1-3", Asked.For(Profiles.LowLatency, 3, 8).On(Hosts.Arm()).Planned().Cpus());
        Assert.Equal("1,4-7", Asked.For(Profiles.LowLatency, 5, 8).On(Hosts.Arm()).Planned().Cpus());
        Assert.Equal([0, 1], Asked.For(Profiles.Hpc, 40, 32).On(Hosts.Arm()).Planned().Nodes);
    }
}
