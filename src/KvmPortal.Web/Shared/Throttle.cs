namespace KvmPortal.Web.Shared;

/// <summary>Calls an action at most once per interval, and once after the last request: what changes fast is drawn a few times a second.</summary>
public sealed class Throttle(TimeProvider time, TimeSpan interval, Action action) : IDisposable
{
    private readonly Lock gate = new();
    private ITimer? timer;
    private long last;
    private bool pending, closed;

    /// <summary>Asks for a call: now when the interval has passed, else at its end.</summary>
    public void Request()
    {
        lock (gate)
        {
            if (pending || closed)
                return;
            var since = last == 0 ? interval : time.GetElapsedTime(last);
            pending = true;
            var wait = since >= interval ? TimeSpan.Zero : interval - since;
            timer ??= time.CreateTimer(_ => Fire(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            timer.Change(wait, Timeout.InfiniteTimeSpan);
        }
    }

    private void Fire()
    {
        lock (gate)
        {
            if (closed)
                return;
            pending = false;
            last = time.GetTimestamp();
        }

        action();
    }

    public void Dispose()
    {
        lock (gate)
        {
            closed = true;
            timer?.Dispose();
        }
    }
}
