using System.Globalization;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>What must hold for every request on every host, tried with many thousands of them.</summary>
public sealed class PropertyTests(ITestOutputHelper output)
{
    private static readonly (string Name, HostInventory Host)[] All =
    [
        ("two sockets", Hosts.TwoSockets()), ("four nodes per socket", Hosts.FourNodesPerSocket()), ("two caches per node", Hosts.TwoCachesPerNode()), ("hybrid", Hosts.Hybrid()), ("cloud", Hosts.Cloud()),
        ("arm", Hosts.Arm()), ("interleaved", Hosts.Interleaved()), ("asymmetric", Hosts.Asymmetric()), ("memory nodes", Hosts.MemoryNodes()), ("no smt", Hosts.TwoCachesPerNode(smt: false)),
    ];

    [Fact]
    public void Ten_thousand_requests_and_releases_keep_every_promise()
    {
        var random = new Random(20260821);
        var (plans, refusals, codes) = (0, 0, new HashSet<PlacementCode>());
        for (var round = 0; round < 40; round++)
        {
            var (name, host) = All[round % All.Length];
            var topology = HostTopology.From(host);
            var policy = new PlacementPolicy { StrictDeviceNodes = round % 7 == 0, DedicatedMaxPercent = round % 5 == 0 ? 60 : 100, MemoryRatio = round % 3 == 0 ? 1.5 : 1.0 };
            var ledger = Ledger.Empty;
            var before = new Dictionary<string, (Ledger Ledger, PlacementRequest Request, PlacementPlan Plan)>();
            for (var step = 0; step < 250; step++)
            {
                if (ledger.Reservations.Count > 0 && random.Next(3) == 0)
                {
                    var gone = ledger.Reservations[random.Next(ledger.Reservations.Count)];
                    ledger = ledger.Without(gone.Vm);
                    continue;
                }

                var request = Random(random, host, $"vm{step}");
                var outcome = PlacementPlanner.Plan(topology, ledger, policy, request, new HostCondition());
                if (outcome is PlacementRefusal refusal)
                {
                    refusals++;
                    codes.Add(refusal.Code);
                    Helps(refusal, topology, ledger, policy, name);
                    continue;
                }

                plans++;
                var plan = (PlacementPlan)outcome;
                Holds(plan, request, topology, ledger, policy);
                var grows = plan.GuestNodes.Any(n => n.Memory.GrowPages > 0);
                var with = ledger.With(plan.ToReservation(running: !grows && random.Next(2) == 0));
                // Released again, the host is as it was: the same request gets the same place.
                Same(plan, (PlacementPlan)PlacementPlanner.Plan(topology, with.Without(plan.Vm) with { Generation = ledger.Generation }, policy, request, new HostCondition()));
                ledger = with;
            }
        }

        output.WriteLine($"{plans} plans, {refusals} refusals: {string.Join(", ", codes.Order())}");
        Assert.True(plans > 2000 && refusals > 1000, $"{plans} plans, {refusals} refusals");
        Assert.True(codes.Count >= 8, string.Join(", ", codes));
    }

