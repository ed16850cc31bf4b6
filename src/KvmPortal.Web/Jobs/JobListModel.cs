using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Jobs;

/// <summary>The jobs page: newest first, narrowed by state and text, live, with older ones on demand.</summary>
public sealed class JobListModel(JobOperations jobs, LiveFeed feed)
{
    private const int PageSize = 50;
    private readonly Lock gate = new();
    private List<JobView> items = [];
    private string? cursor;
    private ListQuery query = new(PageSize);
    private JobState? wanted;
    private bool activeOnly;

    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    public IReadOnlyList<JobView> Items
    {
        get
        {
            lock (gate)
                return [.. items];
        }
    }

    public bool Loaded { get; private set; }
    public bool HasMore => cursor is not null;
    public ProblemInfo? Problem { get; private set; }

    /// <param name="state">A job state, `active`, or null for all.</param>
    public async Task ShowAsync(Caller caller, string? state, string? text, CancellationToken ct)
    {
        wanted = Enum.GetValues<JobState>().Cast<JobState?>().FirstOrDefault(s => PortalJson.Text(s!.Value) == state);
        activeOnly = state == "active";
        query = new ListQuery(PageSize, Text: string.IsNullOrWhiteSpace(text) ? null : text.Trim(), Filter: wanted is not null || activeOnly ? $"state = {state}" : null);
        await ReadAsync(caller, query, false, ct);
    }

    public Task MoreAsync(Caller caller, CancellationToken ct) => ReadAsync(caller, query with { Cursor = cursor }, true, ct);

    /// <summary>Follows changes until cancelled; call it before the first read.</summary>
    public async Task FollowAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            await foreach (var change in feed.WatchAsync(ct))
            {
                if (change is JobChanged { Job: var job })
                    Take(job);
                else if (change is Resync)
                    await ReadAsync(caller, query, false, ct);
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }
    }

    public async Task CancelAsync(Caller caller, JobId id, CancellationToken ct)
    {
        Problem = null;
        try
        {
            Take(await jobs.CancelAsync(caller, id, ct));
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    private async Task ReadAsync(Caller caller, ListQuery asked, bool append, CancellationToken ct)
    {
        try
        {
            var page = await jobs.ListAsync(caller, asked, ct);
            lock (gate)
            {
                items = append ? [.. items, .. page.Items.Where(j => items.TrueForAll(i => i.Id != j.Id))] : [.. page.Items];
                cursor = page.NextCursor;
            }

            Problem = null;
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }

        Loaded = true;
        Changed?.Invoke();
    }

    private void Take(JobView job)
    {
        lock (gate)
        {
            var at = items.FindIndex(j => j.Id == job.Id);
            if (at >= 0)
                items[at] = job;
            else if (Belongs(job))
                items.Insert(0, job);
            else
                return;
        }

        Changed?.Invoke();
    }

    // A job that leaves the filter while it is looked at stays where it is, with its new state: nothing jumps under the pointer.
    private bool Belongs(JobView job) =>
        query.Text is null && (wanted is null || job.State == wanted) && (!activeOnly || job.State is JobState.Queued or JobState.Running);
}
