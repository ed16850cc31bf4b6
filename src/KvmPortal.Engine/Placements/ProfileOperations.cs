using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Placements;

/// <summary>A profile as shown.</summary>
/// <param name="BasedOn">The profile that it was copied from; null for those that the portal comes with, which cannot be changed.</param>
/// <param name="Version">0 for those that the portal comes with.</param>
/// <param name="UsedBy">Machines whose definition names it.</param>
/// <param name="Costs">What its differences from the one that it is based on cost.</param>
public sealed record ProfileView(string Name, bool BuiltIn, string? BasedOn, string Description, Profile Knobs, int Version, int UsedBy, IReadOnlyList<Sentence> Costs);

/// <summary>The verbs on profiles that both doors call. What is changed holds for starts from then on: a machine that runs keeps what it was started with.</summary>
public sealed class ProfileOperations
{
    private readonly PortalStore store;
    private readonly VmTracker tracker;
    private readonly PortalEvents events;
    private readonly TimeProvider time;

    internal ProfileOperations(PortalStore store, VmTracker tracker, PortalEvents events, TimeProvider time) => (this.store, this.tracker, this.events, this.time) = (store, tracker, events, time);

    /// <summary>Those that the portal comes with, then the operators' own by name.</summary>
    public async Task<IReadOnlyList<ProfileView>> ListAsync(Caller caller, CancellationToken ct)
    {
        var rows = await store.ReadAsync(db => db.Profiles.OrderBy(p => p.Name).ToListAsync(ct), ct);
        var used = (await tracker.AllAsync(ct)).CountBy(v => v.Profile).ToDictionary();
        return [.. Profiles.BuiltIn.Select(p => new ProfileView(p.Name, true, null, "", p, 0, used.GetValueOrDefault(p.Name), [])), .. rows.Select(r => View(r, rows, used.GetValueOrDefault(r.Name)))];
    }

    /// <summary>Throws NotFound.</summary>
    public async Task<ProfileView> GetAsync(Caller caller, string name, CancellationToken ct) =>
        (await ListAsync(caller, ct)).FirstOrDefault(p => p.Name == name) ?? throw PortalException.NotFound("profile", name.Length > 64 ? name[..64] : name);

    /// <summary>Makes a copy. Throws Invalid with every problem, NameTaken.</summary>
    public async Task<ProfileView> CreateAsync(Caller caller, string basedOn, string description, Profile knobs, CancellationToken ct)
    {
        Require(ProfileRules.Check(knobs, description));
        await store.WriteAsync(async db =>
        {
            if (Profiles.Find(basedOn) is null && !await db.Profiles.AnyAsync(p => p.Name == basedOn, ct))
                throw PortalException.Invalid([new Problem("/basedOn", "unknown-profile", Say.NoSuchProfile(basedOn)).WithFit(Profiles.General.Name)]);
            if (Profiles.Find(knobs.Name) is not null || await db.Profiles.AnyAsync(p => p.Name == knobs.Name, ct))
                throw new PortalException(ErrorCode.NameTaken, Say.ProfileNameTaken(knobs.Name)) { Problems = [new Problem("/name", "taken", Say.ProfileNameTaken(knobs.Name))] };
            db.Profiles.Add(new ProfileRow { Name = knobs.Name, BasedOn = basedOn, Description = description, Knobs = knobs, ChangedAt = time.GetUtcNow(), ChangedBy = caller.Name });
        }, ct);
        await TellAsync(caller, "profile.created", Say.ProfileCreated(caller.Name, knobs.Name), ct);
        return await GetAsync(caller, knobs.Name, ct);
    }

    /// <param name="expected">The version that the caller has seen; null for any.</param>
    /// <exception cref="PortalException">NotFound, Conflict for one that the portal comes with, Stale, Invalid.</exception>
    public async Task<ProfileView> ChangeAsync(Caller caller, string name, string description, Profile knobs, int? expected, CancellationToken ct)
    {
        RequireOwn(name);
        knobs = knobs with { Name = name };
        Require(ProfileRules.Check(knobs, description));
        await store.WriteAsync(async db =>
        {
            var row = await FindAsync(db, name, expected, ct);
            (row.Description, row.Knobs, row.Version, row.ChangedAt, row.ChangedBy) = (description, knobs, row.Version + 1, time.GetUtcNow(), caller.Name);
        }, ct);
        await TellAsync(caller, "profile.changed", Say.ProfileChanged(caller.Name, name), ct);
        return await GetAsync(caller, name, ct);
    }

    /// <exception cref="PortalException">NotFound, Stale, Conflict while a machine or another profile needs it.</exception>
    public async Task DeleteAsync(Caller caller, string name, int? expected, CancellationToken ct)
    {
        RequireOwn(name);
        await store.WriteAsync(async db =>
        {
            var row = await FindAsync(db, name, expected, ct);
            if (await db.Vms.CountAsync(v => v.Profile == name, ct) is > 0 and var count)
                throw new PortalException(ErrorCode.Conflict, Say.ProfileInUse(name, count)) { Hint = Say.ProfileInUseHint };
            // A copy stands by itself: it only forgets where it came from.
            foreach (var copy in await db.Profiles.Where(p => p.BasedOn == name).ToListAsync(ct))
                copy.BasedOn = row.BasedOn;
            db.Profiles.Remove(row);
        }, ct);
        await TellAsync(caller, "profile.deleted", Say.ProfileDeleted(caller.Name, name), ct);
    }

    private static async Task<ProfileRow> FindAsync(PortalDb db, string name, int? expected, CancellationToken ct)
    {
        var row = await db.Profiles.FirstOrDefaultAsync(p => p.Name == name, ct) ?? throw PortalException.NotFound("profile", name);
        return expected is null || row.Version == expected ? row : throw new PortalException(ErrorCode.Stale, Say.ProfileStale(name));
    }

    private static void RequireOwn(string name)
    {
        if (Profiles.Find(name) is not null)
            throw new PortalException(ErrorCode.Conflict, Say.ProfileBuiltIn(name)) { Hint = Say.ProfileBuiltInHint };
    }

    private static ProfileView View(ProfileRow row, List<ProfileRow> all, int used)
    {
        var basis = Profiles.Find(row.BasedOn) ?? all.FirstOrDefault(p => p.Name == row.BasedOn)?.Knobs ?? Profiles.General;
        return new ProfileView(row.Name, false, row.BasedOn, row.Description, row.Knobs, row.Version, used, [.. ProfileOverrides.Of(row.Knobs).Costs(basis)]);
    }

    private static void Require(IReadOnlyList<Problem> problems)
    {
        if (problems.Count > 0)
            throw PortalException.Invalid(problems);
    }

    private Task TellAsync(Caller caller, string type, Sentence text, CancellationToken ct) => events.AppendAsync(type, null, caller.Name, text, ct: ct);
}
