namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Where vCPUs run: floating in the shared pool, or on whole cores that nobody else gets.</summary>
public enum CpuPool { Shared, Dedicated }

/// <summary>What happens to the other threads of a core: nothing is promised, they idle, or the same machine gets them too.</summary>
public enum SmtUse { None, Isolate, Pair }

/// <summary>How many NUMA nodes a machine may span.</summary>
public enum NodeRule
{
    /// <summary>One that fits, else wherever there is room.</summary>
    PreferOne,
    /// <summary>Exactly one, or it is refused.</summary>
    ExactlyOne,
    /// <summary>As few as will do, mirrored to the guest.</summary>
    Fewest,
    /// <summary>Those of its devices; without devices as few as will do.</summary>
    OfDevices,
}

/// <summary>What a machine's memory is made of.</summary>
public enum PageKind { Small, Transparent, Huge2M, Huge1G }

public enum MemoryBinding { Preferred, Bind }

/// <summary>Where QEMU's own threads run (main loop, vhost).</summary>
public enum EmulatorPlace
{
    SharedPool,
    /// <summary>The housekeeping cores of its nodes.</summary>
    Housekeeping,
    /// <summary>Cores of its own: one, and one more for every four accelerators.</summary>
    OwnCores,
}

/// <summary>Where disks' I/O threads run and how many there are unless the definition says.</summary>
public enum IoThreadPlace
{
    /// <summary>One, in the shared pool.</summary>
    SharedPool,
    /// <summary>One, on the housekeeping cores.</summary>
    Housekeeping,
    /// <summary>One for each fast disk, each on a core of its own.</summary>
    CorePerFastDisk,
    /// <summary>One or two, on cores of the machine's own.</summary>
    OwnCores,
}

/// <summary>How near devices that are passed through must be.</summary>
public enum DeviceRule { Any, LocalOnly, LocalPreferred, SameRootPreferred }

/// <summary>How a machine can leave this host.</summary>
public enum MigrationRule { Live, Cold }

/// <summary>What a machine's owner needs, as knobs: data that operators copy and change.</summary>
public sealed record Profile
{
    /// <summary>general, low-latency, hpc, ai-ml, or the name of an operator's copy.</summary>
    public required string Name { get; init; }
    public CpuPool Pool { get; init; } = CpuPool.Dedicated;
    public SmtUse Threads { get; init; } = SmtUse.Isolate;
    public NodeRule Nodes { get; init; } = NodeRule.Fewest;
    /// <summary>On hosts with two kinds of cores only the fast ones will do.</summary>
    public bool PerformanceCoresOnly { get; init; }
    /// <summary>Best first.</summary>
    public IReadOnlyList<PageKind> Pages { get; init; } = [PageKind.Huge1G, PageKind.Huge2M];
    /// <summary>Takes the next of <see cref="Pages"/> without being asked.</summary>
    public bool PagesMayDowngrade { get; init; }
    public MemoryBinding Memory { get; init; } = MemoryBinding.Bind;
    /// <summary>All pages are touched before the guest runs.</summary>
    public bool Prealloc { get; init; } = true;
    /// <summary>Never swapped.</summary>
    public bool LockMemory { get; init; }
    public EmulatorPlace Emulator { get; init; } = EmulatorPlace.Housekeeping;
    public IoThreadPlace IoThreads { get; init; } = IoThreadPlace.Housekeeping;
    public DeviceRule Devices { get; init; } = DeviceRule.LocalPreferred;
    /// <summary>The guest may put its CPUs to sleep itself: µs wake-ups, but the host shows them as busy.</summary>
    public bool CpuPowerManagement { get; init; }
    /// <summary>Longest wake-up of its CPUs, in microseconds (PM QoS); null: as the host is set.</summary>
    public int? WakeUpMicroseconds { get; init; }
    /// <summary>Its CPUs get the frequency governor `performance`.</summary>
    public bool PerformanceGovernor { get; init; }
    /// <summary>vCPUs in the real-time class; needs a real-time kernel.</summary>
    public bool Realtime { get; init; }
    /// <summary>The guest is told that its CPUs are its own (no yielding spinlocks, its own polling).</summary>
    public bool DedicatedHints { get; init; } = true;
    public bool Balloon { get; init; }
    /// <summary>Equal pages may be merged with those of other machines.</summary>
    public bool MergePages { get; init; }
    public MigrationRule Migration { get; init; } = MigrationRule.Cold;
}
