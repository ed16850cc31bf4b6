using System.Diagnostics;
using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Bench;

/// <summary>Planning where a machine goes on a host of 256 CPUs with 500 machines: plans and refusals.</summary>
internal static class PlanScenario
{
    private const int Rounds = 200;

    public static async Task RunAsync(Report report)
    {
        await using var file = File.OpenRead(Path.Combine(Root(), "tests/KvmPortal.Host.Tests/Golden/inventory/f2b-epyc-64c-nps4.json"));
        var inventory = (await JsonSerializer.DeserializeAsync<HostInventory>(file, PortalJson.Options))!;
        // The made-up host has no huge pages; a plan that is refused at once would be a quick one.
        var topology = HostTopology.From(inventory with { NumaNodes = [.. inventory.NumaNodes.Select(n => n with { HugePages = [new(2048, 8192, 8192, 0), new(1 << 20, 24, 24, 0)] })] });
        var ledger = new Ledger(500, [.. Enumerable.Range(0, 500).Select(i => i < 40
            ? new Reservation { Vm = $"vm{i:000}", Class = "hpc", Vcpus = 1, Cpus = topology.Cores[(i * 3 % topology.Cores.Count) + (i * 3 % 16 == 0 ? 1 : 0)].Cpus }
            : new Reservation { Vm = $"vm{i:000}", Vcpus = 1, Memory = [new MemoryHold(i % 8, 64)] })]);
        report.Line($"{topology.Online.Count} CPUs, {ledger.Reservations.Count} machines");
        var worst = 0.0;
        foreach (var (name, profile, vcpus, gib) in ((string, Profile, int, int)[])[("low-latency", Profiles.LowLatency, 6, 8), ("hpc on several nodes", Profiles.Hpc, 28, 16), ("general", Profiles.General, 4, 4), ("too many cores", Profiles.LowLatency, 60, 8), ("too much memory", Profiles.Hpc, 8, 4000)])
        {
            var request = new PlacementRequest { Vm = "new", Vcpus = vcpus, MemoryMiB = gib * 1024L, Profile = profile };
            var times = new List<double>();
            PlacementOutcome outcome = null!;
            for (var i = -50; i < Rounds; i++)
            {
                var begun = Stopwatch.GetTimestamp();
                outcome = PlacementPlanner.Plan(topology, ledger, new PlacementPolicy { CpuRatio = 8 }, request, new HostCondition { Kvm = KvmVerdict.Works });
                if (i >= 0)
                    times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
            }

            report.Series($"{name} ({(outcome is PlacementRefusal refusal ? refusal.CodeName : "plan")})", times, "ms");
            worst = Math.Max(worst, Report.Median(times));
        }

        report.Target("the slowest kind of plan", worst, 20, atMost: true, " ms");
    }

    private static string Root()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "KvmPortal.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The bench is not below its solution.");
        return folder;
    }
}
