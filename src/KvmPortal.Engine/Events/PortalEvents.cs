using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Events;

/// <summary>
/// The event log: everything that happened, in one order, for hubs, server-sent events and pages.
/// <code>
///  AppendAsync -> waiting -> one transaction for all that wait (numbers are given here) -> newest in memory -> watchers wake
/// </code>
/// A watcher is only a position in the log: it reads from memory what is new and from the table what is older, so a slow one costs nothing,
/// loses nothing and holds up nobody. What is no longer kept is announced as a gap.
/// </summary>
public sealed class PortalEvents
{
    /// <summary>Events kept in the table, at most.</summary>
    internal const long MostRows = 1_000_000;
    private const int InMemory = 2048;
    private const int MostPerTransaction = 500;
    private const int MostPerRead = 500;
    private const int PruneEvery = 1000;
    private const int MostPrunedAtOnce = 5000;
    private const int MostUnsaved = 1500;
    private const int LongestText = 4096;
    private const int LongestData = 64 * 1024;
    private static readonly TimeSpan Kept = TimeSpan.FromDays(400);

    private readonly PortalStore store;
    private readonly TimeProvider time;
    private readonly ILogger<PortalEvents> logger;
    private readonly long mostRows;
    private readonly SemaphoreSlim loading = new(1, 1);
    private readonly Lock gate = new();
    private readonly PortalEvent?[] newest = new PortalEvent?[InMemory];
    // Told while there was no room on the disk: watchers have them already, the table gets them with the next that it can take.
    private readonly List<PortalEvent> unsaved = [];
    private List<Waiting> waiting = [];
    private bool writing;
    private bool loaded;
    private long atLoad;
    private long last;
    private long pruneAt;
    private TaskCompletionSource grown = NewSignal();

    internal PortalEvents(PortalStore store, TimeProvider time, ILogger<PortalEvents> logger, long mostRows = MostRows) =>
        (this.store, this.time, this.logger, this.mostRows) = (store, time, logger, mostRows);

