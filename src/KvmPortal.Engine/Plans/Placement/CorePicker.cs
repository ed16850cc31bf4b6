using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Cores of one kind, all or those with as many threads as the widest when both threads are to be used.</summary>
/// <param name="ThreadsPerCore">How many vCPUs a core carries.</param>
internal sealed record CoreClass(CpuKind Kind, SmtUse Smt, int ThreadsPerCore)
{
    public int CoresFor(int vcpus) => (vcpus + ThreadsPerCore - 1) / ThreadsPerCore;
}

/// <summary>Cores taken on a node, in the order in which they are used, with what that costs.</summary>
internal sealed record CorePick(IReadOnlyList<TopologyCore> Cores, int ExtraCaches, int ExtraClusters, int Leftover, int CachesBroken);

/// <summary>
/// Chooses cores within nodes: whole L3 domains first, the rest where it fits best, and so again for clusters within a domain. Ids decide only between equals.
/// </summary>
internal sealed class CorePicker
{
    private readonly Standing standing;
    private readonly CoreClass kind;
    private readonly Dictionary<(int Node, int Count), CorePick> known = [];
    private readonly int[] free;

    public CorePicker(Standing standing, CoreClass kind)
    {
        (this.standing, this.kind) = (standing, kind);
        free = [.. standing.Topology.Nodes.Select(n => standing.Topology.CoresOfNode[n.Index].Count(IsFree))];
    }

    /// <summary>How many cores of the class are free.</summary>
    public int FreeOn(TopologyNode node) => free[node.Index];

    public int Total => free.Sum();

    /// <summary>Asks for no more than <see cref="FreeOn"/>.</summary>
    public CorePick Pick(TopologyNode node, int count)
    {
        if (!known.TryGetValue((node.Index, count), out var pick))
            known[(node.Index, count)] = pick = Choose(node, count);
        return pick;
    }

    private bool IsFree(TopologyCore core) => standing.Free[core.Index] && Fits(core);

    private bool Fits(TopologyCore core) => core.Kind == kind.Kind && (kind.Smt != SmtUse.Pair || core.Threads.Count == kind.ThreadsPerCore);

    private CorePick Choose(TopologyNode node, int count)
    {
        var all = standing.Topology.CoresOfNode[node.Index].Where(Fits).ToList();
        var caches = all.GroupBy(c => c.Cache).Select(g => g.Where(IsFree).ToList()).Where(g => g.Count > 0).ToList();
        var picked = new List<TopologyCore>();
        while (picked.Count < count)
        {
            var need = count - picked.Count;
            var fitting = caches.Where(c => c.Count >= need).ToList();
            if (fitting.Count == 0)
            {
                var largest = caches.MaxBy(c => c.Count)!;
                picked.AddRange(Within(largest, largest.Count));
                caches.Remove(largest);
                continue;
            }

            picked.AddRange(fitting.Select(c => (Cache: c, Taken: Within(c, need))).OrderBy(c => c.Cache.Count).ThenBy(c => Clusters(c.Taken)).ThenBy(c => c.Cache[0].Index).First().Taken);
        }

        return Weigh(all, picked, count);
    }

    private static List<TopologyCore> Within(List<TopologyCore> cache, int count)
    {
        var clusters = cache.GroupBy(c => c.Cluster).Select(g => g.ToList()).ToList();
        if (clusters.Count == 1)
            return cache[..count];
        var picked = new List<TopologyCore>();
        while (picked.Count < count)
        {
            var need = count - picked.Count;
            var best = clusters.Where(c => c.Count >= need).MinBy(c => c.Count) ?? clusters.MaxBy(c => c.Count)!;
            picked.AddRange(best.Take(need));
            clusters.Remove(best);
        }

        return picked;
    }

    private CorePick Weigh(List<TopologyCore> all, List<TopologyCore> picked, int count)
    {
        var taken = picked.CountBy(c => c.Cache).ToDictionary();
        var (leftover, broken) = (0, 0);
        foreach (var cache in all.GroupBy(c => c.Cache).Where(g => taken.ContainsKey(g.Key)))
        {
            var (before, after) = (cache.Count(IsFree), cache.Count(IsFree) - taken[cache.Key]);
            leftover += after;
            broken += after > 0 && before == cache.Count() ? 1 : 0;
        }

        var caches = taken.Count - Least(all.CountBy(c => c.Cache).Select(c => c.Value), count);
        return new CorePick(picked, caches, Clusters(picked) - Least(all.CountBy(c => c.Cluster).Select(c => c.Value), count), leftover, broken);
    }

    private static int Clusters(IEnumerable<TopologyCore> cores) => cores.Select(c => c.Cluster).Distinct().Count();

    /// <summary>How many domains of these sizes so many cores need at least.</summary>
    private static int Least(IEnumerable<int> sizes, int count)
    {
        var (used, covered) = (0, 0);
        foreach (var size in sizes.OrderDescending())
        {
            if (covered >= count)
                break;
            covered += size;
            used++;
        }

        return used;
    }
}
