namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Memory of each part on its node.</summary>
/// <param name="GrowPages">By how much each node's pool must grow.</param>
internal sealed record MemoryFit(PageKind Kind, long? PageKiB, IReadOnlyList<long> PartMiB, IReadOnlyList<long> GrowPages, long PagesLeft);

/// <summary>Fits memory on nodes: the best pages that are there in all of them, none of them half.</summary>
internal static class MemoryFitter
{
    public static long? KiBOf(PageKind kind) => kind switch
    {
        PageKind.Huge1G => 1024 * 1024,
        PageKind.Huge2M => 2048,
        PageKind.Transparent or PageKind.Small => null,
    };

    public static string NameOf(PageKind kind) => kind switch
    {
        PageKind.Huge1G => "1G",
        PageKind.Huge2M => "2M",
        PageKind.Transparent => "THP",
        PageKind.Small => "4K",
    };

    public static (MemoryFit? Fit, Finding? Problem) Fit(Standing standing, IReadOnlyList<TopologyNode> nodes, PlacementRequest request, Profile profile, bool explain = true)
    {
        var kinds = profile.PagesMayDowngrade || request.Allow.HugeDowngrade ? profile.Pages : profile.Pages.Take(1);
        Finding? first = null;
        foreach (var grow in request.Allow.GrowPool ? [false, true] : (bool[])[false])
            foreach (var kind in kinds)
            {
                var (fit, problem) = Fit(standing, nodes, request, kind, grow, explain);
                if (fit is not null)
                    return (fit, null);
                first ??= problem;
            }

        return (null, first);
    }

    /// <summary>The most MiB that a node could give in any of the ways that are allowed.</summary>
    public static long Most(Standing standing, TopologyNode node, PlacementRequest request, Profile profile)
    {
        var most = 0L;
        foreach (var kind in profile.Pages)
            most = Math.Max(most, KiBOf(kind) is { } size ? (standing.PagesFree(node, size) * size / 1024) + (request.Allow.GrowPool ? standing.MemoryFree(node) : 0) : standing.MemoryFree(node));
        return most;
    }

    private static (MemoryFit? Fit, Finding? Problem) Fit(Standing standing, IReadOnlyList<TopologyNode> nodes, PlacementRequest request, PageKind kind, bool grow, bool explain)
    {
        if (KiBOf(kind) is not { } size)
            return Ordinary(standing, nodes, request, kind, explain);
        var (mib, name) = (Math.Max(1, size / 1024), NameOf(kind));
        if (!standing.HasPages(size))
        {
            var missing = size == 1024 * 1024 ? "pdpe1gb" : name;
            return (null, new Finding(PlacementCode.HugepageSizeUnsupported, Say.RefusePageSize(name, missing)) { Stage = Stage.Memory }.With(("size", name), ("missing", missing)));
        }

        if (request.MemoryMiB % mib != 0)
            return (null, new Finding(PlacementCode.HugepageSizeUnsupported, Say.RefusePageMultiple(request.MemoryMiB, name)) { Stage = Stage.Memory }.With(("size", name), ("memoryMiB", request.MemoryMiB)));
        var pages = Split(request.MemoryMiB / mib, nodes.Count);
        var (grown, left) = (new long[nodes.Count], 0L);
        for (var i = 0; i < nodes.Count; i++)
        {
            var free = standing.PagesFree(nodes[i], size);
            left += Math.Max(0, free - pages[i]);
            if (pages[i] <= free)
                continue;
            grown[i] = pages[i] - free;
            if (grow && grown[i] * mib <= standing.MemoryFree(nodes[i]))
                continue;
            if (!explain)
                return (null, Finding.Unsaid);
            var boot = BootParameter(standing, nodes[i], size, grown[i]);
            return (null, new Finding(PlacementCode.HugepagesShort, Say.RefusePages(pages[i], name, nodes[i].Id, free, boot), grown[i] * mib) { Stage = Stage.Memory }
                .With(("size", name), ("node", nodes[i].Id), ("need", pages[i]), ("free", free), ("bootParameter", boot)));
        }

        return (new MemoryFit(kind, size, [.. pages.Select(p => p * mib)], grown, left), null);
    }

    private static (MemoryFit? Fit, Finding? Problem) Ordinary(Standing standing, IReadOnlyList<TopologyNode> nodes, PlacementRequest request, PageKind kind, bool explain)
    {
        var parts = Split(request.MemoryMiB, nodes.Count);
        for (var i = 0; i < nodes.Count; i++)
            if (standing.MemoryFree(nodes[i]) is var free && parts[i] > free)
                return !explain ? (null, Finding.Unsaid) : (null, new Finding(PlacementCode.NodeMemoryShort, Say.RefuseNodeMemory(parts[i], nodes[i].Id, free), parts[i] - free) { Stage = Stage.Memory }
                    .With(("node", nodes[i].Id), ("need", parts[i]), ("free", free)));
        return (new MemoryFit(kind, null, parts, new long[nodes.Count], 0), null);
    }

    /// <summary>What the kernel must be told so that the pools are there at its next boot.</summary>
    private static string BootParameter(Standing standing, TopologyNode node, long size, long more)
    {
        var pools = standing.Topology.CpuNodes.Select(n => (n.Id, Pages: (n.Facts.HugePages.FirstOrDefault(p => p.SizeKiB == size)?.Total ?? 0) + (n == node ? more : 0))).Where(p => p.Pages > 0);
        return $"hugepagesz={(size == 2048 ? "2M" : "1G")} hugepages={string.Join(',', pools.Select(p => $"{p.Id}:{p.Pages}"))}";
    }

    internal static long[] Split(long units, int parts) => [.. Enumerable.Range(0, parts).Select(i => (units / parts) + (i < units % parts ? 1 : 0))];
}
