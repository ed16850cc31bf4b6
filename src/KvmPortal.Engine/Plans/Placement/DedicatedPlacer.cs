using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Turns the best candidate into a plan: every thread on its CPU.</summary>
internal sealed class DedicatedPlacer(Standing standing, PlacementRequest request, Profile profile, SearchResult found)
{
    private readonly HostTopology topology = standing.Topology;
    private readonly Candidate best = found.Fitting[0];

    public PlacementPlan Plan()
    {
        var kind = best.Kind;
        var (vcpus, guests) = (new List<VcpuPlace>(), new List<GuestNode>());
        for (var part = 0; part < best.Parts.Count; part++)
        {
            var first = vcpus.Count;
            foreach (var core in best.Parts[part].ForVcpus)
                foreach (var thread in core.Threads.Take(kind.ThreadsPerCore).Take(best.Parts[part].Vcpus - (vcpus.Count - first)))
                    vcpus.Add(new VcpuPlace(vcpus.Count, CpuSet.Of(thread), part));
            guests.Add(new GuestNode(CpuSet.Range(first, vcpus.Count - 1), Backend(part), [.. best.Parts.Select(p => HostTopology.Way(best.Parts[part].Node, p.Node))]));
        }

        var (emulator, io) = Service();
        var dedicated = best.Cpus;
        var own = CpuSet.Union(vcpus.Select(v => v.Cpus).Append(emulator & dedicated).Concat(io.Select(t => t.Cpus & dedicated)));
        var interrupts = HostChores.Interrupts(standing, dedicated);
        var reasons = new PlanReasons(standing, request, profile, found, vcpus, emulator, io, dedicated - own);
        return new PlacementPlan
        {
            LedgerGeneration = standing.Generation,
            Vm = request.Vm,
            Tenant = request.Tenant,
            Profile = profile,
            Exclusivity = HostChores.CanIsolate(standing) ? Exclusivity.Partition : Exclusivity.Soft,
            Nodes = best.NodeIds,
            Vcpus = vcpus,
            Emulator = emulator,
            Vhost = emulator,
            IoThreads = io,
            Dedicated = dedicated,
            Idle = dedicated - own,
            Topology = Topology(),
            GuestNodes = guests,
            Devices = [.. best.Devices.Select(d => new DevicePlace(d.Candidate.Address, d.Candidate.Node?.Id, d.Remote, d.Candidate.Companions))],
            Interrupts = interrupts,
            HostActions = HostChores.Actions(standing, profile, dedicated, [.. guests.Select(g => g.Memory)], best.Devices, interrupts),
            Reasons = reasons.All(Topology()),
            Warnings = [.. Hygiene.Dedicated(standing, request, profile, best, interrupts), .. Hygiene.Devices(standing, best.Devices)],
            Alternatives = [.. found.Fitting.Skip(1).Take(3).Select(Alternative)],
            Cost = new PlacementCost((dedicated - own).Count, best.Parts.Sum(p => p.Pick.CachesBroken), (dedicated & standing.Shared).Count),
            Score = best.Score,
        };
    }

    private MemoryBackend Backend(int part)
    {
        var (node, memory) = (best.Parts[part].Node, best.Memory);
        return new MemoryBackend(memory.PartMiB[part], node.Id, profile.Memory, memory.PageKiB, memory.Kind == PageKind.Transparent, profile.Prealloc,
            Math.Min(16, topology.CoresOfNode[node.Index].Count), profile.LockMemory, memory.GrowPages[part], memory.PageKiB is null ? [new MemoryHold(node.Id, memory.PartMiB[part])] : []);
    }

    /// <summary>The emulator and the I/O threads, on cores of their own, the host's or the shared ones.</summary>
    private (CpuSet Emulator, List<ThreadPlace> Io) Service()
    {
        var need = best.Service;
        var nodes = best.Parts.Select(p => p.Node).ToList();
        var near = CpuSet.Union(nodes.Select(n => n.Cpus)) & standing.Shared;
        var shared = near - best.Cpus is { IsEmpty: false } some ? some : standing.HousekeepingOf(nodes);
        var cores = best.Parts.SelectMany(p => p.ForService).ToList();
        var (forEmulator, forIo) = (cores.Take(need.EmulatorCores).ToList(), cores.Skip(need.EmulatorCores).ToList());
        var slots = need.Packed
            ? forEmulator.SelectMany(c => c.Threads.Skip(1)).Concat(forIo.SelectMany(c => c.Threads)).Take(need.IoThreads).ToList()
            : forIo.Select(c => c.Threads[0]).ToList();
        var emulator = profile.Emulator switch
        {
            EmulatorPlace.OwnCores => CpuSet.Of(forEmulator.SelectMany(c => need.Packed ? c.Threads.Except(slots) : c.Threads.Take(1))),
            EmulatorPlace.Housekeeping => standing.HousekeepingOf(nodes),
            EmulatorPlace.SharedPool => shared,
        };
        var place = profile.IoThreads == IoThreadPlace.SharedPool ? shared : standing.HousekeepingOf(nodes);
        return (emulator, [.. Enumerable.Range(0, need.IoThreads).Select(i => new ThreadPlace($"iothread{i}", need.OwnIo ? CpuSet.Of(slots[i]) : place))]);
    }

    private GuestTopology Topology()
    {
        // Threads are shown only where they are threads of one core for every vCPU.
        var threads = profile.Threads == SmtUse.None || request.Vcpus % best.Kind.ThreadsPerCore != 0 ? 1 : best.Kind.ThreadsPerCore;
        var (parts, packages) = (best.Parts, best.Score.Packages);
        var even = parts.All(p => p.Vcpus == parts[0].Vcpus) && parts[0].Vcpus % threads == 0
            && parts.GroupBy(p => p.Pick.Cores[0].Package).All(g => g.Count() * packages == parts.Count);
        return even ? new GuestTopology(packages, parts.Count / packages, parts[0].Vcpus / threads, threads) : new GuestTopology(1, 1, request.Vcpus / threads, threads);
    }

    private PlacementAlternative Alternative(Candidate other) =>
        new(Say.AlternativeCores(string.Join(", ", other.NodeIds.Select(n => string.Create(CultureInfo.InvariantCulture, $"node{n}"))), other.Cpus.ToString(), PlanReasons.Worse(best.Score, other.Score)),
            request with { OnNodes = other.NodeIds }, other.Score);
}
