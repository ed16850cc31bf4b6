using System.Diagnostics;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>A plan is made while a page is being drawn.</summary>
[Collection(nameof(Alone))]
public sealed class SpeedTests(ITestOutputHelper output)
{
    [Fact]
    public void Plans_and_refusals_on_256_cpus_with_500_machines_are_quick()
    {
        var topology = HostTopology.From(Hosts.TwoCachesPerNode());
        var ledger = new Ledger(500, [.. Enumerable.Range(0, 500).Select(i => i < 40
            ? new Reservation { Vm = $"vm{i:000}", Class = "hpc", Vcpus = 1, Cpus = topology.Cores[(i * 3) + 2].Cpus is var c && (i * 3 + 2) % 16 == 0 ? topology.Cores[(i * 3) + 3].Cpus : c }
            : new Reservation { Vm = $"vm{i:000}", Vcpus = 1, Memory = [new MemoryHold(i % 8, 64)], Tenant = $"t{i % 5}" })]);
        var policy = new PlacementPolicy { CpuRatio = 8 };
        foreach (var (name, request) in new[]
        {
            ("low-latency plan", Asked.For(Profiles.LowLatency, 6, 8)), ("hpc plan on several nodes", Asked.For(Profiles.Hpc, 28, 16)), ("general plan", Asked.For(Profiles.General, 4, 4)),
            ("refusal for cores", Asked.For(Profiles.LowLatency, 40, 8)), ("refusal for pages", Asked.For(Profiles.Hpc, 8, 400)),
        })
        {
            PlacementOutcome outcome = null!;
            for (var i = 0; i < 20; i++)
                outcome = PlacementPlanner.Plan(topology, ledger, policy, request, new HostCondition());
            var times = new List<double>();
            for (var i = 0; i < 40; i++)
            {
                var start = Stopwatch.GetTimestamp();
                outcome = PlacementPlanner.Plan(topology, ledger, policy, request, new HostCondition());
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }

            times.Sort();
            output.WriteLine($"{name}: median {times[20]:0.00} ms, worst {times[^1]:0.00} ms ({(outcome as PlacementRefusal)?.CodeName ?? "plan"})");
            // Far above what is wanted (20 ms), since the machine that runs this has other things to do.
            Assert.True(times[20] < 100, $"{name}: {times[20]:0.0} ms");
        }
    }
}
