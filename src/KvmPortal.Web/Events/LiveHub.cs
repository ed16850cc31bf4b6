using System.Runtime.CompilerServices;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;
using KvmPortal.Web.Vms;
using Microsoft.AspNetCore.SignalR;

namespace KvmPortal.Web.Events;

/// <param name="Job">As it is now.</param>
/// <param name="Log">Lines that the watcher has not had yet.</param>
public sealed record JobStreamItem(JobResponse Job, IReadOnlyList<JobLogEntry> Log);

/// <param name="Vm">The VM that is new or changed.</param>
/// <param name="Removed">Id of the VM that is gone.</param>
/// <param name="ReadAgain">Read the list now: the watch begins here, or it was too slow and lost changes.</param>
public sealed record VmStreamItem(VmListItem? Vm, VmId? Removed, bool ReadAgain);

/// <summary>Streams for programs: events, jobs, VMs, and metrics of one VM or the host. Each ends with its connection.</summary>
public sealed class LiveHub(PortalEvents events, MetricsQueries metrics, VmOperations vms, LiveStreams live, Goodbye goodbye) : Hub
{
    /// <summary>Events after a sequence number (null: new ones only).</summary>
    public IAsyncEnumerable<EventOrGap> WatchEvents(long? since, CancellationToken ct) => goodbye.UntilStopping(events.WatchAsync(Caller, since, ct), ct);

    /// <summary>A job's progress and log until it has ended; each log line once.</summary>
    public async IAsyncEnumerable<JobStreamItem> WatchJob(string job, [EnumeratorCancellation] CancellationToken ct)
    {
        if (!JobId.TryParse(job, null, out var id))
            throw new HubException(PortalException.NotFound("job", job.Length > 64 ? job[..64] : job).Message);
        await using var updates = live.WatchJobAsync(Caller, id, ct).GetAsyncEnumerator(ct);
        while (await NextAsync(updates))
            yield return new JobStreamItem(JobResponse.From(updates.Current.Job), updates.Current.Log);
    }

    /// <summary>First the word to read the list, then every VM that is new, changed or gone.</summary>
    public async IAsyncEnumerable<VmStreamItem> WatchVms([EnumeratorCancellation] CancellationToken ct)
    {
        await foreach (var update in live.WatchVmsAsync(Caller, ct))
            yield return new VmStreamItem(update.Vm is null ? null : VmListItem.From(update.Vm), update.Removed, update.ReadAgain);
    }

    /// <summary>Points of a VM: the last seconds, then each new one.</summary>
    public async IAsyncEnumerable<VmPoint> WatchVmMetrics(string vm, int historySeconds, [EnumeratorCancellation] CancellationToken ct)
    {
        var id = await ResolveAsync(vm, ct);
        await foreach (var point in metrics.WatchVmAsync(id, TimeSpan.FromSeconds(Math.Clamp(historySeconds, 0, 3600)), ct))
            yield return point;
    }

    /// <summary>Points of the host: the last seconds, then each new one.</summary>
    public IAsyncEnumerable<HostPoint> WatchHostMetrics(int historySeconds, CancellationToken ct) => metrics.WatchHostAsync(TimeSpan.FromSeconds(Math.Clamp(historySeconds, 0, 3600)), ct);

    private Caller Caller => Context.GetHttpContext()!.Caller();

    private static async Task<bool> NextAsync<T>(IAsyncEnumerator<T> stream)
    {
        try
        {
            return await stream.MoveNextAsync();
        }
        catch (PortalException e)
        {
            throw new HubException(e.Message);
        }
    }

    private async Task<VmId> ResolveAsync(string vm, CancellationToken ct)
    {
        try
        {
            return await vms.ResolveAsync(Caller, vm, ct);
        }
        catch (PortalException e)
        {
            throw new HubException(e.Message);
        }
    }
}
