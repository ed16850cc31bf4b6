using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>How a host stands: what is kept, held and free, computed once for all attempts of a plan.</summary>
internal sealed class Standing
{
    private readonly Dictionary<(int Node, long SizeKiB), long> pagesFree = [];
    private readonly long[] sharedCommitted;
    private readonly long[] exclusiveMemory;
    private readonly long[] plannedMemory;
    private readonly HashSet<int> deviceRich;
    private readonly Dictionary<CoreClass, CorePicker> pickers = [];
    private readonly Dictionary<int, IReadOnlyList<IReadOnlyList<TopologyNode>>> sets = [];

    public Standing(HostTopology topology, Ledger ledger, PlacementPolicy policy, HostCondition condition, string vm)
    {
        (Topology, Generation, Policy, Condition) = (topology, ledger.Generation, policy, condition);
        Others = [.. ledger.Reservations.Where(r => r.Vm != vm)];
        Own = ledger.Reservations.FirstOrDefault(r => r.Vm == vm && r.Running);
        Housekeeping = HousekeepingOf(topology, policy);
        Dedicated = CpuSet.Union(Others.Select(r => r.Cpus));
        Boot = topology.Inventory.Cpu.Isolated & topology.Online;
        var rest = topology.Online - Housekeeping - Dedicated;
        Shared = policy.DedicatedOnly is { } only ? rest - only : rest - Boot;
        // A host of one core has no other place for ordinary machines.
        SharedOrHousekeeping = Shared.IsEmpty ? Housekeeping : Shared;
        var ordinary = Others.Where(r => r.Cpus.IsEmpty).ToList();
        (SharedVcpus, WidestShared) = (ordinary.Sum(r => r.Vcpus), ordinary.Count == 0 ? 0 : ordinary.Max(r => r.Vcpus));
        OtherTenants = [.. ordinary.Select(r => r.Tenant).Distinct()];
        Held = [.. Others.SelectMany(r => r.Devices)];
        Free = [.. topology.Cores.Select(c => IsFree(c, policy.DedicatedOnly))];
        var nodes = topology.Nodes.Count;
        (sharedCommitted, exclusiveMemory, plannedMemory) = (new long[nodes], new long[nodes], new long[nodes]);
        CountMemory();
        deviceRich = [.. topology.Inventory.PciDevices.Where(d => IsWanted(d) && !Held.Contains(d.Address)).Select(d => topology.NodeOf(d)?.Index ?? -1)];
    }

    public HostTopology Topology { get; }
    public long Generation { get; }
    public PlacementPolicy Policy { get; }
    public HostCondition Condition { get; }
    /// <summary>Reservations of other machines.</summary>
    public IReadOnlyList<Reservation> Others { get; }
    /// <summary>What the machine itself has while it runs: it may keep that.</summary>
    private Reservation? Own { get; }
    public CpuSet Housekeeping { get; }
    /// <summary>Held by other machines of the dedicated class.</summary>
    public CpuSet Dedicated { get; }
    /// <summary>Isolated at boot: free for dedication, no place for ordinary machines.</summary>
    public CpuSet Boot { get; }
    public CpuSet Shared { get; }
    public CpuSet SharedOrHousekeeping { get; }
    public int SharedVcpus { get; }
    public int WidestShared { get; }
    public IReadOnlyList<string?> OtherTenants { get; }
    public HashSet<string> Held { get; }
    /// <summary>By core: it may be dedicated.</summary>
    public bool[] Free { get; }

    /// <summary>Remembers what it picked: the many attempts of a refusal ask again and again for the same.</summary>
    public CorePicker PickerOf(CoreClass kind)
    {
        if (!pickers.TryGetValue(kind, out var picker))
            pickers[kind] = picker = new CorePicker(this, kind);
        return picker;
    }

    /// <summary>All sets of so many nodes with CPUs, those within one package before others.</summary>
    public IReadOnlyList<IReadOnlyList<TopologyNode>> SetsOf(int size)
    {
        if (!sets.TryGetValue(size, out var made))
            sets[size] = made = NodeSets.OfSize(Topology, size);
        return made;
    }

    /// <summary>It has accelerators or virtual functions to give, which other machines may want to be near to.</summary>
    public bool DeviceRich(TopologyNode node) => deviceRich.Contains(node.Index);

    /// <summary>Huge pages of a node that nobody holds.</summary>
    public long PagesFree(TopologyNode node, long sizeKiB) => Math.Max(0, pagesFree.GetValueOrDefault((node.Index, sizeKiB)));

    /// <summary>Whether the host offers pages of this size at all.</summary>
    public bool HasPages(long sizeKiB)
    {
        var inventory = Topology.Inventory;
        if (sizeKiB == 1024 * 1024 && inventory.Cpu.Architecture is "x86_64" or "amd64")
            return inventory.Cpu.Flags.Contains("pdpe1gb");
        return sizeKiB == 2048 && inventory.Cpu.Architecture is "x86_64" or "amd64" || Topology.Nodes.Any(n => n.Facts.HugePages.Any(p => p.SizeKiB == sizeKiB));
    }

