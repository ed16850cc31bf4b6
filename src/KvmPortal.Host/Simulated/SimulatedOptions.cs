namespace KvmPortal.Host.Simulated;

/// <summary>Settings of the simulated host.</summary>
public sealed record SimulatedOptions
{
    /// <summary>How many machines the demo will hold: only a hint that sizes the host's memory and tables. 0: unknown.</summary>
    public int Machines { get; init; }

    /// <summary>The data directory; the paths that the host reports lie below it. Nothing is written there.</summary>
    public required string DataRoot { get; init; }

    /// <summary>Longest time an ordinary step takes; each takes between none and all of it. Zero: steps end at once.</summary>
    public TimeSpan StepDelay { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Seed of delays, curves and colours; equal seeds give equal fleets.</summary>
    public int Seed { get; init; } = 1;
}
