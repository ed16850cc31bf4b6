using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Jobs;

/// <summary>What callers can see of and do with jobs.</summary>
public sealed class JobOperations
{
    private readonly PortalStore store;
    private readonly JobStore jobs;
    private readonly JobRunner runner;
    private readonly JobAnnouncer announcer;
    private readonly TimeProvider time;

    internal JobOperations(PortalStore store, JobStore jobs, JobRunner runner, JobAnnouncer announcer, TimeProvider time)
    {
        this.store = store;
        this.jobs = jobs;
        this.runner = runner;
        this.announcer = announcer;
        this.time = time;
    }

    /// <summary>Number of jobs queued or running.</summary>
    public int ActiveCount => announcer.Active;

    /// <summary>Newest first. Filter fields: state, kind, target (VM id or name).</summary>
    public async Task<ListPage<JobView>> ListAsync(Caller caller, ListQuery query, CancellationToken ct)
    {
        var filter = JobFilter.Parse(query);
        var cursor = TimeCursor.Parse(query.Cursor);
        var rows = await store.ReadAsync(async db =>
        {
            var wanted = filter.Apply(db.Jobs);
            wanted = wanted.OrderByDescending(j => j.CreatedAt).ThenByDescending(j => j.Id);
            if (cursor is { } from)
                wanted = wanted.Where(j => j.CreatedAt <= from.At).Skip(from.Skip);
            return await wanted.Take(query.Limit + 1).ToListAsync(ct);
        }, ct);
        var page = rows.Take(query.Limit).Select(JobAnnouncer.ViewOf).ToList();
        return new ListPage<JobView>(page, rows.Count > query.Limit ? TimeCursor.After(page, j => j.CreatedAt, cursor) : null);
    }

    public async Task<JobView> GetAsync(Caller caller, JobId id, CancellationToken ct) => JobAnnouncer.ViewOf(await FindAsync(id, ct));

    /// <summary>Returns when the job has ended or <paramref name="wait"/> has passed, without polling.</summary>
    public async Task<JobView> WaitAsync(Caller caller, JobId id, TimeSpan wait, CancellationToken ct)
    {
        var ended = announcer.WhenEnded(id);
        var job = await FindAsync(id, ct);
        if (job.State is not (JobState.Queued or JobState.Running))
        {
            announcer.Forget(id);
            return JobAnnouncer.ViewOf(job);
        }

        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(ct);
        await Task.WhenAny(ended, Task.Delay(wait, time, timeout.Token));
        await timeout.CancelAsync();
        ct.ThrowIfCancellationRequested();
        return JobAnnouncer.ViewOf(await FindAsync(id, ct));
    }

    /// <summary>Log lines with a number greater than <paramref name="after"/>, at most 1000.</summary>
    public async Task<IReadOnlyList<JobLogEntry>> LogAsync(Caller caller, JobId id, int after, CancellationToken ct)
    {
        await FindAsync(id, ct);
        return await store.ReadAsync(db => db.JobLog.Where(l => l.JobId == id && l.Number > after).OrderBy(l => l.Number).Take(1000)
            .Select(l => new JobLogEntry(l.Number, l.At, l.Warning, l.Text)).ToListAsync(ct), ct);
    }

    /// <summary>Asks a queued or running job to stop; done steps are undone. An ended job: Conflict.</summary>
    public async Task<JobView> CancelAsync(Caller caller, JobId id, CancellationToken ct)
    {
        var before = await FindAsync(id, ct);
        if (before.State is not (JobState.Queued or JobState.Running))
            throw new PortalException(ErrorCode.Conflict, Say.JobEnded(PortalJson.Text(before.State)));
        var job = await jobs.RequestCancelAsync(id, ct) ?? throw PortalException.NotFound("job", id.ToString());
        if (job.State == JobState.Cancelled)
            await announcer.EndedAsync(job, ct);
        else
            runner.Cancel(id);
        return JobAnnouncer.ViewOf(job);
    }

    private async Task<Job> FindAsync(JobId id, CancellationToken ct) => await jobs.FindAsync(id, ct) ?? throw PortalException.NotFound("job", id.ToString());
}
