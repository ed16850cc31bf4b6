namespace KvmPortal.Host.Contract;

/// <summary>What the kernel and QEMU have counted of a running machine. All are sums since its start or the host's: two looks make rates.</summary>
/// <param name="Vcpus">In vCPU order.</param>
/// <param name="MinorFaults">Pages that were found without a disk (minflt).</param>
/// <param name="MajorFaults">Pages that came from a disk (majflt).</param>
public sealed record MachineEvidence(DateTimeOffset At, IReadOnlyList<VcpuEvidence> Vcpus, long MinorFaults, long MajorFaults)
{
    /// <summary>Pressure stall information of the machine's control group, else of the whole host; empty where the kernel has none.</summary>
    public IReadOnlyList<PressureEvidence> Pressure { get; init; } = [];
    /// <summary>The host's NUMA nodes (numastat).</summary>
    public IReadOnlyList<NodeEvidence> Nodes { get; init; } = [];
    /// <summary>KVM's own counters by name, summed over the vCPUs: exits, halt_exits, halt_poll_success_ns …; empty where <see cref="Kvm"/> says why.</summary>
    public IReadOnlyDictionary<string, long> KvmCounters { get; init; } = new Dictionary<string, long>();
    public KvmCounterState Kvm { get; init; }
}

/// <summary>Whether there are KVM's counters.</summary>
public enum KvmCounterState
{
    There,
    /// <summary>The machine is emulated: nothing exits to KVM.</summary>
    Emulated,
    /// <summary>QEMU or the kernel does not offer them.</summary>
    NotOffered,
    /// <summary>QEMU did not answer in time.</summary>
    NoAnswer,
}

/// <param name="Resource">cpu, memory or io.</param>
/// <param name="Source">The file.</param>
/// <param name="SomeMicroseconds">For so long something waited.</param>
/// <param name="FullMicroseconds">For so long everything waited; null where the kernel does not tell.</param>
public sealed record PressureEvidence(string Resource, string Source, bool OfMachine, long SomeMicroseconds, long? FullMicroseconds);

/// <param name="Misses">Pages that were wanted from another node and came from here (numa_miss).</param>
/// <param name="Foreign">Pages that were wanted from here and came from another node (numa_foreign).</param>
public sealed record NodeEvidence(int Node, long Misses, long Foreign);
