using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What was found: the candidates that fit, best first, and why other sets of nodes do not.</summary>
internal sealed record SearchResult(IReadOnlyList<Candidate> Fitting, IReadOnlyList<(IReadOnlyList<TopologyNode> Nodes, Finding Why)> Rejected, Finding? Problem);

/// <summary>Looks for whole cores, memory and devices on as few nodes as will do.</summary>
internal sealed class DedicatedSearch(Standing standing, PlacementRequest request, Profile profile, DeviceMatch devices)
{
    private readonly HostTopology topology = standing.Topology;

    public SearchResult Run()
    {
        SearchResult? first = null;
        foreach (var kind in Classes())
        {
            var result = Search(kind);
            if (result.Fitting.Count > 0)
                return result;
            // The attempt that came farthest explains best; of equal ones the first, which is what was really wanted.
            if (first is null || result.Problem!.Stage > first.Problem!.Stage)
                first = result;
        }

        return first!;
    }

    /// <summary>Whether there is any place at all.</summary>
    public bool Any()
    {
        foreach (var kind in Classes())
        {
            var picker = standing.PickerOf(kind);
            foreach (var sets in NodeSets.BySize(standing, request, profile).Where(s => s.Count > 0))
            {
                var likely = Likely(kind, picker, sets[0].Count);
                if (likely.Count >= sets[0].Count && sets.Any(set => set.All(likely.Contains) && Try(kind, picker, set, explain: false).Item1 is not null))
                    return true;
            }
        }

        return false;
    }

    /// <summary>The nodes that could carry an equal part. Spares looking closely at every set of nodes.</summary>
    private HashSet<TopologyNode> Likely(CoreClass kind, CorePicker picker, int size)
    {
        var (cores, memory) = (kind.CoresFor(request.Vcpus) / size, request.MemoryMiB / size);
        return [.. topology.CpuNodes.Where(n => picker.FreeOn(n) >= cores && MemoryFitter.Most(standing, n, request, profile) >= memory - 1023)];
    }

    /// <summary>Kinds of cores in the order in which they are tried. They are never mixed.</summary>
    public IEnumerable<CoreClass> Classes()
    {
        var kinds = topology.Cores.Select(c => c.Kind).Distinct().OrderBy(k => k == CpuKind.Performance ? 0 : k == CpuKind.Unknown ? 1 : 2).ToList();
        if (topology.Hybrid && profile.PerformanceCoresOnly && kinds.Contains(CpuKind.Performance))
            kinds = [CpuKind.Performance];
        foreach (var kind in kinds)
            yield return ClassOf(kind, profile.Threads);
        // Few fast cores: both threads of one are better than slow cores or none, unless the definition says how it wants them.
        if (topology.Hybrid && request.Knobs.Threads is null && profile.Threads == SmtUse.Isolate && kinds[0] == CpuKind.Performance)
            yield return ClassOf(CpuKind.Performance, SmtUse.Pair);
    }

    private CoreClass ClassOf(CpuKind kind, SmtUse smt)
    {
        var threads = smt == SmtUse.Isolate ? 1 : topology.Cores.Where(c => c.Kind == kind).Max(c => c.Threads.Count);
        return new CoreClass(kind, threads > 1 ? SmtUse.Pair : SmtUse.Isolate, threads);
    }

    private SearchResult Search(CoreClass kind)
    {
        var (picker, fitting, rejected) = (standing.PickerOf(kind), new List<Candidate>(), new List<(IReadOnlyList<TopologyNode>, Finding Why)>());
        foreach (var sets in NodeSets.BySize(standing, request, profile))
        {
            foreach (var set in sets)
            {
                var (candidate, why) = Try(kind, picker, set, explain: true);
                if (candidate is not null)
                    fitting.Add(candidate);
                else
                    rejected.Add((set, why!));
            }

            // Wider sets can be better only by bringing a device near.
            if (fitting.Any(c => c.Score.RemoteDevices == 0))
                break;
        }

        fitting.Sort();
        if (fitting.Count > 0)
            return new SearchResult(fitting, rejected, null);
        var problem = rejected.Select(r => r.Why).Where(w => w.Stage > Stage.Cores).OrderByDescending(w => w.Stage).ThenBy(w => w.Code == PlacementCode.DeviceRemote ? 0 : 1).ThenBy(w => w.Deficit).FirstOrDefault();
        return new SearchResult([], rejected, problem is null ? Cores(kind, picker) : Devices(problem));
    }

