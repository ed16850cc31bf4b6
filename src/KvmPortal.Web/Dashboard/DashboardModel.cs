using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Shared;
using KvmPortal.Web.Vms;

namespace KvmPortal.Web.Dashboard;

/// <summary>What the dashboard reads beside the machines: host, failed jobs, number of images.</summary>
public sealed class DashboardReads(HostOperations hosts, JobOperations jobs, ImageOperations images, PortalEvents events, MetricsQueries metrics)
{
    public Task<HostView> HostAsync(Caller caller, CancellationToken ct) => hosts.GetAsync(caller, ct);

    public async Task<IReadOnlyList<JobView>> FailedAsync(Caller caller, CancellationToken ct) => (await jobs.ListAsync(caller, new ListQuery(5, Filter: "state = failed"), ct)).Items;

    public async Task<bool> AnyImageAsync(Caller caller, CancellationToken ct) => (await images.ListAsync(caller, new ListQuery(1), ct)).Items.Count > 0;

    public async Task<IReadOnlyList<PortalEvent>> EventsAsync(Caller caller, CancellationToken ct) => (await events.ListAsync(caller, new ListQuery(DashboardModel.EventsShown), null, ct)).Items;

    public IAsyncEnumerable<EventOrGap> WatchEventsAsync(Caller caller, CancellationToken ct) => events.WatchAsync(caller, null, ct);

    public IReadOnlyDictionary<VmId, VmPoint> Latest() => metrics.LatestVms();
}

/// <param name="Cpu">CPUs used, 1.0 = one fully.</param>
public sealed record Consumer(VmSummary Vm, double Cpu, long? RssBytes);

/// <summary>The state of the house at a glance; every part is read on its own, so that one that fails does not hide the others.</summary>
public sealed class DashboardModel(VmSet set, DashboardReads reads)
{
    public const int EventsShown = 12;
    private const int TopShown = 5;
    private readonly Lock gate = new();
    private List<PortalEvent> events = [];

    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    public VmSet Set => set;
    public HostView? Host { get; private set; }
    public IReadOnlyList<JobView> Failed { get; private set; } = [];
    public bool AnyImage { get; private set; }
    public bool Loaded { get; private set; }
    public ProblemInfo? Problem { get; private set; }
    public IReadOnlyList<Consumer> Top { get; private set; } = [];

    /// <summary>Newest first.</summary>
    public IReadOnlyList<PortalEvent> Events
    {
        get
        {
            lock (gate)
                return [.. events];
        }
    }

    /// <summary>Machines by state, what runs first and what is wrong last; a state that nobody is in has 0.</summary>
    public IReadOnlyList<(VmState State, int Count)> Counts()
    {
        var counts = set.Items.CountBy(v => v.Status.State).ToDictionary();
        return [.. Enum.GetValues<VmState>().OrderBy(s => s switch { VmState.Running => -1, VmState.Stopped => 90, VmState.Crashed => 100, _ => (int)s }).Select(s => (s, counts.GetValueOrDefault(s)))];
    }

    public IReadOnlyList<VmSummary> Crashed() => [.. set.Items.Where(v => v.Status.State == VmState.Crashed).OrderByDescending(v => v.Status.Since).Take(TopShown)];

    /// <summary>Follows machines, events and failures until cancelled.</summary>
    public async Task FollowAsync(Caller caller, CancellationToken ct)
    {
        var following = set.FollowAsync(caller, ct);
        var watched = reads.WatchEventsAsync(caller, ct);
        await Try(() => set.LoadAsync(caller, new ListQuery(), ct));
        await RefreshAsync(caller, ct);
        await Try(async () => Take(await reads.EventsAsync(caller, ct)));
        Loaded = true;
        Changed?.Invoke();
        try
        {
            await foreach (var item in watched.WithCancellation(ct))
            {
                if (item.Event is not { } e)
                {
                    Take(await reads.EventsAsync(caller, ct));
                    continue;
                }

                Take([e]);
                if (e.Type is "job.ended" or "image.added" or "image.deleted")
                    await RefreshAsync(caller, ct);
                Changed?.Invoke();
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }

        await following;
    }

    /// <summary>The host, the failures and whether there is an image.</summary>
    public async Task RefreshAsync(Caller caller, CancellationToken ct)
    {
        await Try(async () => Host = await reads.HostAsync(caller, ct));
        await Try(async () => Failed = await reads.FailedAsync(caller, ct));
        await Try(async () => AnyImage = await reads.AnyImageAsync(caller, ct));
    }

    /// <summary>Who uses most now.</summary>
    public void Rank()
    {
        var latest = reads.Latest();
        Top = [.. set.Items.Where(v => latest.TryGetValue(v.Id, out var p) && p.Cpu is not null).Select(v => new Consumer(v, latest[v.Id].Cpu!.Value, latest[v.Id].RssBytes)).OrderByDescending(c => c.Cpu).Take(TopShown)];
    }

    private void Take(IReadOnlyList<PortalEvent> more)
    {
        lock (gate)
            events = [.. more.Concat(events).DistinctBy(e => e.Seq).OrderByDescending(e => e.Seq).Take(EventsShown)];
    }

    private async Task Try(Func<Task> read)
    {
        try
        {
            await read();
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }
}
