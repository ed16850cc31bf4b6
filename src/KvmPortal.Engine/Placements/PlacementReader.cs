using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Placements;

/// <summary>Reads what the placement planner needs, and asks it.</summary>
internal sealed class PlacementReader(IMachineHost host, PlacementLedger ledger, PortalStore store, TimeProvider time)
{
    /// <summary>So long an inventory is planned with before it is read anew; the planner itself would take an older one.</summary>
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(10);

    private volatile Known? known;

    private sealed record Known(HostTopology Topology, long ReadAt, long Generation);

    /// <summary>Whether a machine of this definition gets a place of its own: ordinary machines float in the shared pool.</summary>
    public static bool Wants(Profile profile) => profile.Pool == CpuPool.Dedicated;

    /// <summary>What a definition's profile means. Throws Invalid when there is none of that name.</summary>
    public async Task<Profile> ProfileAsync(string name, CancellationToken ct) =>
        await FindProfileAsync(name, ct) ?? throw PortalException.Invalid([UnknownProfile(name)]);

    /// <summary>Null when there is none of that name.</summary>
    public async Task<Profile?> FindProfileAsync(string name, CancellationToken ct) =>
        Profiles.Find(name) ?? await store.ReadAsync(db => db.Profiles.Where(p => p.Name == name).Select(p => p.Knobs).FirstOrDefaultAsync(ct), ct);

    /// <summary>The portal's own and then the operators' by name, the first <paramref name="most"/> of them.</summary>
    public async Task<IReadOnlyList<(Profile Knobs, int Version)>> ProfilesAsync(int most, CancellationToken ct)
    {
        var own = await store.ReadAsync(db => db.Profiles.OrderBy(p => p.Name).Take(most).Select(p => new { p.Name, p.Knobs, p.Version }).ToListAsync(ct), ct);
        return [.. Profiles.BuiltIn.Select(p => (p, 0)), .. own.Select(p => (p.Knobs with { Name = p.Name }, p.Version))];
    }

    public static Problem UnknownProfile(string name) =>
        new Problem("/profile", "unknown-profile", Say.NoSuchProfile(name.Length > 64 ? name[..64] : name)).WithFit(Profiles.General.Name);

    /// <summary>Where a machine of this definition would go now, or why nowhere; in sentences that name machines by their names.</summary>
    public async Task<PlacementOutcome> PlanAsync(VmId id, VmDefinition definition, Profile profile, HostFacts facts, CancellationToken ct)
    {
        var now = await ledger.ReadAsync(ct);
        var outcome = PlacementPlanner.Plan(await TopologyAsync(ct, now.Generation), now, Policy, RequestOf(id, definition, profile), ConditionOf(facts, definition.Accelerator));
        return PlacementNames.Say(outcome, await NamesAsync(now, ct));
    }

    private async Task<Dictionary<string, string>> NamesAsync(Ledger now, CancellationToken ct)
    {
        var held = now.Reservations.Select(r => VmId.Parse(r.Vm, null)).ToList();
        return held.Count == 0 ? [] : await store.ReadAsync(db => db.Vms.Where(v => held.Contains(v.Id)).Select(v => new { v.Id, v.Name }).ToDictionaryAsync(v => v.Id.ToString(), v => v.Name, ct), ct);
    }

    /// <summary>How the host stands for a machine that holds nothing yet.</summary>
    public async Task<(Standing Standing, Ledger Ledger)> StandingAsync(HostFacts facts, CancellationToken ct)
    {
        var now = await ledger.ReadAsync(ct);
        return (new Standing(await TopologyAsync(ct, now.Generation), now, Policy, ConditionOf(facts, AcceleratorChoice.Auto), ""), now);
    }

    private static PlacementPolicy Policy { get; } = new();

    private static HostCondition ConditionOf(HostFacts facts, AcceleratorChoice accelerator) => new()
    {
        Kvm = accelerator == AcceleratorChoice.Tcg ? KvmVerdict.Absent : facts.Kvm.Verdict,
        KvmEvidence = facts.Kvm.Evidence,
    };

    /// <param name="generation">Of the ledger that is planned with: who was recorded since may have made pages.</param>
    public async Task<HostTopology> TopologyAsync(CancellationToken ct, long generation = 0)
    {
        if (known is { } now && time.GetElapsedTime(now.ReadAt) < Fresh && now.Generation >= generation)
            return now.Topology;
        var topology = HostTopology.From(await host.ReadInventoryAsync(ct));
        known = new Known(topology, time.GetTimestamp(), generation);
        return topology;
    }

    /// <summary>A definition's own words about threads and pages go before the profile's.</summary>
    public static PlacementRequest RequestOf(VmId id, VmDefinition definition, Profile profile)
    {
        var knobs = definition.Placement.Knobs;
        return new PlacementRequest
        {
            Vm = id.ToString(),
            // Those that may be plugged later have their places from the start: a neighbour cannot take them meanwhile.
            Vcpus = definition.Cpu.Max ?? definition.Cpu.Count,
            MemoryMiB = definition.Memory.SizeMiB,
            Profile = profile,
            Knobs = knobs with
            {
                Threads = knobs.Threads ?? definition.Cpu.Threads.Value switch { null => null, 1 => SmtUse.Isolate, _ => SmtUse.Pair },
                Pages = knobs.Pages ?? definition.Memory.Pages switch
                {
                    PagesChoice.Auto => null,
                    PagesChoice.Small => PageKind.Small,
                    PagesChoice.Huge2M => PageKind.Huge2M,
                    PagesChoice.Huge1G => PageKind.Huge1G,
                },
            },
            VirtualNodes = definition.Placement.VirtualNodes,
            OnNodes = definition.Placement.OnNodes,
            IoThreads = definition.Placement.IoThreads,
            FastDisks = definition.Disks.Count(d => d is { Cdrom: false, Bus: DiskBusChoice.VirtioBlk }),
            Allow = definition.Placement.Allow,
        };
    }
}
