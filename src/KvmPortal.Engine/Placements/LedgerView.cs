using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Placements;

/// <summary>Who holds what of the host, and what is free.</summary>
/// <param name="SharedCpus">CPUs that ordinary machines run on.</param>
/// <param name="SharedVcpus">vCPUs of ordinary machines that run now.</param>
public sealed record LedgerView(long Generation, IReadOnlyList<LedgerLine> Lines, IReadOnlyList<LedgerNode> Nodes, CpuSet SharedCpus, int SharedVcpus)
{
    /// <summary>CPUs that stay the host's.</summary>
    public CpuSet Housekeeping { get; init; }
    /// <summary>The largest machine of each profile that would find a place now.</summary>
    public IReadOnlyList<LedgerFit> Fits { get; init; } = [];
}

/// <summary>One line of the ledger.</summary>
/// <param name="Name">Of the machine; null for one that is no more.</param>
public sealed record LedgerLine(VmId VmId, string? Name, Reservation Held)
{
    public DateTimeOffset Since { get; init; }
    /// <summary>Where its threads belong; empty where a former version of the portal recorded no more than what is held.</summary>
    public IReadOnlyList<LedgerThread> Threads { get; init; } = [];
    /// <summary>CPUs of it that stay empty beside used ones.</summary>
    public CpuSet Idle { get; init; }
}

/// <param name="Index">Of a vCPU; null for others.</param>
public sealed record LedgerThread(ThreadRole Role, int? Index, string Name, CpuSet Cpus);

/// <summary>What is free on one NUMA node.</summary>
/// <param name="FreeCores">Whole cores that nobody holds, the host's own left out.</param>
/// <param name="Housekeeping">CPUs that stay the host's.</param>
public sealed record LedgerNode(int Id, CpuSet Cpus, int Cores, int FreeCores, CpuSet Dedicated, CpuSet Housekeeping)
{
    /// <summary>Null where the kernel does not say.</summary>
    public long? MemoryMiB { get; init; }
    /// <summary>Ordinary pages that can still be given for good, in MiB.</summary>
    public long FreeMemoryMiB { get; init; }
    public IReadOnlyList<LedgerPages> HugePages { get; init; } = [];
    /// <summary>Cores that share an L3 cache; what is free over many of them is fragmented.</summary>
    public IReadOnlyList<LedgerCache> Caches { get; init; } = [];
}

/// <summary>A node's pool of huge pages of one size.</summary>
/// <param name="Held">By machines, whether they run already or not.</param>
/// <param name="Free">That the next machine could have.</param>
public sealed record LedgerPages(long SizeKiB, long Total, long Held, long Free);

public sealed record LedgerCache(CpuSet Cpus, int Cores, int FreeCores);

/// <summary>The largest machine of a profile that would find a place now: as many vCPUs as fit, then as much memory as fits with them.</summary>
/// <param name="Pool">Where it would run.</param>
/// <param name="Vcpus">0: none fits, not even a small one.</param>
/// <param name="Emulated">Only without KVM, which the machine must allow.</param>
public sealed record LedgerFit(string Profile, CpuPool Pool, int Vcpus, long MemoryMiB, bool Emulated);
