namespace KvmPortal.Host.Simulated;

/// <summary>Lets tests stop steps of a kind at their start and let them go on.</summary>
internal sealed class StepHolds
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, TaskCompletionSource> _held = new(StringComparer.Ordinal);

    public void Hold(string kind)
    {
        lock (_gate)
            _held.TryAdd(kind, new(TaskCreationOptions.RunContinuationsAsynchronously));
    }

    public void Release(string kind)
    {
        lock (_gate)
            if (_held.Remove(kind, out var held))
                held.TrySetResult();
    }

    public Task PassAsync(string kind, CancellationToken cancellationToken)
    {
        lock (_gate)
            return _held.TryGetValue(kind, out var held) ? held.Task.WaitAsync(cancellationToken) : Task.CompletedTask;
    }
}
