namespace KvmPortal.Host.Linux.Inventory;

/// <summary>
/// A reading that takes a while, once at a time however many ask: who comes while one runs shares the one after it, because the running one may have passed by what the
/// caller has just changed.
/// </summary>
internal sealed class SharedReading<T>(Func<T> read)
{
    private readonly Lock gate = new();
    private Task<T>? running;
    private Task<T>? next;

    public Task<T> ReadAsync(CancellationToken ct)
    {
        lock (gate)
        {
            if (running is null or { IsCompleted: true })
                (running, next) = (next, null);
            if (running is null or { IsCompleted: true })
                return (running = Task.Run(read, CancellationToken.None)).WaitAsync(ct);
            return (next ??= AfterAsync(running)).WaitAsync(ct);
        }
    }

    private async Task<T> AfterAsync(Task before)
    {
        await before.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        return await Task.Run(read, CancellationToken.None);
    }
}
