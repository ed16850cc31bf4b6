using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;

namespace KvmPortal.Engine.Jobs;

/// <summary>How operations hand work to the runner: add the row inside their own transaction, then say that it is committed.</summary>
internal sealed class JobQueue(JobStore jobs, JobRunner runner, JobAnnouncer announcer)
{
    public Task<Job> AddAsync(PortalDb db, Caller caller, string kind, JobTarget target, JobIntent intent, Plan plan, CancellationToken ct, JobState state = JobState.Queued) =>
        jobs.AddAsync(db, caller, kind, target, intent, plan, state, ct);

    /// <summary>Wakes the runner after the transaction with the row was committed. Null in, null out. The job is there now, even when its client has gone away.</summary>
    public async Task<JobView?> CommittedAsync(Job? job)
    {
        if (job is null)
            return null;
        var told = announcer.QueuedAsync(job);
        if (job.State == JobState.Queued)
            runner.Post(job.SerialKey);
        await told;
        return JobAnnouncer.ViewOf(job);
    }
}
