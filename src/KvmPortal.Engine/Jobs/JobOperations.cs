using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Jobs;

/// <summary>What callers can see of and do with jobs.</summary>
public sealed class JobOperations
{
    /// <summary>Newest first. Filter fields: state, kind, target (VM id or name).</summary>
    public Task<ListPage<JobView>> ListAsync(Caller caller, ListQuery query, CancellationToken ct) => throw new NotImplementedException();
    public Task<JobView> GetAsync(Caller caller, JobId id, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Returns when the job has ended or <paramref name="wait"/> has passed, without polling.</summary>
    public Task<JobView> WaitAsync(Caller caller, JobId id, TimeSpan wait, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Log lines with a number greater than <paramref name="after"/>, at most 1000.</summary>
    public Task<IReadOnlyList<JobLogEntry>> LogAsync(Caller caller, JobId id, int after, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Asks a queued or running job to stop; done steps are undone. An ended job: Conflict.</summary>
    public Task<JobView> CancelAsync(Caller caller, JobId id, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Number of jobs queued or running.</summary>
    public int ActiveCount => throw new NotImplementedException();
}
