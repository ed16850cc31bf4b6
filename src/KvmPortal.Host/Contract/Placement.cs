namespace KvmPortal.Host.Contract;

/// <summary>Where a machine's threads and memory are kept on the host, and what the guest sees of it; the planner's decision, resolved.</summary>
public sealed record MachinePlacement
{
    /// <summary>In the guest's order; CPUs of the host that each vCPU thread may run on.</summary>
    public required IReadOnlyList<CpuSet> Vcpus { get; init; }
    /// <summary>QEMU's main loop and its other threads.</summary>
    public required CpuSet Emulator { get; init; }
    /// <summary>I/O threads by their object id.</summary>
    public IReadOnlyDictionary<string, CpuSet> IoThreads { get; init; } = new Dictionary<string, CpuSet>();
    /// <summary>Kernel threads of vhost.</summary>
    public CpuSet Vhost { get; init; }
    /// <summary>CPUs that nobody else gets, the idle threads beside used ones included; empty for a machine that shares all of its own.</summary>
    public CpuSet Dedicated { get; init; }
    /// <summary>Of the guest; the product is the number of vCPUs.</summary>
    public required int Sockets { get; init; }
    public required int CoresPerSocket { get; init; }
    public required int ThreadsPerCore { get; init; }
    /// <summary>NUMA nodes of the guest; one node without a host node is ordinary memory.</summary>
    public required IReadOnlyList<GuestMemoryNode> Nodes { get; init; }
    /// <summary>Memory is never swapped out (mlock).</summary>
    public bool Locked { get; init; }
    /// <summary>The guest may put its CPUs to sleep itself (`-overcommit cpu-pm=on`): only where they are its own.</summary>
    public bool CpuPowerManagement { get; init; }
    /// <summary>Nobody else, not even another machine of its owner, runs on the other threads of a core while this machine runs on one (core scheduling); for machines that share cores.</summary>
    public bool CoreScheduling { get; init; }
    /// <summary>vCPUs run in the real-time class (SCHED_FIFO); only on a real-time kernel, and only where each has a CPU of its own.</summary>
    public bool Realtime { get; init; }
    /// <summary>Whether a thread that somebody moved is put back; it is told in any case.</summary>
    public bool Repair { get; init; } = true;
}

public enum MemoryPolicy { Default, Preferred, Bind }

/// <param name="Vcpus">Numbers of the guest's CPUs in this node.</param>
/// <param name="HostNode">Null: the kernel chooses.</param>
/// <param name="HugePageKiB">Null: ordinary pages.</param>
/// <param name="PreallocThreads">Threads that touch the memory before the guest runs; 0: not touched.</param>
/// <param name="Distances">To each of the guest's nodes; empty for a single one.</param>
public sealed record GuestMemoryNode(CpuSet Vcpus, int SizeMiB, int? HostNode, MemoryPolicy Policy, long? HugePageKiB, int PreallocThreads, IReadOnlyList<int> Distances);

public enum ThreadRole { Vcpu, Emulator, IoThread, Vhost, Companion }

/// <summary>One thread as the kernel says.</summary>
/// <param name="Index">Of a vCPU; null for others.</param>
/// <param name="Actual">Cpus_allowed_list.</param>
public sealed record PlacedThread(int ThreadId, string Name, ThreadRole Role, int? Index, CpuSet Wanted, CpuSet Actual)
{
    public bool Right => Wanted.IsEmpty || Actual.IsSubsetOf(Wanted);
}

/// <param name="Pages">By page size in KiB: how many MiB of the guest's memory lie on this node (numa_maps).</param>
public sealed record PlacedMemory(int Node, IReadOnlyDictionary<long, long> Pages);

/// <summary>A running machine's placement, read back from /proc.</summary>
/// <param name="Placement">What was wanted; null for a machine without.</param>
/// <param name="Drifts">One sentence for each thing that is not as wanted.</param>
public sealed record PlacementReport(DateTimeOffset At, MachinePlacement? Placement, IReadOnlyList<PlacedThread> Threads, IReadOnlyList<PlacedMemory> Memory, IReadOnlyList<string> Drifts)
{
    /// <summary>Per vCPU in order: nanoseconds that it waited for a CPU although it could run (schedstat), and times that another took its CPU (nonvoluntary_ctxt_switches).</summary>
    public IReadOnlyList<VcpuEvidence> Evidence { get; init; } = [];

    /// <summary>Where a machine without a placement is kept, because other CPUs belong to others alone; empty while none do.</summary>
    public CpuSet SharedPool { get; init; }
}

public sealed record VcpuEvidence(long RunNanoseconds, long WaitNanoseconds, long Preemptions);
