using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>
/// A host's online CPUs as sets within sets: cores, clusters, L3 domains, nodes, packages. Made from sets alone: the kernel's ids of cores, dies and packages
/// repeat and jump, so they are used for nothing but telling sets apart. Everything is in the order of its lowest CPU.
/// </summary>
public sealed class HostTopology
{
    private readonly int[] coreOfCpu;
    private readonly int[] placeOfNode;

    private HostTopology(HostInventory inventory, List<TopologyNode> nodes, List<TopologyCore> cores, int caches, int clusters)
    {
        (Inventory, Nodes, Cores, Caches, Clusters) = (inventory, nodes, cores, caches, clusters);
        coreOfCpu = new int[CpuSet.MaxCpus];
        Array.Fill(coreOfCpu, -1);
        foreach (var core in cores)
            foreach (var cpu in core.Threads)
                coreOfCpu[cpu] = core.Index;
        Online = CpuSet.Union(cores.Select(c => c.Cpus));
        Hybrid = cores.Select(c => c.Kind).Distinct().Count() > 1;
        placeOfNode = new int[nodes.Count == 0 ? 0 : nodes.Max(n => n.Id) + 1];
        Array.Fill(placeOfNode, -1);
        foreach (var node in nodes)
            placeOfNode[node.Id] = node.Index;
        CpuNodes = [.. nodes.Where(n => !n.Cpus.IsEmpty)];
        CoresOfCache = Group(cores, caches, c => c.Cache);
        CoresOfNode = Group(cores, nodes.Count, c => c.Node);
    }

    public HostInventory Inventory { get; }
    /// <summary>By id; those without CPUs too.</summary>
    public IReadOnlyList<TopologyNode> Nodes { get; }
    public IReadOnlyList<TopologyNode> CpuNodes { get; }
    public IReadOnlyList<TopologyCore> Cores { get; }
    /// <summary>How many L3 domains there are; a node without L3 is one.</summary>
    public int Caches { get; }
    public int Clusters { get; }
    public CpuSet Online { get; }
    /// <summary>More than one kind of core.</summary>
    public bool Hybrid { get; }
    internal IReadOnlyList<IReadOnlyList<TopologyCore>> CoresOfCache { get; }
    internal IReadOnlyList<IReadOnlyList<TopologyCore>> CoresOfNode { get; }

    public static HostTopology From(HostInventory inventory)
    {
        var online = inventory.Cpus.Where(c => c.Online).OrderBy(c => c.Id).ToList();
        var all = CpuSet.Of(online.Select(c => c.Id));
        var told = inventory.NumaNodes.Where(n => n.Id is >= 0 and < CpuSet.MaxCpus).OrderBy(n => n.Id).ToList();
        if (!told.Any(n => n.Cpus.Overlaps(all)))
            told = [new NumaNode(0, all, inventory.Memory.TotalMiB, null, new Dictionary<int, int> { [0] = 10 }, told.SelectMany(n => n.HugePages).ToList())];
        var packages = new Dictionary<int, int>();
        var nodes = new List<TopologyNode>();
        foreach (var node in told)
            nodes.Add(new TopologyNode(nodes.Count, node.Id, node.Cpus & all, node));
        var nodeOf = new int[CpuSet.MaxCpus];
        foreach (var node in Enumerable.Reverse(nodes))
            foreach (var cpu in node.Cpus)
                nodeOf[cpu] = node.Index;
        var (caches, clusters, cores, seen) = (new Dictionary<CpuSet, int>(), new Dictionary<CpuSet, int>(), new List<TopologyCore>(), new bool[CpuSet.MaxCpus]);
        foreach (var cpu in online)
        {
            if (seen[cpu.Id])
                continue;
            // A CPU that an earlier core has claimed is not given twice, whatever the kernel says.
            int[] threads = [.. (cpu.Core & all).Append(cpu.Id).Distinct().Where(t => !seen[t]).Order()];
            foreach (var thread in threads)
                seen[thread] = true;
            var node = nodes[nodeOf[cpu.Id]];
            var set = CpuSet.Of(threads);
            var cache = cpu.L3.Contains(cpu.Id) ? cpu.L3 & node.Cpus : node.Cpus;
            var cluster = cpu.Cluster & cache;
            if (cluster.IsSubsetOf(set) || !cluster.Contains(cpu.Id))
                cluster = cache;
            var package = cpu.Package is { } p and >= 0 ? p : -1 - node.Index;
            cores.Add(new TopologyCore(cores.Count, set, threads, node.Index, Number(caches, cache), Number(clusters, cluster), Number(packages, package), cpu.Kind));
        }

        return new HostTopology(inventory, nodes, cores, caches.Count, clusters.Count);
    }

    /// <summary>The node with this id; null where there is none.</summary>
    public TopologyNode? Node(int id) => id >= 0 && id < placeOfNode.Length && placeOfNode[id] >= 0 ? Nodes[placeOfNode[id]] : null;

    /// <summary>The core of an online CPU; null for others.</summary>
    public TopologyCore? CoreOf(int cpu) => cpu is >= 0 and < CpuSet.MaxCpus && coreOfCpu[cpu] >= 0 ? Cores[coreOfCpu[cpu]] : null;

    /// <summary>The longer of both ways; some hosts are asymmetric.</summary>
    public static int Distance(TopologyNode a, TopologyNode b) => Math.Max(Way(a, b), Way(b, a));

    /// <summary>
    /// The node with CPUs that a device is at: as the kernel says, else the one that holds all of its local CPUs. Null where that is no single one.
    /// </summary>
    public TopologyNode? NodeOf(PciDevice device)
    {
        if (Node(device.Node) is { } told)
            return told.Cpus.IsEmpty ? Nearest(told) : told;
        var local = device.LocalCpus & Online;
        if (local.IsEmpty)
            return CpuNodes.Count == 1 ? CpuNodes[0] : null;
        return CpuNodes.SingleOrDefault(n => local.IsSubsetOf(n.Cpus));
    }

    internal static int Way(TopologyNode from, TopologyNode to) => from.Facts.Distances.TryGetValue(to.Id, out var told) ? told : from.Id == to.Id ? 10 : 20;

    private TopologyNode? Nearest(TopologyNode bare)
    {
        var least = CpuNodes.Min(n => Distance(bare, n));
        var near = CpuNodes.Where(n => Distance(bare, n) == least).ToList();
        return near.Count == 1 ? near[0] : null;
    }

    private static int Number<T>(Dictionary<T, int> known, T key)
        where T : notnull
    {
        if (!known.TryGetValue(key, out var number))
            known[key] = number = known.Count;
        return number;
    }

    private static IReadOnlyList<IReadOnlyList<TopologyCore>> Group(List<TopologyCore> cores, int count, Func<TopologyCore, int> by)
    {
        var groups = Enumerable.Range(0, count).Select(_ => new List<TopologyCore>()).ToArray();
        foreach (var core in cores)
            groups[by(core)].Add(core);
        return groups;
    }
}

/// <summary>A core: the set of its online threads. Its other members number the sets that it is in.</summary>
public sealed record TopologyCore(int Index, CpuSet Cpus, IReadOnlyList<int> Threads, int Node, int Cache, int Cluster, int Package, CpuKind Kind);

/// <param name="Cpus">Those online; empty for nodes of memory only.</param>
public sealed record TopologyNode(int Index, int Id, CpuSet Cpus, NumaNode Facts)
{
    /// <summary>There is one record for each node of a topology.</summary>
    public bool Equals(TopologyNode? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => Index;
}
