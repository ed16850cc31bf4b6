using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Where every thread, page, interrupt and device of a machine goes, and why.</summary>
public sealed record PlacementPlan : PlacementOutcome
{
    /// <summary>The generation that it may be recorded on.</summary>
    public required long LedgerGeneration { get; init; }
    public required string Vm { get; init; }
    public string? Tenant { get; init; }
    /// <summary>As it applies, overridden knobs included.</summary>
    public required Profile Profile { get; init; }
    /// <summary>Enforced by the kernel, kept by affinity only, or none in the shared pool.</summary>
    public required Exclusivity Exclusivity { get; init; }
    /// <summary>Host nodes, in the order of the guest's.</summary>
    public required IReadOnlyList<int> Nodes { get; init; }
    /// <summary>In the guest's order.</summary>
    public required IReadOnlyList<VcpuPlace> Vcpus { get; init; }
    public required CpuSet Emulator { get; init; }
    public required IReadOnlyList<ThreadPlace> IoThreads { get; init; }
    /// <summary>Of vhost's kernel threads.</summary>
    public required CpuSet Vhost { get; init; }
    /// <summary>CPUs that nobody else gets, <see cref="Idle"/> included; empty in the shared pool.</summary>
    public required CpuSet Dedicated { get; init; }
    /// <summary>Threads that stay empty beside used ones.</summary>
    public required CpuSet Idle { get; init; }
    public required GuestTopology Topology { get; init; }
    public required IReadOnlyList<GuestNode> GuestNodes { get; init; }
    public IReadOnlyList<DevicePlace> Devices { get; init; } = [];
    public IReadOnlyList<InterruptMove> Interrupts { get; init; } = [];
    /// <summary>In the order in which they are done; undone in reverse.</summary>
    public IReadOnlyList<HostAction> HostActions { get; init; } = [];
    public IReadOnlyList<PlacementReason> Reasons { get; init; } = [];
    public IReadOnlyList<Sentence> Warnings { get; init; } = [];
    public IReadOnlyList<string?> WarningCodes => [.. Warnings.Select(w => w.Code)];
    /// <summary>At most three, best first.</summary>
    public IReadOnlyList<PlacementAlternative> Alternatives { get; init; } = [];
    public required PlacementCost Cost { get; init; }
    public required PlacementScore Score { get; init; }

    /// <summary>What the machine holds by this plan.</summary>
    public Reservation ToReservation(bool running = false) => new()
    {
        Vm = Vm,
        Class = Profile.Name,
        Tenant = Tenant,
        Running = running,
        Vcpus = Vcpus.Count,
        Cpus = Dedicated,
        HugePages = [.. from m in GuestNodes.Select(n => n.Memory) where m.HugePageKiB is not null && m.HostNode is not null
                        select new HugePageHold(m.HostNode!.Value, m.HugePageKiB!.Value, m.SizeMiB * 1024 / m.HugePageKiB.Value, m.GrowPages)],
        Memory = [.. GuestNodes.Select(n => n.Memory).Where(m => m.HugePageKiB is null).SelectMany(m => m.Holds)],
        Devices = [.. Devices.SelectMany(d => d.Companions.Prepend(d.Address)).Distinct()],
    };
}

public enum Exclusivity { None, Soft, Partition }

/// <param name="GuestNode">Index into <see cref="PlacementPlan.GuestNodes"/>.</param>
public sealed record VcpuPlace(int Index, CpuSet Cpus, int GuestNode);

public sealed record ThreadPlace(string Name, CpuSet Cpus);

/// <summary>Exactly as pinned. The product is the number of vCPUs; machines without dies take sockets times dies as sockets.</summary>
public sealed record GuestTopology(int Sockets, int Dies, int Cores, int Threads);

/// <summary>A NUMA node of the guest.</summary>
/// <param name="Vcpus">Their numbers.</param>
/// <param name="Distances">To each of the guest's nodes, as on the host.</param>
public sealed record GuestNode(CpuSet Vcpus, MemoryBackend Memory, IReadOnlyList<int> Distances);

/// <param name="HostNode">Null: the host places it.</param>
/// <param name="HugePageKiB">Null: ordinary pages.</param>
/// <param name="Transparent">Ordinary pages that the kernel may merge into huge ones (madvise).</param>
/// <param name="GrowPages">How many pages the node's pool must grow by first.</param>
/// <param name="Holds">What the ledger counts for it, by host node.</param>
public sealed record MemoryBackend(long SizeMiB, int? HostNode, MemoryBinding Binding, long? HugePageKiB, bool Transparent, bool Prealloc, int PreallocThreads, bool Locked, long GrowPages,
    IReadOnlyList<MemoryHold> Holds);

/// <param name="Node">Null: not known.</param>
/// <param name="Companions">Functions of the same group that go along.</param>
public sealed record DevicePlace(string Address, int? Node, bool Remote, IReadOnlyList<string> Companions);

/// <param name="Managed">The kernel places it and will refuse; null: found out only by trying.</param>
public sealed record InterruptMove(int Number, string Name, CpuSet From, CpuSet To, bool? Managed);

public enum HostActionKind { GrowPool, Partition, MoveInterrupt, WakeUpLimit, Governor, BindDevice }

/// <param name="Subject">What is written to: node0/1048576kB, cpu 1-8, irq 42.</param>
/// <param name="Value">What it is set to.</param>
public sealed record HostAction(HostActionKind Kind, string Subject, string Value, Sentence Summary)
{
    public string? SummaryCode => Summary.Code;
}

/// <param name="ThreadsIdle">Threads that stay empty.</param>
/// <param name="CachesBroken">L3 domains that were wholly free and are not any more, without being filled.</param>
/// <param name="SharedCpusTaken">CPUs that leave the shared pool.</param>
public sealed record PlacementCost(int ThreadsIdle, int CachesBroken, int SharedCpusTaken);
