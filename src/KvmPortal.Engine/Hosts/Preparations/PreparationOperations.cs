using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Hosts.Preparations;

/// <summary>Sets a host up for machines, and undoes it. Both doors call it.</summary>
public sealed class PreparationOperations
{
    private const int MostRestored = 50;
    private readonly PreparationReader reader;
    private readonly PortalStore store;
    private readonly JobQueue queue;
    private readonly PortalEvents events;
    private readonly TimeProvider time;

    internal PreparationOperations(PreparationReader reader, PortalStore store, JobQueue queue, PortalEvents events, TimeProvider time)
    {
        this.reader = reader;
        this.store = store;
        this.queue = queue;
        this.events = events;
        this.time = time;
    }

    /// <summary>What <see cref="PrepareAsync"/> would write; throws what it would throw.</summary>
    public async Task<Plan> PlanPrepareAsync(Caller caller, IReadOnlyList<HostSetting> settings, bool persistent, CancellationToken ct) =>
        PreparationPlanner.Prepare(await reader.InputsAsync(Intent(settings, persistent), ct));

    /// <summary>Sets the host so, as a job: all of it or nothing.</summary>
    public async Task<JobView> PrepareAsync(Caller caller, IReadOnlyList<HostSetting> settings, bool persistent, CancellationToken ct)
    {
        var intent = Intent(settings, persistent);
        return await QueueAsync(caller, "prepare-host", intent, PreparationPlanner.Prepare(await reader.InputsAsync(intent, ct)), ct);
    }

    /// <summary>What is in force, each compared with the host as it is now, and then the newest that are no more.</summary>
    public async Task<IReadOnlyList<PreparationView>> ListAsync(Caller caller, CancellationToken ct)
    {
        var bootId = (await reader.FactsAsync(ct)).BootId;
        var views = new List<PreparationView>();
        foreach (var row in await reader.InForceAsync(ct))
            views.Add(await SeenAsync(row, bootId, ct));
        views.AddRange((await reader.RestoredAsync(MostRestored, ct)).Select(row => View(row, null)));
        return views;
    }

    public async Task<Plan> PlanUndoAsync(Caller caller, PreparationId id, CancellationToken ct)
    {
        await UndoableAsync(id, ct);
        return await reader.PlanRestoreAsync(id, ct);
    }

    /// <summary>Gives back what was there before, as a job. Restored already, or not applied yet: Conflict.</summary>
    public async Task<JobView> UndoAsync(Caller caller, PreparationId id, CancellationToken ct)
    {
        await UndoableAsync(id, ct);
        return await QueueAsync(caller, "restore-host", new RestoreHostIntent(id), await reader.PlanRestoreAsync(id, ct), ct);
    }

    /// <summary>After a boot of the host: what is to outlive it is set again, each as a job of its own; the rest the kernel has forgotten.</summary>
    /// <param name="forgetful">The host keeps nothing over a start of the portal.</param>
    internal async Task<IReadOnlyList<JobView>> AfterBootAsync(bool forgetful, CancellationToken ct)
    {
        var bootId = (await reader.FactsAsync(ct)).BootId;
        var jobs = new List<JobView>();
        foreach (var row in await reader.InForceAsync(ct))
        {
            // A job that was cut goes on by itself.
            if (row.State == PreparationState.Applying || (row.BootId == bootId && !forgetful))
                continue;
            if (row.Persistent && !(await reader.LookAsync(row, ct) is { InForce: true } && row.Setting.OutlivesBoot))
                await AgainAsync(row, jobs, ct);
            else if (!row.Persistent && !row.Setting.OutlivesBoot)
                await store.WriteWithPatienceAsync(db => db.HostPreparations.Where(p => p.Id == row.Id)
                    .ExecuteUpdateAsync(set => set.SetProperty(p => p.State, PreparationState.Restored).SetProperty(p => p.Reason, Say.UndoneByBoot), ct), ct);
        }

        return jobs;
    }

    private async Task AgainAsync(HostPreparation row, List<JobView> jobs, CancellationToken ct)
    {
        var intent = new PrepareHostIntent(row.HostId, [new WantedPreparation(row.Id, row.Setting)], true, Again: true);
        try
        {
            jobs.Add(await QueueAsync(Caller.System("host-boot"), "prepare-host", intent, PreparationPlanner.Prepare(await reader.InputsAsync(intent, ct)), ct));
        }
        catch (PortalException e)
        {
            // The host is not what it was: the list shows that it is not in force.
            await events.AppendAsync("host.preparation-failed", Target((await reader.FactsAsync(ct)).HostName), "system", Say.NotPreparedAgain(PreparationSentences.Of(row.Setting), e.Said), warning: true, ct: ct);
        }
    }

