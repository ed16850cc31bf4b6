using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Jobs;

/// <summary>Another runner took the job over: this one must stop and change nothing more.</summary>
internal sealed class LeaseLostException(JobId id) : Exception($"The lease of job {id} was lost.");

/// <summary>A job that this runner may run now.</summary>
internal sealed record ClaimedJob(Job Job, int LastLogNumber);

/// <summary>
/// The job table's rules in one place. Order per key is <see cref="Job.Seq"/>, allocated in the transaction that inserts the row. A claim and every
/// checkpoint are conditional updates that name the owner, so a runner whose lease was taken over cannot write.
/// </summary>
internal sealed class JobStore(PortalStore store, TimeProvider time)
{
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    /// <summary>Adds a job to a transaction that the caller owns, so that it is stored together with what it is about.</summary>
    public async Task<Job> AddAsync(PortalDb db, Caller caller, string kind, JobTarget target, JobIntent intent, Plan plan, JobState state, CancellationToken ct)
    {
        var key = SerialKey(target);
        var last = await db.Jobs.Where(j => j.SerialKey == key).MaxAsync(j => (long?)j.Seq, ct) ?? 0;
        var now = time.GetUtcNow();
        var job = new Job
        {
            Id = JobId.New(time),
            Kind = kind,
            TargetType = target.Type,
            TargetId = target.Id,
            TargetName = target.Name,
            SerialKey = key,
            Seq = last + 1,
            State = state,
            Intent = intent,
            Plan = plan,
            CreatedBy = caller.Name,
            RequestId = caller.RequestId,
            CreatedAt = now,
            Warnings = [.. plan.Warnings],
            StartedAt = state == JobState.Succeeded ? now : null,
            EndedAt = state == JobState.Succeeded ? now : null,
        };
        db.Jobs.Add(job);
        return job;
    }

    public static string SerialKey(JobTarget target) => $"{PortalJson.Text(target.Type)}:{target.Id:N}";

    /// <summary>Whether jobs of this target wait or run.</summary>
    public static Task<bool> IsBusyAsync(PortalDb db, JobTarget target, CancellationToken ct)
    {
        var key = SerialKey(target);
        return db.Jobs.AnyAsync(j => j.SerialKey == key && (j.State == JobState.Queued || j.State == JobState.Running), ct);
    }

    /// <summary>
    /// Claims the next job of a key, with the number of its last log line; null when there is none or when somebody else runs one. A running job of this owner is one that
    /// it gave up: it asks only for keys of which it runs nothing, so no clock decides about its own.
    /// </summary>
    public Task<ClaimedJob?> ClaimAsync(string key, string owner, CancellationToken ct) => store.WriteWithPatienceAsync(async db =>
    {
        var job = await db.Jobs.Where(j => j.SerialKey == key && (j.State == JobState.Queued || j.State == JobState.Running)).OrderBy(j => j.Seq).FirstOrDefaultAsync(ct);
        var now = time.GetUtcNow();
        if (job is null || (job.State == JobState.Running && job.Owner != owner && job.LeaseUntil > now))
            return null;
        job.State = JobState.Running;
        job.Owner = owner;
        job.LeaseUntil = now + Lease;
        var goesOn = job.StartedAt is not null;
        job.StartedAt ??= now;
        return new ClaimedJob(job, goesOn ? await db.JobLog.Where(l => l.JobId == job.Id).MaxAsync(l => (int?)l.Number, ct) ?? 0 : 0);
    }, ct);

    /// <summary>
    /// Writes progress of a claimed job together with its new log lines and with <paramref name="effects"/>, the records that the marked steps change.
    /// Throws <see cref="LeaseLostException"/>, and changes nothing, when it is no longer ours.
    /// </summary>
    public Task CheckpointAsync(Job job, IReadOnlyList<JobLogLine> log, Func<PortalDb, Task> effects, CancellationToken ct) => store.WriteWithPatienceAsync(async db =>
    {
        var rows = await db.Jobs.Where(j => j.Id == job.Id && j.Owner == job.Owner && j.State == JobState.Running).ExecuteUpdateAsync(set => set
            .SetProperty(j => j.State, job.State).SetProperty(j => j.Plan, job.Plan).SetProperty(j => j.Planned, job.Planned)
            .SetProperty(j => j.BytesDone, job.BytesDone).SetProperty(j => j.BytesTotal, job.BytesTotal).SetProperty(j => j.EndedAt, job.EndedAt)
            .SetProperty(j => j.Error, job.Error).SetProperty(j => j.Warnings, job.Warnings), ct);
        if (rows == 0)
            throw new LeaseLostException(job.Id);
        db.JobLog.AddRange(log);
        await effects(db);
    }, ct);

    /// <summary>Renews the leases of the jobs that this owner really runs now.</summary>
    public Task RenewAsync(string owner, IReadOnlyCollection<JobId> ids, CancellationToken ct) => store.WriteWithPatienceAsync(db =>
        db.Jobs.Where(j => ids.Contains(j.Id) && j.Owner == owner && j.State == JobState.Running).ExecuteUpdateAsync(set => set.SetProperty(j => j.LeaseUntil, time.GetUtcNow() + Lease), ct), ct);

    /// <summary>
    /// At start-up: leases of former processes are void, because the data directory's lock proves that they are gone. Returns the keys with work, and how many jobs that is.
    /// </summary>
    public Task<(List<string> Keys, int Active)> RecoverAsync(string owner, CancellationToken ct) => store.WriteWithPatienceAsync(async db =>
    {
        await db.Jobs.Where(j => j.State == JobState.Running && j.Owner != owner).ExecuteUpdateAsync(set => set.SetProperty(j => j.LeaseUntil, (DateTimeOffset?)null), ct);
        var open = await db.Jobs.Where(j => j.State == JobState.Queued || j.State == JobState.Running).Select(j => j.SerialKey).ToListAsync(ct);
        return (open.Distinct().ToList(), open.Count);
    }, ct);

    /// <summary>Marks a queued job cancelled at once, or asks a running one to stop. Returns the row as it is afterwards; null when there is none.</summary>
    public Task<Job?> RequestCancelAsync(JobId id, CancellationToken ct) => store.WriteAsync(async db =>
    {
        var job = await db.Jobs.FirstOrDefaultAsync(j => j.Id == id, ct);
        if (job is { State: JobState.Queued })
        {
            job.State = JobState.Cancelled;
            job.EndedAt = time.GetUtcNow();
            job.CancelRequested = true;
        }
        else if (job is { State: JobState.Running })
            job.CancelRequested = true;
        return job;
    }, ct);

    /// <summary>Child jobs of a bulk job by the id of their VM.</summary>
    public Task<Dictionary<Guid, JobId>> ChildrenAsync(JobId parent, CancellationToken ct) =>
        store.ReadAsync(async db => (await db.Jobs.Where(j => j.ParentId == parent).Select(j => new { j.TargetId, j.Id }).ToListAsync(ct)).ToDictionary(j => j.TargetId, j => j.Id), ct);

    public Task<Job?> FindAsync(JobId id, CancellationToken ct) => store.ReadAsync(db => db.Jobs.FirstOrDefaultAsync(j => j.Id == id, ct), ct);
}
