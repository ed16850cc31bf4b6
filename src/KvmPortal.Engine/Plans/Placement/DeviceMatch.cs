using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>A device that may be passed through.</summary>
/// <param name="Node">Null: not known.</param>
/// <param name="Companions">Other functions that must go along.</param>
/// <param name="Root">The topmost bridge above it, or its bus.</param>
internal sealed record DeviceCandidate(PciDevice Device, TopologyNode? Node, IReadOnlyList<string> Companions, string Root)
{
    public string Address => Device.Address;
}

/// <summary>A device that was chosen for a set of nodes.</summary>
internal sealed record DevicePick(DeviceCandidate Candidate, bool Remote);

/// <summary>Which devices could meet a request's needs, and which of them suit a set of nodes best.</summary>
internal sealed class DeviceMatch
{
    private readonly List<(DeviceNeed Need, List<DeviceCandidate> Candidates)> needs;

    private DeviceMatch(List<(DeviceNeed, List<DeviceCandidate>)> needs) => this.needs = needs;

    public static DeviceMatch None { get; } = new([]);

    public bool IsEmpty => needs.Count == 0;

    /// <summary>The needs that can be met in only one way, with the node of that device.</summary>
    public IEnumerable<(DeviceNeed Need, IReadOnlyList<DeviceCandidate> Candidates)> Needs => needs.Select(n => (n.Need, (IReadOnlyList<DeviceCandidate>)n.Candidates));

    /// <summary>Either a match or what stands against it.</summary>
    public static (DeviceMatch? Match, Finding? Problem) Of(Standing standing, PlacementRequest request)
    {
        if (request.Devices.Count == 0)
            return (None, null);
        var facts = new DeviceFacts(standing);
        if (facts.IommuOff() is { } off)
            return (null, off);
        // The most particular wishes first, so that a vague one does not take what another must have.
        var ordered = request.Devices.OrderBy(n => n.Address is not null ? 0 : n.FunctionOf is not null ? 1 : n.Model is not null ? 2 : 3).ThenBy(n => n.ToString(), StringComparer.Ordinal).ToList();
        var named = ordered.Where(n => n.Address is not null).Select(n => n.Address!).ToHashSet();
        var needs = new List<(DeviceNeed, List<DeviceCandidate>)>();
        foreach (var need in ordered)
        {
            var (candidates, problem) = facts.For(need);
            if (problem is not null)
                return (null, problem);
            if (need.Address is null)
                candidates.RemoveAll(c => named.Contains(c.Address));
            needs.Add((need, candidates));
        }

        var match = new DeviceMatch(needs);
        return match.Pick([]) is null ? (null, DeviceFacts.NotEnough(needs[^1].Item1, needs[^1].Item2.Count)) : (match, null);
    }

    /// <summary>The devices nearest to these nodes; null when there are not enough of them.</summary>
    public IReadOnlyList<DevicePick>? Pick(IReadOnlyList<TopologyNode> nodes)
    {
        if (needs.Count == 0)
            return [];
        var picks = new List<DevicePick>();
        var taken = new HashSet<string>();
        foreach (var (need, candidates) in needs)
        {
            var roots = picks.Select(p => p.Candidate.Root).ToHashSet();
            var best = candidates.Where(c => !taken.Contains(c.Address) && !c.Companions.Any(taken.Contains))
                .OrderBy(c => c.Node is null ? 1 : nodes.Contains(c.Node) ? 0 : 2).ThenBy(c => roots.Contains(c.Root) ? 0 : 1).ThenBy(c => c.Address, StringComparer.Ordinal).Take(need.Count).ToList();
            if (best.Count < need.Count)
                return null;
            foreach (var pick in best)
            {
                taken.Add(pick.Address);
                taken.UnionWith(pick.Companions);
                picks.Add(new DevicePick(pick, pick.Node is not null && !nodes.Contains(pick.Node)));
            }
        }

        return picks;
    }
}
