using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>Profiles are data; what is changed in them is explained.</summary>
public sealed class ProfileTests
{
    [Fact]
    public void An_unchanged_profile_costs_nothing_and_each_changed_knob_says_what_it_costs()
    {
        Assert.Equal(["general", "low-latency", "hpc", "ai-ml"], Profiles.BuiltIn.Select(p => p.Name));
        Assert.All(Profiles.BuiltIn, p => Assert.Same(p, Profiles.Find(p.Name)));
        Assert.All(Profiles.BuiltIn, p => Assert.Empty(ProfileOverrides.Of(p).Costs(p)));
        foreach (var profile in Profiles.BuiltIn)
            Assert.Empty(new ProfileOverrides().Costs(profile));
        var all = new ProfileOverrides
        {
            Threads = SmtUse.Pair, Pages = PageKind.Small, Memory = MemoryBinding.Preferred, Prealloc = false, LockMemory = false, Emulator = EmulatorPlace.SharedPool, IoThreads = IoThreadPlace.SharedPool,
            Devices = DeviceRule.Any, CpuPowerManagement = false, WakeUpMicroseconds = 100, PerformanceGovernor = true, Realtime = true, Balloon = true, MergePages = true,
        };
        Assert.Equal(["cost-pair", "cost-small-pages", "cost-unbound", "cost-no-prealloc", "cost-unlocked", "cost-emulator-shared", "cost-io-shared", "cost-remote-devices", "cost-no-cpu-pm", "cost-long-wake",
            "cost-governor", "cost-realtime", "cost-balloon", "cost-merge"], all.Costs(Profiles.LowLatency).Select(s => s.Code));
        Assert.Equal(["cost-huge-shared", "cost-cpu-pm-shared", "cost-hints-shared"],
            new ProfileOverrides { Pages = PageKind.Huge2M, CpuPowerManagement = true, DedicatedHints = true }.Costs(Profiles.General).Select(s => s.Code));
        var host = Hosts.TwoSockets();
        var plan = (Asked.For(Profiles.Hpc, 4, 4) with { Knobs = new ProfileOverrides { Balloon = true } }).On(host).Planned();
        Assert.True(plan.Profile.Balloon);
        Assert.Contains(plan.Warnings, w => w.Code == "cost-balloon");
    }

    [Fact]
    public void Ordinary_machines_float_beside_dedicated_ones_and_over_commitment_is_said_with_numbers()
    {
        var host = Hosts.Cloud();
        var ledger = Ledger.Empty.With(new Reservation { Vm = "a", Vcpus = 5, Memory = [new MemoryHold(0, 1024)] });
        var plan = Asked.For(Profiles.General, 2, 2).On(host, ledger).Planned();
        Assert.Equal("1-3", plan.Cpus());
        Assert.Contains(plan.Warnings, w => w.Text == "CPUs are over-committed: 7 vCPUs on 3 shared CPUs (2.33 for each).");
        Assert.True(plan.GuestNodes.Single().Memory is { Transparent: true, HugePageKiB: null, Binding: MemoryBinding.Preferred, HostNode: 0 });
        Assert.Empty(Asked.For(Profiles.General, 2, 2).On(host).Planned().Warnings);
        var refusal = Asked.For(Profiles.General, 8, 2).On(host, ledger).Refused().Honest(host, ledger);
        Assert.Equal(("SHARED_POOL_FLOOR", 7), (refusal.CodeName, refusal.Nearest!.Vcpus));
    }

    [Fact]
    public void An_ordinary_machine_larger_than_any_node_uses_all_of_them()
    {
        var host = Hosts.FourNodesPerSocket();
        var plan = Asked.For(Profiles.General, 8, 100).On(host).Planned();
        Assert.Equal(8, plan.Nodes.Count);
        Assert.Null(plan.GuestNodes.Single().Memory.HostNode);
        Assert.Equal(100 * 1024, plan.ToReservation().Memory.Sum(m => m.MiB));
        Assert.Single(Asked.For(Profiles.General, 8, 40).On(host).Planned().Nodes);
    }

