using System.Collections.Immutable;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Web.Vms;

/// <summary>
/// The machines that match a query, kept up to date. A change of a machine in the set is taken in place; a change that may add, remove or move one
/// has the set read again, at most once a second, so a fleet that starts as a whole does not read itself ten thousand times.
/// </summary>
public sealed class VmSet(VmOperations vms, LiveFeed feed, TimeProvider time)
{
    private const int PageSize = 500;
    private readonly Lock gate = new();
    private ImmutableArray<VmSummary> items = [];
    private Dictionary<VmId, int> places = [];
    private ListQuery query = new(PageSize);
    private int generation;
    private bool stale;

    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    /// <summary>In the order of the query.</summary>
    public ImmutableArray<VmSummary> Items
    {
        get
        {
            lock (gate)
                return items;
        }
    }

    /// <summary>False until the first read ended.</summary>
    public bool Loaded { get; private set; }

    /// <summary>Why the set could not be read (a filter that cannot be parsed, …); the last good items stay.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Reads what matches, replacing what was there.</summary>
    public async Task LoadAsync(Caller caller, ListQuery wanted, CancellationToken ct)
    {
        int mine;
        lock (gate)
        {
            mine = ++generation;
            query = wanted with { Limit = PageSize, Cursor = null };
            stale = false;
        }

        try
        {
            var all = ImmutableArray.CreateBuilder<VmSummary>();
            var page = query;
            do
            {
                var read = await vms.ListAsync(caller, page, ct);
                all.AddRange(read.Items);
                page = page with { Cursor = read.NextCursor };
            }
            while (page.Cursor is not null);

            lock (gate)
            {
                if (mine != generation)
                    return;
                items = all.ToImmutable();
                places = new Dictionary<VmId, int>(items.Length);
                for (var i = 0; i < items.Length; i++)
                    places[items[i].Id] = i;
                (Failure, Loaded) = (null, true);
            }
        }
        catch (PortalException e)
        {
            lock (gate)
            {
                if (mine != generation)
                    return;
                (Failure, Loaded) = (e, true);
            }
        }

        Changed?.Invoke();
    }

    /// <summary>Follows changes until cancelled. Call it before <see cref="LoadAsync"/>: then nothing is missed between them.</summary>
    public async Task FollowAsync(Caller caller, CancellationToken ct)
    {
        var changes = feed.WatchAsync(ct);
        var rereading = RereadAsync(caller, ct);
        try
        {
            await foreach (var change in changes.WithCancellation(ct))
                Take(change);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }

        await rereading;
    }

    private void Take(LiveChange change)
    {
        lock (gate)
        {
            switch (change)
            {
                case VmChanged { Vm: var vm } when places.TryGetValue(vm.Id, out var at):
                    // A new state may leave a filter or move in a sort; the name decides the default order.
                    stale |= !Same(items[at], vm);
                    items = items.SetItem(at, vm);
                    break;
                case VmChanged or Resync:
                    stale = true;
                    return;
                case VmRemoved { Id: var id } when places.ContainsKey(id):
                    items = items.RemoveAll(v => v.Id == id);
                    places = items.Select((v, i) => (v.Id, i)).ToDictionary(p => p.Id, p => p.i);
                    break;
                default:
                    return;
            }
        }

        Changed?.Invoke();
    }

    private bool Same(VmSummary before, VmSummary after) =>
        string.IsNullOrEmpty(query.Filter) && query.Sort is null or "name" ? before.Name == after.Name : before.Name == after.Name && before.Status.State == after.Status.State && before.Status.Since == after.Status.Since;

    private async Task RereadAsync(Caller caller, CancellationToken ct)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1), time);
        try
        {
            while (await timer.WaitForNextTickAsync(ct))
                if (stale)
                    await LoadAsync(caller, query, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }
    }
}