    [Fact]
    public void Equal_inputs_give_equal_plans()
    {
        var random = new Random(7);
        foreach (var (_, host) in All)
            for (var i = 0; i < 30; i++)
            {
                var request = Random(random, host, "vm");
                Same(request.On(host), request.On(host));
            }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    public void Other_numbers_for_the_same_host_give_the_same_shape(int which)
    {
        var (_, host) = All[which];
        for (var seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var mapped = Renumbered.Of(host, random, out var cpu, out var device);
            var (topology, policy) = (HostTopology.From(host), new PlacementPolicy());
            var kept = CpuSet.Union(topology.CpuNodes.Select(n => CpuSet.Parse(n.Cpus.First.ToString(CultureInfo.InvariantCulture))));
            policy = policy with { Housekeeping = CpuSet.Union(kept.Select(c => topology.CoreOf(c)!.Cpus)) };
            var otherPolicy = policy with { Housekeeping = CpuSet.Of(policy.Housekeeping.Value.Select(c => cpu[c])) };
            var (ledger, otherLedger) = (Ledger.Empty, Ledger.Empty);
            for (var i = 0; i < 6; i++)
            {
                var request = Random(random, host, $"vm{i}");
                var other = request with
                {
                    Devices = [.. request.Devices.Select(d => d with { Address = d.Address is null ? null : device[d.Address], FunctionOf = d.FunctionOf is null ? null : device[d.FunctionOf] })],
                };
                var (a, b) = (request.On(host, ledger, policy), other.On(mapped, otherLedger, otherPolicy));
                Assert.Equal(a.GetType(), b.GetType());
                if (a is PlacementPlan first && b is PlacementPlan second)
                {
                    Assert.Equal(first.Score, second.Score);
                    Assert.Equal((first.Cost, first.Dedicated.Count, first.Idle.Count, first.Topology), (second.Cost, second.Dedicated.Count, second.Idle.Count, second.Topology));
                    // Both go on with the very same place, so that the next request meets the same host.
                    var reservation = first.ToReservation();
                    ledger = ledger.With(reservation);
                    otherLedger = otherLedger.With(reservation with { Cpus = CpuSet.Of(reservation.Cpus.Select(c => cpu[c])), Devices = [.. reservation.Devices.Select(d => device[d])] });
                }
                else
                {
                    Assert.Equal(((PlacementRefusal)a).Code, ((PlacementRefusal)b).Code);
                }
            }
        }
    }

    private static void Holds(PlacementPlan plan, PlacementRequest request, HostTopology topology, Ledger ledger, PlacementPolicy policy)
    {
        var others = CpuSet.Union(ledger.Reservations.Select(r => r.Cpus));
        var housekeeping = CpuSet.Union(topology.CpuNodes.Select(n => topology.CoreOf(n.Cpus.First)!.Cpus));
        Assert.Equal(request.Vcpus, plan.Vcpus.Count);
        Assert.Equal(request.MemoryMiB, plan.GuestNodes.Sum(n => n.Memory.SizeMiB));
        Assert.Equal(request.Vcpus, plan.GuestNodes.Sum(n => n.Vcpus.Count));
        Assert.Equal(request.Vcpus, plan.Topology.Sockets * plan.Topology.Dies * plan.Topology.Cores * plan.Topology.Threads);
        Assert.False(plan.Emulator.IsEmpty);
        Assert.All(plan.IoThreads, t => Assert.False(t.Cpus.IsEmpty));
        Assert.True(plan.Alternatives.Count <= 3);
        Assert.Equal(request.Devices.Sum(d => d.Count), plan.Devices.Count);
        Assert.DoesNotContain(plan.Devices, d => ledger.Reservations.Any(r => r.Devices.Contains(d.Address)));
        foreach (var other in plan.Alternatives)
            Assert.Equal(other.Score, ((PlacementPlan)PlacementPlanner.Plan(topology, ledger, policy, other.Request, new HostCondition())).Score);
        foreach (var pool in plan.ToReservation().HugePages.GroupBy(h => (h.Node, h.SizeKiB)))
        {
            var held = ledger.Reservations.SelectMany(r => r.HugePages).Where(h => (h.Node, h.SizeKiB) == pool.Key).Sum(h => h.Pages - h.Grown);
            var total = topology.Node(pool.Key.Node)!.Facts.HugePages.FirstOrDefault(p => p.SizeKiB == pool.Key.SizeKiB)?.Total ?? 0;
            Assert.True(held + pool.Sum(p => p.Pages - p.Grown) <= total, "more pages than there are");
        }

        foreach (var node in topology.Nodes)
        {
            var all = ledger.With(plan.ToReservation()).Reservations;
            var ordinary = all.Where(r => r.Cpus.IsEmpty).SelectMany(r => r.Memory).Where(m => m.Node == node.Id).Sum(m => m.MiB);
            var own = all.Where(r => !r.Cpus.IsEmpty).SelectMany(r => r.Memory).Where(m => m.Node == node.Id).Sum(m => m.MiB)
                + all.SelectMany(r => r.HugePages).Where(h => h.Node == node.Id).Sum(h => h.Grown * h.SizeKiB / 1024);
            var room = (node.Facts.MemoryMiB ?? 0) - policy.HostMemoryMiB - node.Facts.HugePages.Sum(p => p.Total * p.SizeKiB / 1024);
            Assert.True(own + (ordinary / policy.MemoryRatio) <= Math.Max(0, room) + 1, $"more memory than there is on node{node.Id}: {own} + {ordinary} of {room}");
        }

        if (plan.Profile.Pool == CpuPool.Shared)
        {
            Assert.True(plan.Dedicated.IsEmpty);
            Assert.All(plan.Vcpus, v => Assert.False(v.Cpus.Overlaps(others) || v.Cpus.IsEmpty));
            return;
        }

        var floating = ledger.Reservations.Where(r => r.Cpus.IsEmpty).ToList();
        var left = (topology.Online - housekeeping - others - plan.Dedicated).Count;
        Assert.True(left * policy.CpuRatio >= floating.Sum(r => r.Vcpus) && floating.All(r => r.Vcpus <= left), "ordinary machines lost the CPUs that they need");
        Assert.True((others | plan.Dedicated).Count * 100 <= topology.Online.Count * policy.DedicatedMaxPercent, "more is dedicated than the policy allows");
        Assert.False(plan.Dedicated.Overlaps(others), "a CPU was given twice");
        Assert.False(plan.Dedicated.Overlaps(housekeeping), "the host's own CPUs were given away");
        Assert.True(plan.Vcpus.All(v => v.Cpus.Count == 1 && v.Cpus.IsSubsetOf(plan.Dedicated)));
        Assert.Equal(plan.Vcpus.Count, plan.Vcpus.Select(v => v.Cpus.First).Distinct().Count());
        Assert.Single(plan.Dedicated.Select(c => topology.CoreOf(c)!.Kind).Distinct());
        Assert.All(plan.Dedicated, c => Assert.True(topology.CoreOf(c)!.Cpus.IsSubsetOf(plan.Dedicated), "half a core"));
        Assert.False(plan.Idle.Overlaps(CpuSet.Union(plan.Vcpus.Select(v => v.Cpus).Concat(plan.IoThreads.Select(t => t.Cpus)).Append(plan.Emulator))));
        foreach (var vcpu in plan.Vcpus)
            Assert.Equal(plan.Nodes[vcpu.GuestNode], topology.Nodes[topology.CoreOf(vcpu.Cpus.First)!.Node].Id);
    }

    private static void Helps(PlacementRefusal refusal, HostTopology topology, Ledger ledger, PlacementPolicy policy, string name)
    {
        Assert.True(refusal.Remedies.Count > 0, $"{name}: {refusal.CodeName} names no remedy");
        foreach (var remedy in refusal.Remedies.Where(r => r.Request is not null))
            Assert.True(PlacementPlanner.Plan(topology, ledger, policy, remedy.Request!, new HostCondition()) is PlacementPlan, $"{name}: {refusal.CodeName}: {remedy.Advice.Text}");
        Assert.Equal(refusal.Remedies.FirstOrDefault(r => r.Request is not null)?.Request, refusal.Nearest);
    }

    private static void Same(PlacementOutcome a, PlacementOutcome b) =>
        Assert.Equal(System.Text.Json.JsonSerializer.Serialize(a), System.Text.Json.JsonSerializer.Serialize(b));

    internal static PlacementRequest Random(Random random, HostInventory host, string vm)
    {
        var profile = Profiles.BuiltIn[random.Next(4)];
        var cpus = host.Cpus.Count;
        var devices = new List<DeviceNeed>();
        var parents = host.PciDevices.Where(d => d.Sriov is { Functions.Count: > 0 }).ToList();
        if (host.PciDevices.Count > 0 && random.Next(4) == 0)
            devices.Add(parents.Count > 0 && random.Next(2) == 0 ? new DeviceNeed { FunctionOf = parents[random.Next(parents.Count)].Address } : new DeviceNeed { Address = host.PciDevices[random.Next(host.PciDevices.Count)].Address });
        return new PlacementRequest
        {
            Vm = vm,
            Vcpus = random.Next(1, Math.Max(2, random.Next(3) == 0 ? cpus : cpus / 8)),
            MemoryMiB = random.Next(5) == 0 ? random.Next(1, 9000) : random.Next(1, 12) * 1024,
            Profile = profile,
            Knobs = new ProfileOverrides { Threads = random.Next(4) == 0 && profile.Pool == CpuPool.Dedicated ? (SmtUse)random.Next(1, 3) : null, Pages = random.Next(4) == 0 ? (PageKind)random.Next(4) : null },
            VirtualNodes = random.Next(6) == 0 ? random.Next(1, 5) : null,
            FastDisks = random.Next(3),
            Devices = devices,
            Allow = new PlacementLeeway(random.Next(4) == 0, random.Next(4) == 0, random.Next(3) == 0, random.Next(3) == 0),
            Tenant = $"t{random.Next(3)}",
        };
    }
}
