using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Scores;

/// <summary>What was measured of a running machine between two looks.</summary>
/// <param name="Seconds">Between the looks.</param>
/// <param name="FaultsPerSecond">Pages that were found without a disk.</param>
/// <param name="MajorFaultsPerSecond">Pages that came from a disk.</param>
/// <param name="Kvm">KVM's counters a second, by name; empty where <paramref name="KvmState"/> says why.</param>
/// <param name="PollSuccessPercent">Of the times that KVM polled for an idle vCPU, how often that saved a sleep; null: it did not poll.</param>
public sealed record EvidenceReport(DateTimeOffset At, double Seconds, IReadOnlyList<VcpuRates> Vcpus, double FaultsPerSecond, double MajorFaultsPerSecond, IReadOnlyList<PressureRate> Pressure,
    IReadOnlyList<NodeRates> Nodes, KvmCounterState KvmState, IReadOnlyDictionary<string, double> Kvm, double? PollSuccessPercent)
{
    /// <summary>Of two looks at one run of a machine; a counter that went back (another run) counts as nothing. Pure.</summary>
    public static EvidenceReport Between(MachineEvidence first, MachineEvidence second)
    {
        var seconds = Math.Max((second.At - first.At).TotalSeconds, 0.001);
        var kvm = second.KvmCounters.Where(c => first.KvmCounters.ContainsKey(c.Key)).ToDictionary(c => c.Key, c => Rate(first.KvmCounters[c.Key], c.Value, seconds));
        var (tried, worked) = (kvm.GetValueOrDefault("halt_attempted_poll"), kvm.GetValueOrDefault("halt_successful_poll"));
        return new EvidenceReport(second.At, seconds,
            [.. second.Vcpus.Zip(first.Vcpus, (now, then) => new VcpuRates(Percent(then.RunNanoseconds, now.RunNanoseconds, seconds), Percent(then.WaitNanoseconds, now.WaitNanoseconds, seconds), Rate(then.Preemptions, now.Preemptions, seconds)))],
            Rate(first.MinorFaults, second.MinorFaults, seconds), Rate(first.MajorFaults, second.MajorFaults, seconds),
            [.. from now in second.Pressure
                from then in first.Pressure
                where now.Resource == then.Resource && now.Source == then.Source
                select new PressureRate(now.Resource, now.Source, now.OfMachine, Percent(then.SomeMicroseconds * 1000, now.SomeMicroseconds * 1000, seconds),
                    now.FullMicroseconds is { } full && then.FullMicroseconds is { } before ? Percent(before * 1000, full * 1000, seconds) : null)],
            [.. from now in second.Nodes
                from then in first.Nodes
                where now.Node == then.Node
                select new NodeRates(now.Node, Rate(then.Misses, now.Misses, seconds), Rate(then.Foreign, now.Foreign, seconds))],
            second.Kvm, kvm, tried > 0 ? Math.Min(100, 100 * worked / tried) : null);
    }

    private static double Rate(long then, long now, double seconds) => Math.Max(0, now - then) / seconds;

    /// <summary>Nanoseconds of the time between, in percent.</summary>
    private static double Percent(long then, long now, double seconds) => Math.Min(100, Math.Max(0, now - then) / (seconds * 1e7));
}

/// <param name="RunPercent">Of the time it ran.</param>
/// <param name="WaitPercent">Of the time it waited for a CPU although it could run: on bare metal there is no such time.</param>
/// <param name="PreemptionsPerSecond">Times that another took its CPU.</param>
public sealed record VcpuRates(double RunPercent, double WaitPercent, double PreemptionsPerSecond);

/// <param name="OfMachine">True: of the machine's own control group; false: of the whole host, which has no such group for it.</param>
/// <param name="SomePercent">Of the time something waited.</param>
/// <param name="FullPercent">Of the time everything waited.</param>
public sealed record PressureRate(string Resource, string Source, bool OfMachine, double SomePercent, double? FullPercent);

/// <param name="MissesPerSecond">Pages that were wanted from another node and came from here.</param>
/// <param name="ForeignPerSecond">Pages that were wanted from here and came from another node.</param>
public sealed record NodeRates(int Node, double MissesPerSecond, double ForeignPerSecond);
