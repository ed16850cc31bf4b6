using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Jobs;

/// <summary>One job: its view and its log, kept up to date by the live feed.</summary>
public sealed class JobModel(JobOperations jobs, LiveFeed feed)
{
    private const int MostLines = 2000;
    private readonly SemaphoreSlim reading = new(1, 1);
    private readonly List<JobLogEntry> log = [];

    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    public JobView? Job { get; private set; }
    public ProblemInfo? Problem { get; private set; }

    /// <summary>A copy of the latest lines.</summary>
    public IReadOnlyList<JobLogEntry> Log
    {
        get
        {
            lock (log)
                return [.. log];
        }
    }

    /// <summary>Reads the job and follows it until cancelled.</summary>
    public async Task FollowAsync(Caller caller, JobId id, CancellationToken ct)
    {
        var changes = feed.WatchAsync(ct);
        try
        {
            await ReadAsync(caller, id, ct);
            await foreach (var change in changes.WithCancellation(ct))
            {
                if (change is JobChanged { Job: var job } && job.Id == id)
                {
                    Job = job;
                    await ReadLogAsync(caller, id, ct);
                    Changed?.Invoke();
                }
                else if (change is Resync)
                {
                    await ReadAsync(caller, id, ct);
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
            Changed?.Invoke();
        }
    }

    public async Task CancelAsync(Caller caller, CancellationToken ct)
    {
        Problem = null;
        try
        {
            if (Job is { } job)
                Job = await jobs.CancelAsync(caller, job.Id, ct);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    private async Task ReadAsync(Caller caller, JobId id, CancellationToken ct)
    {
        Job = await jobs.GetAsync(caller, id, ct);
        await ReadLogAsync(caller, id, ct);
        Changed?.Invoke();
    }

    private async Task ReadLogAsync(Caller caller, JobId id, CancellationToken ct)
    {
        await reading.WaitAsync(ct);
        try
        {
            IReadOnlyList<JobLogEntry> lines;
            do
            {
                int after;
                lock (log)
                    after = log.Count == 0 ? 0 : log[^1].Number;
                lines = await jobs.LogAsync(caller, id, after, ct);
                lock (log)
                {
                    log.AddRange(lines);
                    if (log.Count > MostLines)
                        log.RemoveRange(0, log.Count - MostLines);
                }
            }
            while (lines.Count == 1000);
        }
        finally
        {
            reading.Release();
        }
    }
}
