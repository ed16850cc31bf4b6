using System.Globalization;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Hosts.Inventories;

/// <summary>What is known of the host, in versions: the newest, older ones, and a new look. What has changed is told as events.</summary>
public sealed class HostInventories
{
    /// <summary>Versions that are kept.</summary>
    internal const int Kept = 50;
    /// <summary>Changes that are told one by one; a rebuilt host may have hundreds.</summary>
    private const int ToldEach = 50;

    private readonly IMachineHost host;
    private readonly PortalStore store;
    private readonly PortalEvents events;
    private readonly TimeProvider time;
    private readonly SemaphoreSlim looking = new(1, 1);
    private HostSnapshot? newest;

    internal HostInventories(IMachineHost host, PortalStore store, PortalEvents events, TimeProvider time) => (this.host, this.store, this.events, this.time) = (host, store, events, time);

    /// <summary>The newest version as of the last look, with the numbers of that look; looks if there was none. Or an older version. Throws NotFound.</summary>
    public async Task<HostSnapshot> GetAsync(Caller caller, long? version, CancellationToken ct)
    {
        if (version is null)
            return Volatile.Read(ref newest) ?? await RefreshAsync(caller, ct);
        var row = await store.ReadAsync(db => db.HostSnapshots.SingleOrDefaultAsync(s => s.Version == version, ct), ct);
        return row?.Unpack() is { } inventory ? new HostSnapshot(row.Version, row.TakenAt, inventory) : throw PortalException.NotFound("version of the inventory", version.Value.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Versions, newest first.</summary>
    public async Task<ListPage<HostSnapshotSummary>> ListAsync(Caller caller, ListQuery query, CancellationToken ct)
    {
        var before = query.Cursor is null ? long.MaxValue : long.TryParse(query.Cursor, NumberStyles.None, CultureInfo.InvariantCulture, out var at) ? at : throw TimeCursor.Invalid();
        var rows = await store.ReadAsync(db => db.HostSnapshots.Where(s => s.Version < before).OrderByDescending(s => s.Version).Take(query.Limit + 1).Select(s => new { s.Version, s.TakenAt, s.Changes }).ToListAsync(ct), ct);
        var page = rows.Take(query.Limit).Select(r => new HostSnapshotSummary(r.Version, r.TakenAt, r.Changes)).ToList();
        return new ListPage<HostSnapshotSummary>(page, rows.Count > query.Limit ? page[^1].Version.ToString(CultureInfo.InvariantCulture) : null);
    }

    /// <summary>Looks now; a new version is stored and told when something that matters has changed. One look at a time.</summary>
    public async Task<HostSnapshot> RefreshAsync(Caller caller, CancellationToken ct)
    {
        await looking.WaitAsync(ct);
        try
        {
            var inventory = await host.ReadInventoryAsync(ct);
            var (snapshot, changes) = await StoreAsync(inventory, InventoryDiff.Digest(inventory), ct);
            Volatile.Write(ref newest, snapshot);
            await TellAsync(changes, ct);
            return snapshot;
        }
        finally
        {
            looking.Release();
        }
    }

    private async Task<(HostSnapshot Snapshot, IReadOnlyList<InventoryChange> Changes)> StoreAsync(HostInventory inventory, string digest, CancellationToken ct)
    {
        var now = time.GetUtcNow();
        var last = await store.ReadAsync(db => db.HostSnapshots.OrderByDescending(s => s.Version).FirstOrDefaultAsync(ct), ct);
        if (last?.Digest == digest)
            return (new HostSnapshot(last.Version, now, inventory), []);
        var changes = last?.Unpack() is { } before ? InventoryDiff.Compare(before, inventory) : [];
        var version = (last?.Version ?? 0) + 1;
        await store.WriteAsync(async db =>
        {
            db.HostSnapshots.Add(new HostSnapshotRow { Version = version, TakenAt = now, Digest = digest, Content = HostSnapshotRow.Pack(inventory), Changes = [.. changes.Take(500)] });
            await db.HostSnapshots.Where(s => s.Version <= version - Kept).ExecuteDeleteAsync(ct);
        }, ct);
        return (new HostSnapshot(version, now, inventory), changes);
    }

    private async Task TellAsync(IReadOnlyList<InventoryChange> changes, CancellationToken ct)
    {
        foreach (var change in changes.Take(ToldEach))
            await events.AppendAsync("host.hardware-changed", new JobTarget(TargetType.Host, HostOperations.LocalHostId, change.What), "host", change.Text, warning: change.Kind == InventoryChangeKind.Disappeared, change, ct);
        if (changes.Count > ToldEach)
            await events.AppendAsync("host.hardware-changed", new JobTarget(TargetType.Host, HostOperations.LocalHostId, Say.HardwareMore(changes.Count - ToldEach)), "host", Say.HardwareMore(changes.Count - ToldEach), warning: false, null, ct);
    }
}
