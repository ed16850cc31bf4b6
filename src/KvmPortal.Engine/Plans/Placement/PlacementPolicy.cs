using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What the operator keeps for the host and allows to machines.</summary>
public sealed record PlacementPolicy
{
    /// <summary>Cores per NUMA node that are the host's own; at least one.</summary>
    public int HousekeepingCoresPerNode { get; init; } = 1;
    /// <summary>These CPUs instead, with all threads of their cores; null: the cores of each node's lowest CPUs.</summary>
    public CpuSet? Housekeeping { get; init; }
    /// <summary>The only CPUs that may be dedicated; null: elastic, whole cores are taken from the shared pool as needed.</summary>
    public CpuSet? DedicatedOnly { get; init; }
    /// <summary>MiB per node that stay the host's, or <see cref="HostMemoryPercent"/> of the node where that is more.</summary>
    public long HostMemoryMiB { get; init; } = 2048;
    public int HostMemoryPercent { get; init; } = 3;
    /// <summary>Most vCPUs of ordinary machines for each shared CPU.</summary>
    public double CpuRatio { get; init; } = 4.0;
    /// <summary>Most memory of ordinary machines for each byte that is there for them.</summary>
    public double MemoryRatio { get; init; } = 1.0;
    /// <summary>Most of the host's CPUs that may be dedicated, in percent.</summary>
    public int DedicatedMaxPercent { get; init; } = 100;
    /// <summary>Machines of the bare-metal class may run under emulation where they say so.</summary>
    public bool EmulationAllowed { get; init; } = true;
    /// <summary>Devices whose node is not known are refused instead of warned of.</summary>
    public bool StrictDeviceNodes { get; init; }
    /// <summary>Ordinary machines of different tenants never share a core's threads unless the kernel schedules by core.</summary>
    public bool StrictTenants { get; init; }
    /// <summary>What machines can ask of a host by name.</summary>
    public IReadOnlyList<string> Labels { get; init; } = [];
}

/// <summary>What is known of a host beside its inventory.</summary>
public sealed record HostCondition
{
    public KvmVerdict Kvm { get; init; } = KvmVerdict.Works;
    /// <summary>Why, in the host's words.</summary>
    public string KvmEvidence { get; init; } = "";
    /// <summary>Since the inventory was read; after <see cref="PlacementPlanner.StaleAfter"/> it is not planned with.</summary>
    public TimeSpan InventoryAge { get; init; }
    /// <summary>How much a machine's process may lock, in MiB; null: no limit.</summary>
    public long? LockLimitMiB { get; init; }
    /// <summary>The portal gives each tenant a core scheduling cookie, so that threads of a core never serve two of them at once.</summary>
    public bool CoreScheduling { get; init; }
    /// <summary>What the kernel said when it refused an isolated partition; null: it did not.</summary>
    public string? PartitionProblem { get; init; }
}