    [Fact]
    public void Eight_gpus_worth_of_service_takes_two_cores_and_disks_share_their_threads()
    {
        var host = new HostBuilder();
        for (var c = 0; c < 32; c++)
            host.Core([c, c + 32], 0, 0, CpuSet.Range(0, 63));
        host.Node(0, "0-63", 250000, [10], null, (1024 * 1024, 100));
        for (var i = 0; i < 5; i++)
            host.Device($"0000:{i + 16:x2}:00.0", "030200", "10de:20b0", 0, "", i).Device($"0000:{i + 16:x2}:00.1", "040300", "10de:1aef", 0, "", i);
        var inventory = host.Build();
        var plan = (Asked.For(Profiles.AiMl, 8, 32, new DeviceNeed { Model = "10DE:20B0", Count = 5 }) with { FastDisks = 3 }).On(inventory).Planned();
        Assert.Equal(("1-4,33-36", "5-6"), (plan.Cpus(), plan.Emulator.ToString()));
        Assert.Equal(["37", "38"], plan.IoThreads.Select(t => t.Cpus.ToString()));
        Assert.Equal(5, plan.Devices.Count);
        Assert.All(plan.Devices, d => Assert.Single(d.Companions));
        Assert.Equal(10, plan.ToReservation().Devices.Count);
    }

    [Fact]
    public void Alternatives_can_be_asked_for_and_say_what_is_worse()
    {
        var plan = Asked.For(Profiles.LowLatency, 8, 8).On(Hosts.TwoSockets()).Planned();
        Assert.Equal(["alternative-cores", "alternative-pair"], plan.Alternatives.Select(a => a.Summary.Code));
        Assert.Equal([1], plan.Alternatives[0].Request.On(Hosts.TwoSockets()).Planned().Nodes);
        Assert.Equal("1-4,65-68", plan.Alternatives[1].Request.On(Hosts.TwoSockets()).Planned().Cpus());
        Assert.Equal(3, Asked.For(Profiles.Hpc, 4, 4).On(Hosts.FourNodesPerSocket()).Planned().Alternatives.Count);
    }

    [Fact]
    public void A_machine_without_devices_leaves_the_nodes_that_have_some()
    {
        var plan = Asked.For(Profiles.Hpc, 4, 4).On(Hosts.FourNodesPerSocket()).Planned();
        Assert.Equal([0], plan.Nodes);
        var ledger = Ledger.Empty;
        var nodes = new List<int>();
        for (var i = 0; i < 8; i++)
        {
            var next = (Asked.For(Profiles.LowLatency, 4, 4) with { Vm = $"vm{i}" }).On(Hosts.FourNodesPerSocket(), ledger).Planned();
            nodes.AddRange(next.Nodes);
            ledger = ledger.With(next.ToReservation());
        }

        Assert.Equal([0, 1, 2, 4, 5, 6, 3, 7], nodes);
        Assert.Equal(8, ledger.Generation);
        Assert.Equal(8, Asked.For(Profiles.General, 1, 1).On(Hosts.FourNodesPerSocket(), ledger).Planned().LedgerGeneration);
    }

    [Fact]
    public void The_database_keeps_all_of_a_plan_and_of_a_refusal()
    {
        var stored = new JsonSerializerOptions(PortalJson.Options);
        stored.Converters.Insert(0, new SentenceJson(stored: true));
        foreach (var request in new[] { Asked.For(Profiles.LowLatency, 8, 16), Asked.For(Profiles.LowLatency, 32, 16) })
        {
            var outcome = request.On(Hosts.TwoSockets());
            var json = JsonSerializer.Serialize(outcome, stored);
            Assert.Equal(json, JsonSerializer.Serialize(JsonSerializer.Deserialize<PlacementOutcome>(json, stored), stored));
        }
    }
}
