namespace KvmPortal.Engine;

/// <summary>Settings of the engine (section <c>Engine</c>); paths are absolute once the portal has started.</summary>
public sealed record EngineOptions
{
    /// <summary>The data directory (0700): database, images, disks, bootstrap token.</summary>
    public required string DataRoot { get; init; }

    /// <summary>Jobs that may run at once.</summary>
    public int ParallelJobs { get; init; } = 32;

    /// <summary>Steps that keep CPUs or disks of the host busy (starts, saves, full copies) that may run at once.</summary>
    public int ParallelHeavySteps { get; init; } = Math.Max(4, Environment.ProcessorCount * 2);

    /// <summary>
    /// First and last user id that machines get on the host; null runs them as the portal's own user. The default lies between what Debian reserves (up to 65533, with
    /// systemd's dynamic users) and the ranges of subordinate ids (from 100000).
    /// </summary>
    public (int First, int Last)? MachineUids { get; init; } = (70_000, 73_999);

    /// <summary>A file system with less of itself free is nearly full, percent.</summary>
    public int WarnFreePercent { get; init; } = 5;

    /// <summary>A file system with less free is nearly full, GiB.</summary>
    public int WarnFreeGiB { get; init; } = 2;

    /// <summary>Number of simulated machines; null for the real host.</summary>
    public int? Simulated { get; init; }

    /// <summary>The SQLite file.</summary>
    public string DatabasePath => Path.Combine(DataRoot, "kvmportal.db");

    /// <summary>Holds the one-time token while no account exists; mode 0600.</summary>
    public string BootstrapTokenPath => Path.Combine(DataRoot, "bootstrap-token");
}
