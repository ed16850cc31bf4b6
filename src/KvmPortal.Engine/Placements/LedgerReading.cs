using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Placements;

/// <summary>Turns the ledger and how the host stands into what people read. Pure.</summary>
internal static class LedgerReading
{
    public static IReadOnlyList<LedgerNode> Nodes(Standing standing, Ledger ledger) => [.. standing.Topology.Nodes.Where(n => !n.Cpus.IsEmpty || n.Facts.MemoryMiB > 0).Select(n => Node(standing, ledger, n))];

    public static IReadOnlyList<LedgerThread> Threads(PlacementPlan? plan) => plan is null ? [] :
    [
        .. plan.Vcpus.Select(v => new LedgerThread(ThreadRole.Vcpu, v.Index, $"vcpu{v.Index}", v.Cpus)),
        .. plan.IoThreads.Select(t => new LedgerThread(ThreadRole.IoThread, null, t.Name, t.Cpus)),
        new LedgerThread(ThreadRole.Emulator, null, "emulator", plan.Emulator),
        new LedgerThread(ThreadRole.Vhost, null, "vhost", plan.Vhost),
    ];

    /// <summary>Asks the planner for each profile, by halving: some dozens of looks, however large the host is.</summary>
    public static IReadOnlyList<LedgerFit> Fits(Standing standing, IEnumerable<Profile> profiles)
    {
        var sizes = new Sizes(standing);
        return [.. profiles.Select(p => Fit(sizes, standing, p))];
    }

    private static LedgerFit Fit(Sizes sizes, Standing standing, Profile profile)
    {
        var all = new PlacementRequest
        {
            Vm = "",
            Vcpus = Math.Min(DefinitionValidator.MostVcpus, standing.Topology.Online.Count),
            MemoryMiB = Math.Max(1, standing.Topology.Nodes.Sum(n => n.Facts.MemoryMiB ?? 0)),
            Profile = profile,
        };
        if (sizes.Largest(all) is { } best)
            return new LedgerFit(profile.Name, profile.Pool, best.Vcpus, best.MemoryMiB, false);
        return sizes.Largest(all with { Allow = new PlacementLeeway(Emulation: true) }) is { } slow ? new LedgerFit(profile.Name, profile.Pool, slow.Vcpus, slow.MemoryMiB, true) : new LedgerFit(profile.Name, profile.Pool, 0, 0, false);
    }

    private static LedgerNode Node(Standing standing, Ledger ledger, TopologyNode node)
    {
        var cores = standing.Topology.CoresOfNode[node.Index];
        return new LedgerNode(node.Id, node.Cpus, cores.Count, cores.Count(c => standing.Free[c.Index]), standing.Dedicated & node.Cpus, standing.Housekeeping & node.Cpus)
        {
            MemoryMiB = node.Facts.MemoryMiB,
            FreeMemoryMiB = standing.MemoryFree(node),
            HugePages = [.. node.Facts.HugePages.OrderBy(p => p.SizeKiB).Select(p => new LedgerPages(p.SizeKiB, p.Total, Held(ledger, node.Id, p.SizeKiB), standing.PagesFree(node, p.SizeKiB)))],
            Caches = [.. cores.GroupBy(c => c.Cache).Select(g => new LedgerCache(CpuSet.Union(g.Select(c => c.Cpus)), g.Count(), g.Count(c => standing.Free[c.Index])))],
        };
    }

    private static long Held(Ledger ledger, int node, long size) => ledger.Reservations.SelectMany(r => r.HugePages).Where(h => h.Node == node && h.SizeKiB == size).Sum(h => h.Pages);
}
