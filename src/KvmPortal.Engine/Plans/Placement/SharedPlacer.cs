using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Places an ordinary machine: its vCPUs float in the shared pool of a node where it fits, or of the whole host where it fits on none.</summary>
internal sealed class SharedPlacer(Standing standing, PlacementRequest request, Profile profile, DeviceMatch devices)
{
    private readonly HostTopology topology = standing.Topology;

    private sealed record Option(IReadOnlyList<TopologyNode> Nodes, CpuSet Cpus, IReadOnlyList<DevicePick> Devices, MemoryFit? Huge, long[] Weights, int Vcpus);

    public (PlacementPlan? Plan, Finding? Problem) Place()
    {
        var pool = standing.SharedOrHousekeeping;
        if (request.Vcpus + standing.SharedVcpus > pool.Count * standing.Policy.CpuRatio)
        {
            var (all, ratio) = (request.Vcpus + standing.SharedVcpus, standing.Policy.CpuRatio.ToString("0.##", CultureInfo.InvariantCulture));
            return (null, new Finding(PlacementCode.SharedPoolFloor, Say.RefuseSharedFull(all, pool.Count, ratio)).With(("vcpus", all), ("cpus", pool.Count), ("ratio", ratio)));
        }

        var options = topology.CpuNodes.Where(n => request.OnNodes.Count == 0 || request.OnNodes.Contains(n.Id)).Select(n => OnNode(n, pool)).ToList();
        var fitting = options.Where(o => o.Option is not null).Select(o => o.Option!).OrderBy(o => o.Devices.Count(d => d.Remote)).ThenBy(o => request.Vcpus > o.Cpus.Count ? 1 : 0)
            .ThenBy(o => (double)o.Vcpus / o.Cpus.Count).ThenBy(o => Rich(o)).ThenByDescending(o => o.Weights[0]).ThenBy(o => o.Nodes[0].Id).ToList();
        if (fitting.Count > 0)
            return (Plan(fitting[0], fitting.Skip(1), [.. options.Where(o => o.Problem is not null).Select(o => o.Problem!)]), null);
        var huge = options.Select(o => o.Problem).FirstOrDefault(p => p is { Code: not PlacementCode.MemOvercommitDenied and not PlacementCode.SharedPoolFloor });
        if (huge is not null)
            return (null, huge);
        var rooms = topology.Nodes.Select(n => Math.Max(0, Room(n))).ToArray();
        if (rooms.Sum() < request.MemoryMiB || request.OnNodes.Count > 0)
            return (null, Denied(topology.Nodes));
        return (Plan(new Option(topology.Nodes, pool, devices.Pick(topology.Nodes)!, null, rooms, standing.SharedVcpus + request.Vcpus), [], [.. options.Select(o => o.Problem!)]), null);
    }

    private (Option? Option, Finding? Problem) OnNode(TopologyNode node, CpuSet pool)
    {
        var cpus = pool & node.Cpus;
        if (cpus.IsEmpty)
            return (null, new Finding(PlacementCode.SharedPoolFloor, Say.RejectNoShared(node.Id)));
        var picks = devices.Pick([node])!;
        if (profile.Devices == DeviceRule.LocalOnly && !request.Allow.RemoteDevice && picks.FirstOrDefault(p => p.Remote) is { } far)
            return (null, new Finding(PlacementCode.DeviceRemote, Say.RejectRemote(far.Candidate.Address, far.Candidate.Node!.Id, HostTopology.Distance(node, far.Candidate.Node)))
                .With(("device", far.Candidate.Address), ("deviceNode", far.Candidate.Node.Id)));
        var vcpus = standing.Others.Where(r => r.Cpus.IsEmpty && r.Memory.Any(m => m.Node == node.Id)).Sum(r => r.Vcpus) + request.Vcpus;
        if (MemoryFitter.KiBOf(profile.Pages[0]) is not null)
        {
            var (fit, problem) = MemoryFitter.Fit(standing, [node], request, profile);
            return fit is null ? (null, problem) : (new Option([node], cpus, picks, fit, [0], vcpus), null);
        }

        return Room(node) < request.MemoryMiB ? (null, Denied([node])) : (new Option([node], cpus, picks, null, [Room(node)], vcpus), null);
    }

    /// <summary>MiB that may still be promised on a node.</summary>
    private long Room(TopologyNode node) => (long)(standing.SharedMemory(node) * standing.Policy.MemoryRatio) - standing.SharedCommitted(node);

    private int Rich(Option option) => devices.IsEmpty && option.Nodes.Any(standing.DeviceRich) ? 1 : 0;

