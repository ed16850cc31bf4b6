using System.Collections.Concurrent;
using System.Threading.Channels;
using KvmPortal.Engine.Data;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Jobs;

/// <summary>
/// Takes jobs as they come: a key ("jobs of this VM") is posted when a job is queued and again when one ends; whoever takes the key claims its next job.
/// The table is the queue, the channel only saves waiting, so nothing is lost with the process.
/// </summary>
internal sealed class JobRunner(JobStore jobs, JobExecutionFactory executions, JobAnnouncer announcer, EngineOptions options, ILogger<JobRunner> logger) : BackgroundService
{
    private readonly Channel<string> posted = Channel.CreateUnbounded<string>();
    private readonly ConcurrentDictionary<JobId, CancellationTokenSource> running = new();
    private readonly ConcurrentDictionary<JobId, Task> bulks = new();
    // Keys of which a job runs here, and whether more was posted meanwhile.
    private readonly ConcurrentDictionary<string, bool> busy = new();
    // Later than the stop of the portal: so long a running step may take to come to its end.
    private readonly CancellationTokenSource cutOff = new();
    private readonly string owner = $"{Environment.ProcessId}-{Guid.CreateVersion7():N}";

    /// <summary>What a step that runs may take when the portal stops; one that needs more is cut and taken up again at the next start.</summary>
    public static readonly TimeSpan StepGrace = TimeSpan.FromSeconds(5);

    /// <summary>Says that a key may have a job to claim.</summary>
    public void Post(string serialKey) => posted.Writer.TryWrite(serialKey);

    /// <summary>Stops a job that this runner has claimed, or is just about to run; undoing starts at once.</summary>
    public void Cancel(JobId id) => running.GetOrAdd(id, _ => new CancellationTokenSource()).Cancel();

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        await using var stops = stoppingToken.Register(() => cutOff.CancelAfter(StepGrace));
        var (keys, active) = await jobs.RecoverAsync(owner, stoppingToken);
        announcer.SetActive(active);
        foreach (var key in keys)
            Post(key);
        var renewing = RenewAsync(stoppingToken);
        var workers = Enumerable.Range(0, options.ParallelJobs).Select(_ => WorkAsync(stoppingToken));
        await Task.WhenAll(workers.Append(renewing));
        await Task.WhenAll(bulks.Values);
    }

    private async Task WorkAsync(CancellationToken stopping)
    {
        try
        {
            await foreach (var key in posted.Reader.ReadAllAsync(stopping))
                await TakeAsync(key, stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    private async Task TakeAsync(string key, CancellationToken stopping)
    {
        if (!Enter(key))
            return;
        JobId? id = null;
        var kept = false;
        try
        {
            if (await jobs.ClaimAsync(key, owner, stopping) is not var (job, lastLine))
                return;
            id = job.Id;
            var cancel = running.GetOrAdd(job.Id, _ => new CancellationTokenSource());
            if (job.CancelRequested)
                await cancel.CancelAsync();
            if (job.Intent is BulkVmsIntent)
            {
                // Waits for its children most of the time: it must not hold a worker that they need.
                bulks[job.Id] = RunBulkAsync(job, lastLine, cancel.Token, stopping);
                (id, kept) = (null, true);
                return;
            }

            await executions.Create(job, stopping).RunAsync(lastLine, cancel.Token, cutOff.Token);
            Post(key);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (LeaseLostException e)
        {
            logger.LogWarning(e, "Job {Job} was taken over by another runner.", id);
        }
        catch (Exception e)
        {
            // The row stays running; its lease runs out and the job is taken up again.
            logger.LogError(e, "Job {Job} could not be carried on.", id);
            _ = RetryLaterAsync(key, stopping);
        }
        finally
        {
            if (id is { } ended)
                running.TryRemove(ended, out _);
            if (!kept)
                Leave(key);
        }
    }

    /// <summary>False while a job of this key runs here; who runs it posts the key again when it leaves.</summary>
    private bool Enter(string key)
    {
        while (!busy.TryAdd(key, false))
            if (busy.TryUpdate(key, true, false) || busy.GetValueOrDefault(key))
                return false;
        return true;
    }

    private void Leave(string key)
    {
        if (busy.TryRemove(key, out var more) && more)
            Post(key);
    }

    private async Task RunBulkAsync(Job job, int lastLine, CancellationToken cancel, CancellationToken stopping)
    {
        await Task.Yield();
        try
        {
            await executions.CreateBulk(job, Begin, id => _ = CancelChildAsync(id)).RunAsync(lastLine, executions.Time, cancel, stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (LeaseLostException e)
        {
            logger.LogWarning(e, "Job {Job} was taken over by another runner.", job.Id);
        }
        catch (Exception e)
        {
            logger.LogError(e, "Job {Job} could not be carried on.", job.Id);
            _ = RetryLaterAsync(job.SerialKey, stopping);
        }
        finally
        {
            running.TryRemove(job.Id, out _);
            bulks.TryRemove(job.Id, out _);
            Leave(job.SerialKey);
        }
    }

    private void Begin(Job child)
    {
        _ = announcer.QueuedAsync(child);
        Post(child.SerialKey);
    }

    private async Task CancelChildAsync(JobId id)
    {
        if (await jobs.RequestCancelAsync(id, CancellationToken.None) is not { } child)
            return;
        if (child.State == JobState.Cancelled)
            await announcer.EndedAsync(child, CancellationToken.None);
        else if (child.State == JobState.Running)
            Cancel(id);
    }

    private async Task RetryLaterAsync(string key, CancellationToken stopping)
    {
        try
        {
            await Task.Delay(JobStore.Lease + TimeSpan.FromSeconds(1), stopping);
            Post(key);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task RenewAsync(CancellationToken stopping)
    {
        try
        {
            using var timer = new PeriodicTimer(JobStore.Lease / 3);
            while (await timer.WaitForNextTickAsync(stopping))
            {
                if (running.IsEmpty)
                    continue;
                try
                {
                    await jobs.RenewAsync(owner, [.. running.Keys], stopping);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    logger.LogError(e, "The leases of running jobs could not be renewed.");
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }
}

/// <summary>Puts a job together with what it needs to run.</summary>
internal sealed class JobExecutionFactory(JobStore jobs, StepRunner steps, JobAnnouncer announcer, TimeProvider time)
{
    public TimeProvider Time => time;

    public JobExecution Create(Job job, CancellationToken pausing) => new(job, jobs, steps, announcer, time) { Pausing = pausing };

    public BulkExecution CreateBulk(Job job, Action<Job> begin, Action<JobId> cancelChild) => new(job, jobs, announcer, begin, cancelChild);
}
