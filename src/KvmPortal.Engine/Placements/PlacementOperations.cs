using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Placements;

/// <summary>Where one machine was put, and where it is.</summary>
/// <param name="Pool">Where its profile has it: in the shared pool a machine floats and has no place.</param>
/// <param name="Since">When its place was taken.</param>
/// <param name="Plan">As it was decided; null for a machine that holds no place.</param>
/// <param name="Report">Read back from the running machine now; null while it does not run.</param>
public sealed record VmPlacementView(VmId VmId, string Profile, CpuPool Pool, DateTimeOffset? Since, PlacementPlan? Plan, PlacementReport? Report);

/// <summary>What the planner says of a definition that is being written.</summary>
/// <param name="Asked">What the definition asks for.</param>
/// <param name="Outcome">Null for ordinary machines, which float in the shared pool.</param>
/// <param name="Costs">What its own knobs cost against the profile.</param>
/// <param name="SharedCpus">CPUs of the shared pool.</param>
/// <param name="SharedVcpus">vCPUs of other ordinary machines that run now.</param>
public sealed record PlacementPreview(PlacementRequest Asked, PlacementOutcome? Outcome, IReadOnlyList<Sentence> Costs, CpuSet SharedCpus, int SharedVcpus);

/// <summary>The verbs on places that both doors call.</summary>
public sealed class PlacementOperations
{
    private const int MostOwnProfiles = 20;

    private readonly PlacementLedger ledger;
    private readonly PlacementReader reader;
    private readonly VmTracker tracker;
    private readonly IMachineHost host;
    private volatile Known? known;

    internal PlacementOperations(PlacementLedger ledger, PlacementReader reader, VmTracker tracker, IMachineHost host) => (this.ledger, this.reader, this.tracker, this.host) = (ledger, reader, tracker, host);

    /// <summary>What would fit changes only with these.</summary>
    private sealed record Known(HostTopology Topology, long Generation, KvmVerdict Kvm, IReadOnlyList<(string, int)> Profiles, IReadOnlyList<LedgerFit> Fits);

    public async Task<LedgerView> LedgerAsync(Caller caller, CancellationToken ct)
    {
        var facts = await host.GetFactsAsync(ct);
        var (standing, now) = await reader.StandingAsync(facts, ct);
        var plans = (await ledger.LinesAsync(ct)).ToDictionary(r => r.VmId);
        var machines = await tracker.AllAsync(ct);
        var names = machines.ToDictionary(v => v.Id, v => v.Name);
        var lines = now.Reservations.Select(held => (Id: VmId.Parse(held.Vm, null), held)).Select(l => plans.GetValueOrDefault(l.Id) is { } row
            ? new LedgerLine(l.Id, names.GetValueOrDefault(l.Id), l.held) { Since = row.Since, Threads = LedgerReading.Threads(row.Plan), Idle = row.Plan?.Idle ?? default }
            : new LedgerLine(l.Id, names.GetValueOrDefault(l.Id), l.held));
        return new LedgerView(now.Generation, [.. lines], LedgerReading.Nodes(standing, now), standing.Topology.Online - standing.Dedicated, SharedVcpus(machines, now, null))
        {
            Housekeeping = standing.Housekeeping,
            Fits = Fits(standing, facts, await reader.ProfilesAsync(MostOwnProfiles, ct)),
        };
    }

    /// <summary>The machine's place as recorded and, while it runs, as measured now. Throws NotFound.</summary>
    public async Task<VmPlacementView> GetAsync(Caller caller, VmId id, CancellationToken ct)
    {
        var vm = await tracker.FindAsync(id, ct) ?? throw PortalException.NotFound("virtual machine", id.ToString());
        var line = await ledger.LineAsync(id, ct);
        PlacementReport? report = null;
        if (vm.Status.Pid is not null)
        {
            try
            {
                report = await host.InspectPlacementAsync(id.Value, ct);
            }
            catch (HostException e) when (e.Error is HostError.NotFound or HostError.NotRunning or HostError.WrongState)
            {
                // It ended between the two looks.
            }
        }

        return new VmPlacementView(id, vm.Profile, (await reader.FindProfileAsync(vm.Profile, ct) ?? Profiles.General).Pool, line?.Since, line?.Plan, report);
    }

    /// <summary>Plans a definition that is being written, without keeping anything; null where its own figures are wrong.</summary>
    /// <param name="id">Of the machine that is changed; null for a new one.</param>
    public async Task<PlacementPreview?> PreviewAsync(Caller caller, VmId? id, VmDefinition definition, CancellationToken ct)
    {
        if (PlacementOffer.Problems(definition).Count > 0)
            return null;
        var vm = id ?? default;
        var (topology, now, machines) = (await reader.TopologyAsync(ct), await ledger.ReadAsync(ct), await tracker.AllAsync(ct));
        if (await reader.FindProfileAsync(definition.Profile, ct) is not { } profile)
            return null;
        var asked = PlacementReader.RequestOf(vm, definition, profile);
        var outcome = PlacementReader.Wants(profile) ? await reader.PlanAsync(vm, definition, profile, await host.GetFactsAsync(ct), ct) : null;
        return new PlacementPreview(asked, outcome, [.. asked.Knobs.Costs(asked.Profile)], topology.Online - CpuSet.Union(now.Reservations.Select(r => r.Cpus)), SharedVcpus(machines, now, id));
    }

    private static int SharedVcpus(IEnumerable<VmSummary> machines, Ledger now, VmId? but)
    {
        var held = now.Reservations.Select(r => VmId.Parse(r.Vm, null)).ToHashSet();
        return machines.Where(v => v.Status.Pid is not null && v.Id != but && !held.Contains(v.Id)).Sum(v => v.CpuCount);
    }

    private IReadOnlyList<LedgerFit> Fits(Standing standing, HostFacts facts, IReadOnlyList<(Profile Knobs, int Version)> profiles)
    {
        var versions = profiles.Select(p => (p.Knobs.Name, p.Version)).ToList();
        if (known is { } last && ReferenceEquals(last.Topology, standing.Topology) && (last.Generation, last.Kvm) == (standing.Generation, facts.Kvm.Verdict) && last.Profiles.SequenceEqual(versions))
            return last.Fits;
        var fits = LedgerReading.Fits(standing, profiles.Select(p => p.Knobs));
        known = new Known(standing.Topology, standing.Generation, facts.Kvm.Verdict, versions, fits);
        return fits;
    }
}
