using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Says for each choice of a plan why it was made and what was not taken.</summary>
internal sealed class PlanReasons(Standing standing, PlacementRequest request, Profile profile, SearchResult found, IReadOnlyList<VcpuPlace> vcpus, CpuSet emulator,
    IReadOnlyList<ThreadPlace> io, CpuSet idle)
{
    private const int MostRejected = 6;

    private readonly HostTopology topology = standing.Topology;
    private readonly Candidate best = found.Fitting[0];

    public IReadOnlyList<PlacementReason> All(GuestTopology guest) =>
    [
        Nodes(), Threads(), .. best.Parts.Select((p, i) => Vcpus(p, i)), Guest(guest), .. best.Parts.Select((p, i) => Memory(p, i)), Emulator(),
        .. io.Select(Io), new("vhost", $"cpu {emulator}", [Say.BecauseVhost], []), .. best.Devices.Select(d => Device(d, topology)),
    ];

    public static PlacementReason Device(DevicePick pick, HostTopology topology) =>
        new($"device {pick.Candidate.Address}", pick.Candidate.Node is { } n ? Name(n.Id) : "?",
            [pick.Candidate.Node is null ? Say.BecauseNodeUnknown : pick.Remote ? Say.BecauseDeviceRemote(pick.Candidate.Node.Id)
                : pick.Candidate.Device.Node < 0 && topology.CpuNodes.Count > 1 ? Say.BecauseLocalCpus(pick.Candidate.Node.Id) : Say.BecauseDeviceNear(pick.Candidate.Node.Id),
             .. pick.Candidate.Companions.Count == 0 ? (Sentence[])[] : [Say.BecauseCompanions(string.Join(", ", pick.Candidate.Companions))]], []);

    /// <summary>The first thing in which a score is worse.</summary>
    public static Sentence Worse(PlacementScore best, PlacementScore other)
    {
        var (a, b) = (best.Criteria(), other.Criteria());
        var at = Enumerable.Range(0, a.Length).FirstOrDefault(i => a[i] != b[i], -1);
        return at switch
        {
            0 => Say.WorseRemote(b[0]),
            1 => Say.WorseNodes(b[1], a[1]),
            2 => Say.WorseDistance(b[2], a[2]),
            3 => Say.WorsePackages(b[3], a[3]),
            4 => Say.WorseCaches(b[4], a[4]),
            5 => Say.WorseClusters(b[5], a[5]),
            6 => Say.WorseDeviceRich,
            7 => Say.WorseLeftover(b[7], a[7]),
            8 => Say.WorsePages(b[8], a[8]),
            _ => Say.WorseNumber,
        };
    }

    private PlacementReason Nodes()
    {
        var because = new List<Sentence>();
        foreach (var device in best.Devices.Where(d => d.Candidate.Node is not null && !d.Remote))
            because.Add(Say.BecauseDeviceHere(device.Candidate.Address, device.Candidate.Node!.Id));
        if (best.Parts.Count == 1)
            because.Add(Say.BecauseOneNode);
        else
            because.Add(Say.BecauseSpan(best.Parts.Count, best.Score.Distance, best.Score.Packages));
        var rejected = found.Fitting.Skip(1).Take(MostRejected / 2).Select(c => new PlacementRejection(Names(c.NodeIds), Worse(best.Score, c.Score)))
            .Concat(found.Rejected.Take(MostRejected).Select(r => new PlacementRejection(Names(r.Nodes.Select(n => n.Id)), r.Why.Message))).Take(MostRejected);
        return new PlacementReason("nodes", Names(best.NodeIds), because, [.. rejected]);
    }

    private PlacementReason Threads() => best.Kind.Smt == SmtUse.Pair
        ? new("threads", "pair", [profile.Threads == SmtUse.Isolate ? Say.BecauseFewFastCores : Say.BecausePair(best.Kind.ThreadsPerCore)], [])
        : new("threads", "isolate", [idle.IsEmpty ? Say.BecauseNoSmt : Say.BecauseIsolate(idle.ToString())], []);

    private PlacementReason Vcpus(CandidatePart part, int index)
    {
        var mine = vcpus.Where(v => v.GuestNode == index).ToList();
        var because = new List<Sentence> { Say.BecauseWholeCores };
        if (best.Devices.FirstOrDefault(d => d.Candidate.Node == part.Node) is { } near)
            because.Add(Say.BecauseSameNode(near.Candidate.Address, part.Node.Id));
        var (caches, clusters) = (part.Pick.Cores.Select(c => c.Cache).Distinct().Count(), part.Pick.Cores.Select(c => c.Cluster).Distinct().Count());
        because.Add(caches == 1 ? Say.BecauseOneCache : Say.BecauseCaches(caches));
        if (part.Pick.Cores.Any(c => topology.CoresOfCache[c.Cache].Any(o => o.Cluster != c.Cluster)))
            because.Add(Say.BecauseClusters(clusters));
        if (topology.Hybrid)
            because.Add(best.Kind.Kind == CpuKind.Performance ? Say.BecauseFastOnly : Say.BecauseSlowOnly);
        List<PlacementRejection> rejected = [];
        if ((standing.Housekeeping & part.Node.Cpus) is { IsEmpty: false } kept)
            rejected.Add(new PlacementRejection($"cpu {kept}", Say.KeptForHost));
        rejected.AddRange(standing.Others.Where(r => r.Cpus.Overlaps(part.Node.Cpus)).OrderBy(r => r.Cpus.First).Take(MostRejected)
            .Select(r => new PlacementRejection($"cpu {r.Cpus & part.Node.Cpus}", Say.HeldByMachine(r.Vm))));
        return new PlacementReason(mine.Count == 1 ? Text($"vcpu{mine[0].Index}") : Text($"vcpu{mine[0].Index}-{mine[^1].Index}"), $"cpu {CpuSet.Union(mine.Select(v => v.Cpus))}", because, rejected);
    }

    private static PlacementReason Guest(GuestTopology guest) =>
        new("topology", Text($"sockets={guest.Sockets},dies={guest.Dies},cores={guest.Cores},threads={guest.Threads}"), [Say.BecauseAsPinned], []);

    private PlacementReason Memory(CandidatePart part, int index)
    {
        var memory = best.Memory;
        var pages = memory.PageKiB is { } size ? Text($"{memory.PartMiB[index] * 1024 / size} x {MemoryFitter.NameOf(memory.Kind)}") : Text($"{memory.PartMiB[index]} MiB {MemoryFitter.NameOf(memory.Kind)}");
        var because = new List<Sentence> { profile.Memory == MemoryBinding.Bind ? Say.BecauseBound(part.Node.Id) : Say.BecausePreferred };
        if (memory.Kind != profile.Pages[0])
            because.Add(Say.BecauseDowngrade(MemoryFitter.NameOf(profile.Pages[0]), MemoryFitter.NameOf(memory.Kind)));
        if (memory.GrowPages[index] > 0)
            because.Add(Say.BecauseGrown(memory.GrowPages[index]));
        return new PlacementReason(Text($"memory{index}"), $"{pages} {Name(part.Node.Id)}", because, []);
    }

    private PlacementReason Emulator() => new("emulator", $"cpu {emulator}", [profile.Emulator switch
    {
        EmulatorPlace.OwnCores => Say.BecauseOwnEmulator,
        EmulatorPlace.Housekeeping => Say.BecauseHousekeeping,
        EmulatorPlace.SharedPool => Say.BecauseSharedPool,
    }], []);

    private PlacementReason Io(ThreadPlace thread) => new(thread.Name, $"cpu {thread.Cpus}",
        [best.Service.OwnIo ? Say.BecauseOwnIo(request.FastDisks) : profile.IoThreads == IoThreadPlace.SharedPool ? Say.BecauseSharedPool : Say.BecauseHousekeeping], []);

    private static string Names(IEnumerable<int> nodes) => string.Join(",", nodes.Select(Name));

    private static string Name(int node) => Text($"node{node}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
