using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;

namespace KvmPortal.Web.Jobs;

/// <summary>
/// The jobs that one circuit follows wherever its user goes: what is queued or runs, and what ended while the page was open. Fed by one watch of the
/// live feed, registered before the first read so that nothing falls between.
/// </summary>
public sealed class RunningJobs(JobOperations jobs, LiveFeed feed) : IDisposable
{
    private const int KeptEnded = 20;
    private readonly CancellationTokenSource closing = new();
    private readonly Lock gate = new();
    private readonly Dictionary<JobId, JobView> active = [];
    private readonly List<JobView> ended = [];
    private bool started;

    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    /// <summary>Queued and running, oldest first.</summary>
    public IReadOnlyList<JobView> Active
    {
        get
        {
            lock (gate)
                return [.. active.Values.OrderBy(j => j.CreatedAt)];
        }
    }

    /// <summary>Number of jobs queued or running.</summary>
    public int Count
    {
        get
        {
            lock (gate)
                return active.Count;
        }
    }

    /// <summary>What ended since the page was opened, newest first.</summary>
    public IReadOnlyList<JobView> Ended
    {
        get
        {
            lock (gate)
                return [.. ended];
        }
    }

    /// <summary>Why the list may be incomplete; null when all is well.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Starts to follow, once per circuit.</summary>
    public async Task StartAsync(Caller caller)
    {
        if (started)
            return;
        started = true;
        var changes = feed.WatchAsync(closing.Token);
        await ReadAsync(caller);
        _ = WatchAsync(caller, changes);
    }

    private async Task ReadAsync(Caller caller)
    {
        try
        {
            var page = await jobs.ListAsync(caller, new ListQuery(500, Filter: "state = active"), closing.Token);
            lock (gate)
            {
                active.Clear();
                foreach (var job in page.Items)
                    active[job.Id] = job;
            }

            Failure = null;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            Failure = e;
        }

        Changed?.Invoke();
    }

    private async Task WatchAsync(Caller caller, IAsyncEnumerable<LiveChange> changes)
    {
        try
        {
            await foreach (var change in changes.WithCancellation(closing.Token))
            {
                if (change is JobChanged { Job: var job })
                    Take(job);
                else if (change is Resync)
                    await ReadAsync(caller);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private void Take(JobView job)
    {
        lock (gate)
        {
            ended.RemoveAll(j => j.Id == job.Id);
            if (job.State is JobState.Queued or JobState.Running)
            {
                active[job.Id] = job;
            }
            else
            {
                active.Remove(job.Id);
                ended.Insert(0, job);
                if (ended.Count > KeptEnded)
                    ended.RemoveAt(KeptEnded);
            }
        }

        Changed?.Invoke();
    }

    public void Dispose()
    {
        closing.Cancel();
        closing.Dispose();
    }
}
