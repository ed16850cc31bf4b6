using System.Runtime.CompilerServices;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Hosting;
using Microsoft.AspNetCore.SignalR;

namespace KvmPortal.Web.Events;

/// <summary>Streams for programs: events, and metrics of one VM or the host.</summary>
public sealed class LiveHub(PortalEvents events, MetricsQueries metrics, VmOperations vms) : Hub
{
    /// <summary>Events after a sequence number (null: new ones only).</summary>
    public IAsyncEnumerable<EventOrGap> WatchEvents(long? since, CancellationToken ct) => events.WatchAsync(Caller, since, ct);

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

    private async Task<Engine.Data.VmId> ResolveAsync(string vm, CancellationToken ct)
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
