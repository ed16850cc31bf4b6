using System.Collections.Concurrent;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Plans;

namespace KvmPortal.Engine.Jobs;

/// <summary>Tells the world about jobs: open pages, those who wait for a job's end, and the event log.</summary>
internal sealed class JobAnnouncer(LiveFeed live, PortalEvents events, TimeProvider time)
{
    private static readonly TimeSpan ProgressGap = TimeSpan.FromMilliseconds(300);
    private readonly ConcurrentDictionary<JobId, TaskCompletionSource> waiters = new();
    private readonly ConcurrentDictionary<JobId, long> lastProgress = new();
    private int active;

    /// <summary>Jobs queued or running.</summary>
    public int Active => Volatile.Read(ref active);

    public void SetActive(int count) => Volatile.Write(ref active, count);

    public async Task QueuedAsync(Job job)
    {
        if (job.State == JobState.Queued)
            Interlocked.Increment(ref active);
        live.Publish(new JobChanged(ViewOf(job)));
        await events.AppendAsync("job.queued", TargetOf(job), job.CreatedBy, $"{job.Kind} was asked for {job.TargetName}.", data: new { jobId = job.Id, kind = job.Kind }, ct: CancellationToken.None);
    }

    public void Changed(Job job) => live.Publish(new JobChanged(ViewOf(job)));

    /// <summary>Byte progress; passed on a few times a second at most.</summary>
    public void Progress(Job job)
    {
        var now = time.GetTimestamp();
        if (lastProgress.TryGetValue(job.Id, out var last) && time.GetElapsedTime(last, now) < ProgressGap)
            return;
        lastProgress[job.Id] = now;
        Changed(job);
    }

    public async Task EndedAsync(Job job, CancellationToken ct)
    {
        Interlocked.Decrement(ref active);
        lastProgress.TryRemove(job.Id, out _);
        live.Publish(new JobChanged(ViewOf(job)));
        if (waiters.TryRemove(job.Id, out var waiter))
            waiter.TrySetResult();
        var failed = job.State is JobState.Failed or JobState.Interrupted;
        var text = job.Error is { } error ? $"{job.Kind} of {job.TargetName} failed: {error.Detail ?? error.Title}" : $"{job.Kind} of {job.TargetName}: {PortalJson.Text(job.State)}.";
        await events.AppendAsync("job.ended", TargetOf(job), job.CreatedBy, text, failed, new { jobId = job.Id, kind = job.Kind, state = job.State, code = job.Error?.Code }, ct);
    }

    /// <summary>Completes when the job ends. Ask for it first, then look at the row.</summary>
    public Task WhenEnded(JobId id) => waiters.GetOrAdd(id, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>Drops a waiter of a job that had ended before it was registered.</summary>
    public void Forget(JobId id)
    {
        if (waiters.TryRemove(id, out var waiter))
            waiter.TrySetResult();
    }

    public static JobTarget TargetOf(Job job) => new(job.TargetType, job.TargetId, job.TargetName);

    public static JobView ViewOf(Job job) => new()
    {
        Id = job.Id,
        Kind = job.Kind,
        Target = TargetOf(job),
        State = job.State,
        Progress = ProgressOf(job),
        Plan = job.Plan,
        CreatedBy = job.CreatedBy,
        CreatedAt = job.CreatedAt,
        StartedAt = job.StartedAt,
        EndedAt = job.EndedAt,
        Error = job.Error,
        Warnings = job.Warnings,
        CancelRequested = job.CancelRequested,
        ParentId = job.ParentId,
    };

    private static JobProgress ProgressOf(Job job)
    {
        var count = job.Plan.Steps.Count;
        var done = job.Plan.Steps.Count(s => s.State is StepState.Done or StepState.Skipped || (job.TargetType == TargetType.Vms && s.State is StepState.Failed or StepState.Undone));
        var part = job.BytesTotal > 0 ? Math.Clamp((double)job.BytesDone / job.BytesTotal, 0, 1) : 0;
        var percent = job.State == JobState.Succeeded ? 100 : count == 0 ? 0 : (int)Math.Min(99, 100 * (done + part) / count);
        var step = job.State == JobState.Running ? job.Plan.Steps.FirstOrDefault(s => s.State == StepState.Running)?.Summary : null;
        return new JobProgress(percent, step, job.BytesDone, job.BytesTotal);
    }
}
