using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Scores;

/// <summary>All that the score is made from, read beforehand.</summary>
public sealed record ScoreInput
{
    /// <summary>That the machine runs with; of a stopped one as it is stored.</summary>
    public required VmDefinition Definition { get; init; }
    public required Accelerator Accelerator { get; init; }
    public bool Running { get; init; }
    /// <summary>As resolved for this host; null where it cannot be started now.</summary>
    public MachineSpec? Spec { get; init; }
    /// <summary>QEMU's command line; empty where there is none.</summary>
    public IReadOnlyList<string> Argv { get; init; } = [];
    /// <summary>Where its threads are kept, or would be; null for one that floats.</summary>
    public MachinePlacement? Placement { get; init; }
    /// <summary>Why it gets no place of its own: the planner's refusal.</summary>
    public Sentence? Refused { get; init; }
    /// <summary>Of a running machine, read back from the kernel.</summary>
    public PlacementReport? Report { get; init; }
    /// <summary>What holds it in and others off, of a running machine.</summary>
    public ConfinementReport? Confinement { get; init; }
    public required HostInventory Host { get; init; }
    public required HostFacts Facts { get; init; }

    /// <summary>CPUs of its vCPUs; empty for one that floats.</summary>
    internal CpuSet Cpus => Placement is null ? CpuSet.Empty : CpuSet.Union(Placement.Vcpus);

    /// <summary>CPUs that matter for its speed: its own, or all that it may float over.</summary>
    internal CpuSet Used => Cpus is { IsEmpty: false } own ? own : Host.Cpu.Online;

    internal bool Emulated => Accelerator == Accelerator.Tcg;

    internal bool ManyNodes => Host.NumaNodes.Count(n => !n.Cpus.IsEmpty) > 1;

    /// <summary>The first argument that has these words; null where there is none.</summary>
    internal string? Argument(string words) => Argv.FirstOrDefault(a => a.Contains(words, StringComparison.Ordinal));
}
