using System.Runtime.CompilerServices;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Events;

/// <param name="Job">As it is now.</param>
/// <param name="Log">Lines that the watcher has not had yet.</param>
public sealed record JobUpdate(JobView Job, IReadOnlyList<JobLogEntry> Log);

/// <param name="Vm">The VM that is new or changed.</param>
/// <param name="Removed">The VM that is gone.</param>
/// <param name="ReadAgain">Read the list now: the watch begins here, or it was too slow and lost changes.</param>
public sealed record VmUpdate(VmSummary? Vm, VmId? Removed, bool ReadAgain);

/// <summary>The live feed cut for one reader. Each stream holds one bounded queue, which goes away when the stream ends, however it ends.</summary>
public sealed class LiveStreams(LiveFeed feed, JobOperations jobs)
{
    /// <summary>A job as it is, then with every change, until it has ended; each log line once. Throws NotFound.</summary>
    public async IAsyncEnumerable<JobUpdate> WatchJobAsync(Caller caller, JobId id, [EnumeratorCancellation] CancellationToken ct)
    {
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(ct);
        try
        {
            var changes = feed.WatchAsync(ends.Token);
            var job = await jobs.GetAsync(caller, id, ct);
            var log = await jobs.LogAsync(caller, id, 0, ct);
            var last = log.Count > 0 ? log[^1].Number : 0;
            yield return new JobUpdate(job, log);
            if (Ended(job))
                yield break;
            await foreach (var change in changes.WithCancellation(ct))
            {
                var now = change switch
                {
                    JobChanged changed when changed.Job.Id == id => changed.Job,
                    Resync => await jobs.GetAsync(caller, id, ct),
                    _ => null,
                };
                if (now is null)
                    continue;
                log = await jobs.LogAsync(caller, id, last, ct);
                last = log.Count > 0 ? log[^1].Number : last;
                yield return new JobUpdate(now, log);
                if (Ended(now))
                    yield break;
            }
        }
        finally
        {
            await ends.CancelAsync();
        }
    }

    /// <summary>First the word to read the list, then every VM that is new, changed or gone.</summary>
    public async IAsyncEnumerable<VmUpdate> WatchVmsAsync(Caller caller, [EnumeratorCancellation] CancellationToken ct)
    {
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(ct);
        try
        {
            var changes = feed.WatchAsync(ends.Token);
            yield return new VmUpdate(null, null, ReadAgain: true);
            await foreach (var change in changes.WithCancellation(ct))
            {
                var update = change switch
                {
                    VmChanged changed => new VmUpdate(changed.Vm, null, ReadAgain: false),
                    VmRemoved removed => new VmUpdate(null, removed.Id, ReadAgain: false),
                    Resync => new VmUpdate(null, null, ReadAgain: true),
                    _ => null,
                };
                if (update is not null)
                    yield return update;
            }
        }
        finally
        {
            await ends.CancelAsync();
        }
    }

    private static bool Ended(JobView job) => job.State is not (JobState.Queued or JobState.Running);
}
