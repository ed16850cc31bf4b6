namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Sets of nodes to try, smallest first, those within one package before others.</summary>
internal static class NodeSets
{
    private const int Widest = 4;
    private const int AllSizes = 8;
    private const int Most = 5000;

    public static IEnumerable<IReadOnlyList<IReadOnlyList<TopologyNode>>> BySize(Standing standing, PlacementRequest request, Profile profile)
    {
        var topology = standing.Topology;
        if (request.OnNodes.Count > 0)
        {
            List<TopologyNode> told = [.. topology.CpuNodes.Where(n => request.OnNodes.Contains(n.Id))];
            if (told.Count == request.OnNodes.Distinct().Count() && (told.Count == 1 || profile.Nodes != NodeRule.ExactlyOne || request.Allow.SplitNodes) && (request.VirtualNodes ?? told.Count) == told.Count)
                yield return [told];
            yield break;
        }

        var (one, all) = (profile.Nodes == NodeRule.ExactlyOne && !request.Allow.SplitNodes, topology.CpuNodes.Count);
        if (request.VirtualNodes is { } asked)
        {
            if (asked == 1 || !one)
                yield return standing.SetsOf(asked);
            yield break;
        }

        var most = one ? 1 : all <= AllSizes ? all : Widest;
        for (var size = 1; size <= most; size++)
            yield return standing.SetsOf(size);
        // Too many nodes to try every set of them; still, a machine may want the whole host.
        if (!one && all > most)
            yield return standing.SetsOf(all);
    }

    public static IReadOnlyList<IReadOnlyList<TopologyNode>> OfSize(HostTopology topology, int size) =>
        [.. Combinations(topology.CpuNodes, size).Take(Most).OrderBy(s => s.Select(n => topology.CoresOfNode[n.Index][0].Package).Distinct().Count())];

    private static IEnumerable<IReadOnlyList<TopologyNode>> Combinations(IReadOnlyList<TopologyNode> nodes, int size)
    {
        if (size < 1 || size > nodes.Count)
            yield break;
        var at = Enumerable.Range(0, size).ToArray();
        while (true)
        {
            yield return [.. at.Select(i => nodes[i])];
            var move = size - 1;
            while (move >= 0 && at[move] == nodes.Count - size + move)
                move--;
            if (move < 0)
                yield break;
            at[move]++;
            for (var i = move + 1; i < size; i++)
                at[i] = at[i - 1] + 1;
        }
    }
}
