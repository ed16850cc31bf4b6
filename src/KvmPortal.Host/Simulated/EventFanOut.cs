using System.Threading.Channels;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>
/// Gives every watcher all events, or, when one reads too slowly, a fresh snapshot in place of what it missed. Nobody waits for a watcher.
/// </summary>
/// <param name="gate">The fleet's lock: <see cref="Publish"/> is called under it, so that a snapshot and what follows never overlap.</param>
/// <param name="snapshot">Observations of all machines that run, closed by <see cref="SnapshotEnd"/>; called under the lock.</param>
internal sealed class EventFanOut(Lock gate, Func<IReadOnlyList<HostEvent>> snapshot)
{
    internal const int Capacity = 4096;
    private readonly List<Watcher> _watchers = [];

    public void Publish(HostEvent happened)
    {
        foreach (var watcher in _watchers)
            if (!watcher.Missed && !watcher.Events.Writer.TryWrite(happened))
                watcher.Missed = true;
    }

    public async IAsyncEnumerable<HostEvent> WatchAsync(
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var watcher = new Watcher();
        IReadOnlyList<HostEvent> pending;
        lock (gate)
        {
            _watchers.Add(watcher);
            pending = snapshot();
        }
        try
        {
            while (true)
            {
                foreach (var one in pending)
                    yield return one;
                pending = [];
                lock (gate)
                {
                    if (watcher.Missed)
                    {
                        while (watcher.Events.Reader.TryRead(out _)) { }
                        watcher.Missed = false;
                        pending = snapshot();
                    }
                }
                if (pending.Count > 0)
                    continue;
                if (watcher.Events.Reader.TryRead(out var next))
                    yield return next;
                else
                    await watcher.Events.Reader.WaitToReadAsync(cancellationToken);
            }
        }
        finally
        {
            lock (gate)
                _watchers.Remove(watcher);
        }
    }

    private sealed class Watcher
    {
        public Channel<HostEvent> Events { get; } = Channel.CreateBounded<HostEvent>(Capacity);
        public bool Missed { get; set; }
    }
}
