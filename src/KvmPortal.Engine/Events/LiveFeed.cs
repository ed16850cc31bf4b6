using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Events;

/// <summary>What changed just now, for open pages and hubs; nothing is stored (the event log is for that).</summary>
public abstract record LiveChange;

public sealed record VmChanged(VmSummary Vm) : LiveChange;

public sealed record VmRemoved(VmId Id) : LiveChange;

public sealed record JobChanged(JobView Job) : LiveChange;

public sealed record ImagesChanged : LiveChange;

/// <summary>The watcher was too slow and lost changes: read everything again.</summary>
public sealed record Resync : LiveChange;

/// <summary>In-process fan-out of changes. A slow watcher gets <see cref="Resync"/>, never slows the publisher.</summary>
public sealed class LiveFeed
{
    private const int Capacity = 1024;
    private readonly ConcurrentDictionary<Watcher, byte> watchers = new();

    /// <summary>Tells every watcher.</summary>
    public void Publish(LiveChange change)
    {
        foreach (var (watcher, _) in watchers)
            watcher.Offer(change);
    }

    /// <summary>Watchers now.</summary>
    internal int Watchers => watchers.Count;

    /// <summary>
    /// Changes from now on, until cancelled. Registered when the method is called, so that a snapshot taken afterwards misses nothing; a caller that may
    /// give up before it reads must cancel.
    /// </summary>
    public IAsyncEnumerable<LiveChange> WatchAsync(CancellationToken ct)
    {
        var watcher = new Watcher();
        watchers.TryAdd(watcher, 0);
        var given = ct.UnsafeRegister(gone => watchers.TryRemove((Watcher)gone!, out byte _), watcher);
        return Read(watcher, given, ct);
    }

    private async IAsyncEnumerable<LiveChange> Read(Watcher watcher, CancellationTokenRegistration given, [EnumeratorCancellation] CancellationToken ct)
    {
        try
        {
            while (await watcher.WaitAsync(ct))
                while (watcher.TryTake(out var change))
                    yield return change;
        }
        finally
        {
            await given.DisposeAsync();
            watchers.TryRemove(watcher, out _);
        }
    }

    private sealed class Watcher
    {
        private readonly Channel<LiveChange> channel = Channel.CreateBounded<LiveChange>(new BoundedChannelOptions(Capacity) { SingleReader = true });
        private int overflowed;

        public void Offer(LiveChange change)
        {
            if (!channel.Writer.TryWrite(change))
                Interlocked.Exchange(ref overflowed, 1);
        }

        public ValueTask<bool> WaitAsync(CancellationToken ct) => channel.Reader.WaitToReadAsync(ct);

        public bool TryTake(out LiveChange change)
        {
            if (Volatile.Read(ref overflowed) == 1)
            {
                while (channel.Reader.TryRead(out _))
                {
                    // What was queued before the loss is stale after a resync.
                }

                Interlocked.Exchange(ref overflowed, 0);
                change = new Resync();
                return true;
            }

            return channel.Reader.TryRead(out change!);
        }
    }
}
