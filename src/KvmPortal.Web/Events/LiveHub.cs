using System.Runtime.CompilerServices;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;
using Microsoft.AspNetCore.SignalR;

namespace KvmPortal.Web.Events;

/// <summary>One change: what kind (vm, vm-removed, job, images, resync) and what it is now. After resync, read everything again.</summary>
public sealed record ChangeAnswer(string Kind, VmSummary? Vm = null, VmId? VmId = null, JobAnswer? Job = null);

/// <summary>/hubs/live: streams of what happens, for programs and pages.</summary>
internal sealed class LiveHub(PortalEvents events, LiveFeed feed, MetricsQueries metrics, JobOperations jobs, VmOperations vms) : Hub
{
    /// <summary>The event log after <paramref name="since"/> (null: from now on), then live.</summary>
    public IAsyncEnumerable<EventOrGap> WatchEvents(long? since, CancellationToken ct) => events.WatchAsync(Asking(), since, ct);

    /// <summary>Points of a VM's charts: the last seconds first, then each new one.</summary>
    public async Task<IAsyncEnumerable<VmPoint>> WatchVmMetrics(string id, int historySeconds, CancellationToken ct) =>
        metrics.WatchVmAsync(await vms.ResolveAsync(Asking(), id, ct), TimeSpan.FromSeconds(Math.Clamp(historySeconds, 0, 3600)), ct);

    public IAsyncEnumerable<HostPoint> WatchHostMetrics(int historySeconds, CancellationToken ct) => metrics.WatchHostAsync(TimeSpan.FromSeconds(Math.Clamp(historySeconds, 0, 3600)), ct);

    /// <summary>A job now, at each change, and at its end.</summary>
    public async Task<IAsyncEnumerable<JobAnswer>> WatchJob(string id, CancellationToken ct)
    {
        if (!JobId.TryParse(id, null, out var job))
            throw PortalException.NotFound("job", id.Length > 64 ? id[..64] : id);
        var changes = feed.WatchAsync(ct);
        return FollowAsync(await jobs.GetAsync(Asking(), job, ct), changes, Asking(), ct);
    }

    /// <summary>Every change of VMs, jobs and images from now on.</summary>
    public async IAsyncEnumerable<ChangeAnswer> WatchChanges([EnumeratorCancellation] CancellationToken ct)
    {
        await foreach (var change in feed.WatchAsync(ct))
            yield return change switch
            {
                VmChanged e => new ChangeAnswer("vm", Vm: e.Vm),
                VmRemoved e => new ChangeAnswer("vm-removed", VmId: e.Id),
                JobChanged e => new ChangeAnswer("job", Job: JobAnswer.Of(e.Job)),
                ImagesChanged => new ChangeAnswer("images"),
                _ => new ChangeAnswer("resync"),
            };
    }

    private async IAsyncEnumerable<JobAnswer> FollowAsync(JobView now, IAsyncEnumerable<LiveChange> changes, Caller caller, [EnumeratorCancellation] CancellationToken ct)
    {
        yield return JobAnswer.Of(now);
        if (HasEnded(now))
            yield break;
        await foreach (var change in changes.WithCancellation(ct))
        {
            var next = change switch { JobChanged e when e.Job.Id == now.Id => e.Job, Resync => await jobs.GetAsync(caller, now.Id, ct), _ => null };
            if (next is null)
                continue;
            yield return JobAnswer.Of(next);
            if (HasEnded(next))
                yield break;
        }
    }

    private static bool HasEnded(JobView job) => job.State is not (JobState.Queued or JobState.Running);

    private Caller Asking() => Context.GetHttpContext()!.Caller();
}

/// <summary>Registers the hubs.</summary>
internal static class LiveSetup
{
    public static void AddLive(this IServiceCollection services) => services.AddSignalR(o =>
    {
        o.MaximumReceiveMessageSize = 128 * 1024;
        o.StreamBufferCapacity = 16;
        o.AddFilter(new SpokenFailures());
    }).AddJsonProtocol(o => WireJson.Configure(o.PayloadSerializerOptions));

    /// <summary>What a caller may know reaches it; the rest stays in the log.</summary>
    private sealed class SpokenFailures : IHubFilter
    {
        public async ValueTask<object?> InvokeMethodAsync(HubInvocationContext invocationContext, Func<HubInvocationContext, ValueTask<object?>> next)
        {
            try
            {
                return await next(invocationContext);
            }
            catch (Exception e) when (e is PortalException or KvmPortal.Host.Contract.HostException)
            {
                var info = Problems.From(e);
                throw new HubException($"{info.Code}: {info.Detail}");
            }
        }
    }
}