    private (Candidate?, Finding?) Try(CoreClass kind, CorePicker picker, IReadOnlyList<TopologyNode> set, bool explain)
    {
        if (devices.Pick(set) is not { } picks)
            return (null, new Finding(PlacementCode.DeviceNotFound, Say.RefuseNoDevice("", request.Devices.Count, 0)) { Stage = Stage.Devices });
        var service = ServiceNeed.Of(profile, request, kind, picks);
        var near = set.Count == 1 || service.Cores == 0 ? set[0] : set.OrderByDescending(n => picks.Count(p => p.Candidate.Node == n)).ThenByDescending(picker.FreeOn).ThenBy(n => n.Id).First();
        var cores = MemoryFitter.Split(kind.CoresFor(request.Vcpus), set.Count);
        // Uneven parts: the larger ones where there is more room.
        var roomy = set.OrderByDescending(n => picker.FreeOn(n) - (n == near ? service.Cores : 0)).ThenBy(n => n.Id).ToList();
        var (parts, left) = (new List<(TopologyNode Node, int Vcpus, int VcpuCores, int Cores)>(), request.Vcpus);
        for (var i = 0; i < roomy.Count; i++)
        {
            var (vcpus, all) = (Math.Min(left, (int)cores[i] * kind.ThreadsPerCore), (int)cores[i] + (roomy[i] == near ? service.Cores : 0));
            left -= vcpus;
            if (vcpus == 0 || all > picker.FreeOn(roomy[i]))
                return !explain ? (null, Finding.Unsaid) : (null, new Finding(PlacementCode.NotEnoughFreeCores, Say.RejectCores(all, picker.FreeOn(roomy[i]), roomy[i].Id), all - picker.FreeOn(roomy[i])) { Stage = Stage.Cores });
            parts.Add((roomy[i], vcpus, (int)cores[i], all));
        }

        if (picks.Count > 0 && Rule(set, picks) is { } broken)
            return (null, broken);
        parts.Sort((a, b) => PackageOf(a.Node) != PackageOf(b.Node) ? PackageOf(a.Node).CompareTo(PackageOf(b.Node)) : a.Node.Id.CompareTo(b.Node.Id));
        var (memory, shortage) = MemoryFitter.Fit(standing, [.. parts.Select(p => p.Node)], request, profile, explain);
        if (memory is null)
            return (null, shortage);
        var ordered = parts.Select(p => new CandidatePart(p.Node, p.Vcpus, p.VcpuCores, picker.Pick(p.Node, p.Cores))).ToList();
        var taken = CpuSet.Union(ordered.SelectMany(p => p.Pick.Cores).Select(c => c.Cpus));
        return Floor.Check(standing, taken) is { } floor ? (null, floor) : (new Candidate(ordered, kind, service, picks, memory, Score(ordered, picks, memory)), null);
    }

    private int PackageOf(TopologyNode node) => topology.CoresOfNode[node.Index][0].Package;

    private Finding? Rule(IReadOnlyList<TopologyNode> set, IReadOnlyList<DevicePick> picks)
    {
        var told = request.VirtualNodes is not null || request.OnNodes.Count > 0 || request.Allow.SplitNodes;
        if (profile.Devices == DeviceRule.LocalOnly && !request.Allow.RemoteDevice && picks.FirstOrDefault(p => p.Remote) is { } far)
        {
            var (address, node, distance) = (far.Candidate.Address, far.Candidate.Node!, set.Max(n => HostTopology.Distance(n, far.Candidate.Node!)));
            return new Finding(PlacementCode.DeviceRemote, Say.RejectRemote(address, node.Id, distance), picks.Count(p => p.Remote)) { Stage = Stage.Devices }
                .With(("device", address), ("deviceNode", node.Id), ("distance", distance), ("nodes", string.Join(',', set.Select(n => n.Id))));
        }

        if (profile.Nodes == NodeRule.OfDevices && !told && picks.Any(p => p.Candidate.Node is not null)
            && (set.FirstOrDefault(n => picks.All(p => p.Candidate.Node != n)) is { } bare))
            return new Finding(PlacementCode.DevicesSplitNodes, Say.RejectNoDevice(bare.Id), 1) { Stage = Stage.Devices }.With(("node", bare.Id));
        return null;
    }

