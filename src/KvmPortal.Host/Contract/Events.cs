using System.Text.Json.Serialization;

namespace KvmPortal.Host.Contract;

/// <summary>What QEMU says a machine is doing; the Engine derives the VM's state from it.</summary>
public enum MachineRunState
{
    /// <summary>Launched, CPUs not started yet (`-S`, prelaunch).</summary>
    Prelaunch,
    Running,
    /// <summary>Stopped by `stop`.</summary>
    Paused,
    /// <summary>Paused by QEMU on a disk error (`io-error`).</summary>
    IoError,
    /// <summary>The guest panicked; paused.</summary>
    Panicked,
    /// <summary>`internal-error`: only reset or end.</summary>
    InternalError,
    /// <summary>Saving or loading state.</summary>
    Migrating,
    /// <summary>The guest powered off; the process is about to end.</summary>
    ShutDown,
    /// <summary>QEMU answers no QMP within its deadline.</summary>
    Unresponsive,
}

/// <summary>Why a machine's process ended.</summary>
public enum MachineEnd
{
    /// <summary>The guest powered itself off.</summary>
    GuestPowerOff,
    /// <summary>We asked QEMU to quit.</summary>
    Quit,
    /// <summary>State was saved (suspend).</summary>
    Saved,
    /// <summary>QEMU got SIGTERM, SIGINT or SIGHUP from someone.</summary>
    HostSignal,
    /// <summary>QEMU died: a signal, an abort or a non-zero exit.</summary>
    Crashed,
    /// <summary>It ended while nobody watched; how is not known.</summary>
    Unknown,
    /// <summary>The host was restarted under it.</summary>
    HostReboot,
}

/// <summary>Something that happened on a host. Not polled: they come from QMP events, pidfds and the steps themselves.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "event")]
[JsonDerivedType(typeof(MachineObserved), "observed")]
[JsonDerivedType(typeof(SnapshotEnd), "snapshot-end")]
[JsonDerivedType(typeof(MachineStateChanged), "state")]
[JsonDerivedType(typeof(MachineEnded), "ended")]
[JsonDerivedType(typeof(MachineNotice), "notice")]
public abstract record HostEvent
{
    public required DateTimeOffset At { get; init; }
}

/// <summary>A machine that runs on this host: at the start of a watch, and when one is found or launched.</summary>
public sealed record MachineObserved : HostEvent
{
    public required Guid MachineId { get; init; }
    public required MachineRunState State { get; init; }
    public required int Pid { get; init; }
    public required Accelerator Accelerator { get; init; }
    public required DateTimeOffset StartedAt { get; init; }
    /// <summary>What is wrong with it; null for a machine that answers.</summary>
    public string? Reason { get; init; }
}

/// <summary>All machines that run have been named; what was not named is not running.</summary>
public sealed record SnapshotEnd : HostEvent;

public sealed record MachineStateChanged : HostEvent
{
    public required Guid MachineId { get; init; }
    public required MachineRunState State { get; init; }
    /// <summary>One sentence for people, e.g. "Disk disk0: no space left on the host"; null when the state says it all.</summary>
    public string? Reason { get; init; }
}

public sealed record MachineEnded : HostEvent
{
    public required Guid MachineId { get; init; }
    public required MachineEnd End { get; init; }
    /// <summary>One sentence for people with exit code or signal.</summary>
    public required string Reason { get; init; }
    public int? ExitCode { get; init; }
    public IReadOnlyList<string> StderrTail { get; init; } = [];
}

/// <summary>Worth a line in the VM's event list, changes no state: guest reboot, I/O error reported, VNC client, companion died, …</summary>
public sealed record MachineNotice : HostEvent
{
    public required Guid MachineId { get; init; }
    /// <summary>Stable kebab-case kind: guest-reset, block-io-error, vnc-connected, vnc-disconnected, tpm-lost, balloon-change, watchdog, placement-drift, placement-repaired.</summary>
    public required string Kind { get; init; }
    public required string Text { get; init; }
    public bool Warning { get; init; }
}