    /// <summary>Compares with the host; a change of the verdict is kept and told.</summary>
    private async Task<PreparationView> SeenAsync(HostPreparation row, string bootId, CancellationToken ct)
    {
        if (row.State == PreparationState.Applying)
            return View(row, null);
        var look = await reader.LookAsync(row, ct);
        var left = row.State == PreparationState.Partial;
        var drifted = left ? look.Made.Any(v => v.Now is not null && v.Now != v.Wanted) : !look.InForce;
        if (drifted != row.Drifted)
            await NoteAsync(row, drifted, ct);
        return View(row, !drifted ? null : row.BootId != bootId && !row.Setting.OutlivesBoot ? Say.UndoneByBoot : Difference(look));
    }

    private async Task NoteAsync(HostPreparation row, bool drifted, CancellationToken ct)
    {
        row.Drifted = drifted;
        bool noted;
        try
        {
            // A job that is at the host's settings right now is no drift, and neither is one that has ended since the look.
            noted = await store.WriteAsync(async db => !await JobStore.IsBusyAsync(db, Target(""), ct)
                && await db.HostPreparations.Where(p => p.Id == row.Id && p.State == row.State && p.JobId == row.JobId).ExecuteUpdateAsync(set => set.SetProperty(p => p.Drifted, drifted), ct) > 0, ct);
        }
        catch (PortalException e) when (e.Code == ErrorCode.DiskFull)
        {
            // Reading goes on; it is kept and told when there is room again.
            return;
        }

        if (drifted && noted)
            await events.AppendAsync("host.preparation-drifted", Target((await reader.FactsAsync(ct)).HostName), "host", Say.PreparationDrifted(PreparationSentences.Of(row.Setting)), warning: true, new { preparation = row.Id, setting = row.Key }, ct);
    }

    private static Sentence Difference(SettingLook look) =>
        look.Made.FirstOrDefault(v => v.Now is not null && v.Now != v.Wanted) is { } made ? Say.DiffersNow(made.Path, made.Now!, made.Wanted)
        : look.Writes.Count > 0 ? Say.DiffersNow(look.Writes[0].Path, look.Writes[0].Now ?? "-", look.Writes[0].Then)
        : look.Refusal is { } refusal ? HostSentences.Read(refusal) : Say.NotAsSet;

    private static PreparationView View(HostPreparation row, Sentence? difference) => new()
    {
        Id = row.Id,
        Setting = row.Setting,
        Key = row.Key,
        Summary = PreparationSentences.Of(row.Setting),
        Persistent = row.Persistent,
        AppliedAt = row.AppliedAt,
        State = row.Drifted && row.State != PreparationState.Restored ? PreparationState.Drifted : row.State,
        Reason = difference ?? row.Reason,
        JobId = row.JobId,
        Values = row.Values,
    };

    private async Task UndoableAsync(PreparationId id, CancellationToken ct)
    {
        var row = await reader.FindAsync(id, ct);
        if (row.State is PreparationState.Restored or PreparationState.Applying)
            throw new PortalException(ErrorCode.Conflict, row.State == PreparationState.Restored ? Say.UndoneAlready : Say.StillBeingPrepared);
    }

    private async Task<JobView> QueueAsync(Caller caller, string kind, JobIntent intent, Plan plan, CancellationToken ct)
    {
        var target = Target((await reader.FactsAsync(ct)).HostName);
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, kind, target, intent, plan, ct), ct);
        return (await queue.CommittedAsync(job))!;
    }

    private PrepareHostIntent Intent(IReadOnlyList<HostSetting> settings, bool persistent)
    {
        if (settings.Count is 0 or > SettingRules.MostSettings)
            throw PortalException.Invalid([new Problem("/settings", "out-of-range", Say.SettingsFromTo(1, SettingRules.MostSettings))]);
        if (settings.Index().Where(s => s.Item is null).Select(s => new Problem($"/settings/{s.Index}", "required", Say.SettingMissing)).ToList() is { Count: > 0 } missing)
            throw PortalException.Invalid(missing);
        return new PrepareHostIntent(HostOperations.LocalHostId, [.. settings.Select(s => new WantedPreparation(PreparationId.New(time), s))], persistent);
    }

    private static JobTarget Target(string name) => new(TargetType.Host, HostOperations.LocalHostId, name);
}