    /// <summary>MiB of a node that stay the host's.</summary>
    public long HostMemory(TopologyNode node) => Math.Max(Policy.HostMemoryMiB, (node.Facts.MemoryMiB ?? 0) * Policy.HostMemoryPercent / 100);

    /// <summary>MiB of ordinary pages that a node has for machines beside those with memory of their own.</summary>
    public long SharedMemory(TopologyNode node) => Math.Max(0, (node.Facts.MemoryMiB ?? 0) - HostMemory(node) - Pools(node) - exclusiveMemory[node.Index]);

    /// <summary>MiB of it that ordinary machines were promised.</summary>
    public long SharedCommitted(TopologyNode node) => sharedCommitted[node.Index];

    /// <summary>MiB of ordinary pages that can be given for good, or made into huge ones.</summary>
    public long MemoryFree(TopologyNode node)
    {
        var promised = (long)Math.Ceiling(SharedCommitted(node) / Math.Max(Policy.MemoryRatio, 1));
        var room = SharedMemory(node) - promised;
        var own = Own?.Memory.Where(m => m.Node == node.Id).Sum(m => m.MiB) ?? 0;
        return Math.Max(0, node.Facts.FreeMiB is { } free ? Math.Min(room, free + own - HostMemory(node) - plannedMemory[node.Index]) : room);
    }

    /// <summary>CPUs of the node that the host keeps; of the whole host where the node has none.</summary>
    public CpuSet HousekeepingOf(IEnumerable<TopologyNode> nodes)
    {
        var near = Housekeeping & CpuSet.Union(nodes.Select(n => n.Cpus));
        return near.IsEmpty ? Housekeeping : near;
    }

    private static CpuSet HousekeepingOf(HostTopology topology, PlacementPolicy policy)
    {
        var kept = new List<TopologyCore>();
        if (policy.Housekeeping is { } told)
            kept.AddRange((told & topology.Online).Select(c => topology.CoreOf(c)!).Distinct());
        if (kept.Count == 0)
            foreach (var node in topology.CpuNodes)
            {
                var cores = topology.CoresOfNode[node.Index];
                var usual = cores.Where(c => !c.Cpus.Overlaps(topology.Inventory.Cpu.Isolated)).ToList();
                kept.AddRange((usual.Count == 0 ? cores : usual).Take(Math.Max(1, policy.HousekeepingCoresPerNode)));
            }

        if (policy.Housekeeping is null && topology.CoreOf(0) is { } first && !kept.Contains(first))
            kept.Add(first);
        return CpuSet.Union(kept.Select(c => c.Cpus));
    }

    private bool IsFree(TopologyCore core, CpuSet? only) =>
        !core.Cpus.Overlaps(Housekeeping) && !core.Cpus.Overlaps(Dedicated) && (only is null || core.Cpus.IsSubsetOf(only.Value));

    private static bool IsWanted(PciDevice device) => (ServiceNeed.IsAccelerator(device) && !device.BootVga) || device is { PhysicalFunction: null, Sriov.Total: > 0 };

    private static long Pools(TopologyNode node) => node.Facts.HugePages.Sum(p => p.SizeKiB * p.Total) / 1024;

    private void CountMemory()
    {
        var (held, planned) = (new Dictionary<(int, long), long>(), new Dictionary<(int, long), long>());
        foreach (var other in Others)
        {
            foreach (var hold in other.Memory)
                if (Topology.Node(hold.Node) is { } node)
                {
                    (other.Cpus.IsEmpty ? sharedCommitted : exclusiveMemory)[node.Index] += hold.MiB;
                    if (!other.Running)
                        plannedMemory[node.Index] += hold.MiB;
                }

            foreach (var hold in other.HugePages)
                if (Topology.Node(hold.Node) is { } node)
                {
                    // Running machines' pages are gone from the kernel's count of free ones, planned machines' are not; pages to be made are still ordinary memory.
                    var grown = other.Running ? 0 : hold.Grown;
                    var key = (node.Index, hold.SizeKiB);
                    held[key] = held.GetValueOrDefault(key) + hold.Pages - grown;
                    if (other.Running)
                        continue;
                    planned[key] = planned.GetValueOrDefault(key) + hold.Pages - grown;
                    exclusiveMemory[node.Index] += grown * hold.SizeKiB / 1024;
                    plannedMemory[node.Index] += grown * hold.SizeKiB / 1024;
                }
        }

        foreach (var node in Topology.Nodes)
            foreach (var pool in node.Facts.HugePages)
                if ((node.Index, pool.SizeKiB) is var key)
                    pagesFree[key] = Math.Min(pool.Total - held.GetValueOrDefault(key), pool.Free - planned.GetValueOrDefault(key) + OwnPages(node, pool));
    }

    private long OwnPages(TopologyNode node, HugePagePool pool) => Own?.HugePages.Where(h => h.Node == node.Id && h.SizeKiB == pool.SizeKiB).Sum(h => h.Pages) ?? 0;
}