    private sealed record Waiting(string Type, JobTarget? Target, string Actor, string Text, bool Warning, JsonElement? Data)
    {
        public TaskCompletionSource<PortalEvent> Stored { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>Appends; watchers see it after it is stored. Must not be called inside a write to the store: the log is written in a transaction of its own.</summary>
    /// <param name="text">Cut at 4096 characters.</param>
    /// <param name="data">Left out when it is longer than 64 KiB of JSON.</param>
    /// <param name="ct">Ends the wait only: what was accepted is stored.</param>
    public Task<PortalEvent> AppendAsync(string type, JobTarget? target, string actor, string text, bool warning = false, object? data = null, CancellationToken ct = default)
    {
        JsonElement? json = data is null ? null : JsonSerializer.SerializeToElement(data, PortalJson.Options);
        if (json?.GetRawText().Length > LongestData)
            json = null;
        var entry = new Waiting(type, target, actor, text.Length > LongestText ? string.Concat(text.AsSpan(0, LongestText - 1), "…") : text, warning, json);
        lock (gate)
        {
            waiting.Add(entry);
            if (!writing)
            {
                writing = true;
                _ = Task.Run(WriteWaitingAsync, CancellationToken.None);
            }
        }

        return entry.Stored.Task.WaitAsync(ct);
    }

    /// <summary>
    /// Everything after <paramref name="since"/> (null: only new ones), then live, until cancelled. Registered when the method is called: what is
    /// appended afterwards is not missed. A <paramref name="since"/> beyond the newest event (the database was replaced) is announced as a gap.
    /// </summary>
    public IAsyncEnumerable<EventOrGap> WatchAsync(Caller caller, long? since, CancellationToken ct)
    {
        lock (gate)
            return ReadAsync(since is { } s ? Math.Max(0, s) + 1 : null, loaded ? last : null, ct);
    }

    /// <summary>Newest first. Filter by target id, and by <c>type = PREFIX</c>, <c>warning = true</c>, <c>actor = NAME</c>; text searches sentences and target names.</summary>
    public async Task<ListPage<PortalEvent>> ListAsync(Caller caller, ListQuery query, Guid? targetId, CancellationToken ct)
    {
        var filter = EventFilter.Parse(query);
        var before = query.Cursor is null ? long.MaxValue
            : long.TryParse(query.Cursor, NumberStyles.None, CultureInfo.InvariantCulture, out var seq) ? seq : throw TimeCursor.Invalid();
        var rows = await store.ReadAsync(db =>
        {
            var wanted = filter.Apply(db.Events).Where(e => e.Seq < before);
            if (targetId is { } id)
                wanted = wanted.Where(e => e.TargetId == id);
            return wanted.OrderByDescending(e => e.Seq).Take(query.Limit + 1).ToListAsync(ct);
        }, ct);
        var page = rows.Take(query.Limit).Select(r => r.ToEvent()).ToList();
        return new ListPage<PortalEvent>(page, rows.Count > query.Limit ? page[^1].Seq.ToString(CultureInfo.InvariantCulture) : null);
    }

    private async IAsyncEnumerable<EventOrGap> ReadAsync(long? from, long? lastAtCall, [EnumeratorCancellation] CancellationToken ct)
    {
        await LoadAsync(ct);
        // Called before the log was loaded: everything of this process came after the call.
        var now = lastAtCall ?? atLoad;
        var next = from ?? now + 1;
        if (next > now + 1)
        {
            yield return new EventOrGap(null, 1, now);
            next = now + 1;
        }

        var batch = new List<PortalEvent>();
        while (true)
        {
            Task changed;
            lock (gate)
            {
                changed = grown.Task;
                batch.Clear();
                for (var seq = next; seq <= last && batch.Count < MostPerRead && newest[seq % InMemory] is { } kept && kept.Seq == seq; seq++)
                    batch.Add(kept);
                if (batch.Count == 0 && next <= last)
                    changed = Task.CompletedTask;
            }

            if (batch.Count == 0 && !changed.IsCompleted)
            {
                await changed.WaitAsync(ct);
                continue;
            }

            if (batch.Count == 0)
                batch.AddRange(await ReadTableAsync(next, ct));
            if (batch.Count == 0)
                // Neither in the table (the disk is full) nor the next in memory: goes on with the oldest that is kept.
                lock (gate)
                    batch.AddRange(newest.Where(e => e is not null && e.Seq >= next).OrderBy(e => e!.Seq).Take(MostPerRead)!);
            foreach (var e in batch)
            {
                ct.ThrowIfCancellationRequested();
                if (e.Seq > next)
                    yield return new EventOrGap(null, next, e.Seq - 1);
                yield return new EventOrGap(e);
                next = e.Seq + 1;
            }
        }
    }

    private async Task<IEnumerable<PortalEvent>> ReadTableAsync(long next, CancellationToken ct)
    {
        var rows = await store.ReadAsync(db => db.Events.Where(e => e.Seq >= next).OrderBy(e => e.Seq).Take(MostPerRead).ToListAsync(ct), ct);
        return rows.Select(r => r.ToEvent());
    }

    private async Task LoadAsync(CancellationToken ct)
    {
        if (Volatile.Read(ref loaded))
            return;
        await loading.WaitAsync(ct);
        try
        {
            if (loaded)
                return;
            var found = await store.ReadAsync(db => db.Events.MaxAsync(e => (long?)e.Seq, ct), ct) ?? 0;
            lock (gate)
                (last, atLoad, loaded) = (found, found, true);
        }
        finally
        {
            loading.Release();
        }
    }

    /// <summary>Runs while there is something to write; the appender that found nobody writing started it.</summary>
    private async Task WriteWaitingAsync()
    {
        while (true)
        {
            List<Waiting> batch;
            lock (gate)
            {
                if (waiting.Count == 0)
                {
                    writing = false;
                    return;
                }

                batch = waiting.Count > MostPerTransaction ? waiting[..MostPerTransaction] : waiting;
                waiting = waiting.Count > MostPerTransaction ? waiting[MostPerTransaction..] : [];
            }

            try
            {
                await StoreAsync(batch);
            }
            catch (Exception e)
            {
                foreach (var entry in batch)
                    entry.Stored.TrySetException(e);
                continue;
            }

            await PruneAsync();
        }
    }

    private async Task StoreAsync(List<Waiting> batch)
    {
        await LoadAsync(CancellationToken.None);
        var at = time.GetUtcNow();
        var events = batch.Select((w, i) => new PortalEvent(last + 1 + i, at, w.Type, w.Target, w.Actor, w.Warning, w.Text, w.Data)).ToList();
        try
        {
            await store.WriteAsync(db =>
            {
                db.Events.AddRange(unsaved.Concat(events).Select(EventRow.Of));
                return Task.CompletedTask;
            }, CancellationToken.None);
            unsaved.Clear();
        }
        catch (PortalException e) when (e.Code == ErrorCode.DiskFull)
        {
            // Who tells of something must not be stopped by a full disk, least of all who tells of the full disk.
            unsaved.AddRange(events);
            unsaved.RemoveRange(0, Math.Max(0, unsaved.Count - MostUnsaved));
        }

        TaskCompletionSource signal;
        lock (gate)
        {
            foreach (var e in events)
                newest[e.Seq % InMemory] = e;
            last = events[^1].Seq;
            (signal, grown) = (grown, NewSignal());
        }

        for (var i = 0; i < batch.Count; i++)
            batch[i].Stored.TrySetResult(events[i]);
        signal.TrySetResult();
    }

    /// <summary>Now and then removes the oldest. The newest row always stays: the next number is derived from it.</summary>
    private async Task PruneAsync()
    {
        if (last < pruneAt || unsaved.Count > 0)
            return;
        pruneAt = last + PruneEvery;
        try
        {
            var before = time.GetUtcNow() - Kept;
            await store.WriteAsync(async db =>
            {
                var oldest = db.Events.Where(e => e.Seq < last).OrderBy(e => e.Seq).Take(MostPrunedAtOnce);
                var tooMany = last - mostRows;
                if (await oldest.Where(e => e.Seq <= tooMany || e.At < before).MaxAsync(e => (long?)e.Seq) is { } end)
                    await db.Events.Where(e => e.Seq <= end).ExecuteDeleteAsync();
            }, CancellationToken.None);
        }
        catch (Exception e)
        {
            logger.LogError(e, "Old events could not be removed.");
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