    private Finding Denied(IReadOnlyList<TopologyNode> nodes)
    {
        var (committed, physical, ratio) = (nodes.Sum(standing.SharedCommitted), nodes.Sum(standing.SharedMemory), standing.Policy.MemoryRatio.ToString("0.##", CultureInfo.InvariantCulture));
        return new Finding(PlacementCode.MemOvercommitDenied, Say.RefuseMemory(request.MemoryMiB, committed, physical, ratio))
            .With(("need", request.MemoryMiB), ("committed", committed), ("physical", physical), ("ratio", ratio));
    }

    private PlacementPlan Plan(Option option, IEnumerable<Option> others, IReadOnlyList<Finding> rejected)
    {
        var (one, node) = (option.Nodes.Count == 1, option.Nodes[0]);
        var all = CpuSet.Range(0, request.Vcpus - 1);
        var holds = one ? [new MemoryHold(node.Id, request.MemoryMiB)] : Spread(option);
        var (huge, fit) = (option.Huge?.PageKiB, option.Huge);
        var backend = new MemoryBackend(request.MemoryMiB, one ? node.Id : null, profile.Memory, huge, (fit?.Kind ?? profile.Pages[0]) == PageKind.Transparent, profile.Prealloc || huge is not null,
            Math.Min(16, Math.Max(1, topology.CoresOfNode[node.Index].Count)), profile.LockMemory, fit?.GrowPages[0] ?? 0, huge is null ? holds : []);
        var emulator = profile.Emulator == EmulatorPlace.SharedPool ? option.Cpus : standing.HousekeepingOf(option.Nodes);
        var io = profile.IoThreads == IoThreadPlace.SharedPool ? option.Cpus : standing.HousekeepingOf(option.Nodes);
        var where = one ? $"node{node.Id}" : "host";
        List<PlacementReason> reasons =
        [
            new("nodes", where, [one ? Say.BecauseSharedNode(node.Id) : Say.BecauseSharedHost], [.. others.Take(4).Select(o => new PlacementRejection($"node{o.Nodes[0].Id}", Say.WorseShared)),
                .. rejected.Take(4).Select(r => new PlacementRejection(r.Code.ToString(), r.Message))]),
            new($"vcpu0-{request.Vcpus - 1}", $"cpu {option.Cpus}", [Say.BecauseSharedPool], []),
            new("memory0", $"{request.MemoryMiB} MiB {MemoryFitter.NameOf(fit?.Kind ?? profile.Pages[0])}", [huge is null ? Say.BecausePreferred : Say.BecauseHugeAsked], []),
            .. option.Devices.Select(d => PlanReasons.Device(d, topology)),
        ];
        return new PlacementPlan
        {
            LedgerGeneration = standing.Generation,
            Vm = request.Vm,
            Tenant = request.Tenant,
            Profile = profile,
            Exclusivity = Exclusivity.None,
            Nodes = [.. option.Nodes.Select(n => n.Id)],
            Vcpus = [.. all.Select(i => new VcpuPlace(i, option.Cpus, 0))],
            Emulator = emulator,
            Vhost = emulator,
            IoThreads = [.. Enumerable.Range(0, request.IoThreads ?? 1).Select(i => new ThreadPlace($"iothread{i}", io))],
            Dedicated = CpuSet.Empty,
            Idle = CpuSet.Empty,
            Topology = new GuestTopology(1, 1, request.Vcpus, 1),
            GuestNodes = [new GuestNode(all, backend, [10])],
            Devices = [.. option.Devices.Select(d => new DevicePlace(d.Candidate.Address, d.Candidate.Node?.Id, d.Remote, d.Candidate.Companions))],
            HostActions = HostChores.Actions(standing, profile, CpuSet.Empty, [backend], option.Devices, []),
            Reasons = reasons,
            Warnings = [.. Hygiene.Shared(standing, request, profile, option.Nodes, option.Cpus, huge is null), .. Hygiene.Devices(standing, option.Devices)],
            Alternatives = [.. others.Take(3).Select(o => new PlacementAlternative(Say.AlternativeNode(o.Nodes[0].Id.ToString(CultureInfo.InvariantCulture)), request with { OnNodes = [o.Nodes[0].Id] }, Score(o)))],
            Cost = new PlacementCost(0, 0, 0),
            Score = Score(option),
        };
    }

    private PlacementScore Score(Option option) => new(option.Devices.Count(d => d.Remote), option.Nodes.Count, 0, 0, 0, 0, Rich(option), 0, option.Huge?.PagesLeft ?? 0);

    private IReadOnlyList<MemoryHold> Spread(Option option)
    {
        var (holds, left) = (new List<MemoryHold>(), request.MemoryMiB);
        foreach (var node in option.Nodes.OrderByDescending(n => option.Weights[n.Index]).ThenBy(n => n.Id))
        {
            var share = Math.Min(left, option.Weights[node.Index]);
            if (share > 0)
                holds.Add(new MemoryHold(node.Id, share));
            left -= share;
        }

        return [.. holds.OrderBy(h => h.Node)];
    }
}