    private PlacementScore Score(IReadOnlyList<CandidatePart> parts, IReadOnlyList<DevicePick> picks, MemoryFit memory)
    {
        var distance = 0;
        for (var i = 0; i < parts.Count; i++)
            for (var j = i + 1; j < parts.Count; j++)
                distance += HostTopology.Distance(parts[i].Node, parts[j].Node);
        return new PlacementScore(picks.Count(p => p.Remote), parts.Count, distance, parts.SelectMany(p => p.Pick.Cores).Select(c => c.Package).Distinct().Count(), parts.Sum(p => p.Pick.ExtraCaches),
            parts.Sum(p => p.Pick.ExtraClusters), picks.Count == 0 && parts.Any(p => standing.DeviceRich(p.Node)) ? 1 : 0, parts.Sum(p => p.Pick.Leftover), memory.PagesLeft);
    }

    private Finding Cores(CoreClass kind, CorePicker picker)
    {
        var need = kind.CoresFor(request.Vcpus) + ServiceNeed.Of(profile, request, kind, devices.Pick([]) ?? []).Cores;
        var byNode = string.Join(", ", topology.CpuNodes.Select(n => $"node{n.Id}: {picker.FreeOn(n)}"));
        if (request.VirtualNodes > topology.CpuNodes.Count || request.VirtualNodes > request.Vcpus)
            return Core(new Finding(PlacementCode.CoresFragmentedAcrossNodes, Say.RefuseVirtualNodes(request.VirtualNodes!.Value, topology.CpuNodes.Count)), need, picker.Total, byNode);
        if (picker.Total >= need)
            return Core(new Finding(PlacementCode.CoresFragmentedAcrossNodes, Say.RefuseFragmented(need, byNode)), need, picker.Total, byNode);
        var (fast, slow) = (FreeOf(CpuKind.Performance), FreeOf(CpuKind.Efficiency));
        if (topology.Hybrid && fast + slow >= need)
            return Core(new Finding(PlacementCode.HybridCoresMixed, Say.RefuseHybrid(need, fast, slow)), need, picker.Total, byNode);
        return Core(new Finding(PlacementCode.NotEnoughFreeCores, Say.RefuseCores(need, picker.Total, byNode)), need, picker.Total, byNode);
    }

    private static Finding Core(Finding finding, int need, int free, string byNode) => finding.With(("need", need), ("free", free), ("byNode", byNode)) with { Stage = Stage.Cores };

    private int FreeOf(CpuKind kind) => topology.Cores.Count(c => c.Kind == kind && standing.Free[c.Index]);

    /// <summary>A single node was tried for devices of several: that is another matter than a device which is merely elsewhere.</summary>
    private Finding Devices(Finding problem)
    {
        if (problem.Code != PlacementCode.DeviceRemote || topology.CpuNodes.Any(n => devices.Pick([n])!.All(p => !p.Remote)))
            return problem.Code == PlacementCode.DeviceRemote ? problem with { Message = Say.RefuseRemote(problem.Evidence["device"], problem.Evidence["deviceNode"]) } : problem;
        var where = string.Join(", ", devices.Pick([])!.Select(p => $"{p.Candidate.Address}: {(p.Candidate.Node is { } n ? $"node{n.Id}" : "?")}"));
        return new Finding(PlacementCode.DevicesSplitNodes, Say.RefuseDevicesSplit(where)) { Stage = Stage.Devices }.With(("devices", where));
    }
}
