using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Launch;

/// <summary>QEMU's states and ends in our words.</summary>
internal static class MachineEndings
{
    /// <summary>QEMU's RunState (qapi/run-state.json).</summary>
    public static MachineRunState RunStateOf(string status) => status switch
    {
        "running" => MachineRunState.Running,
        "prelaunch" or "preconfig" => MachineRunState.Prelaunch,
        "io-error" => MachineRunState.IoError,
        "guest-panicked" => MachineRunState.Panicked,
        "internal-error" => MachineRunState.InternalError,
        "inmigrate" or "save-vm" or "restore-vm" or "finish-migrate" or "colo" => MachineRunState.Migrating,
        "shutdown" => MachineRunState.ShutDown,
        _ => MachineRunState.Paused,
    };

    /// <summary>Why a machine stands still on an I/O error, from what QEMU remembers of its disks; null when no disk remembers one.</summary>
    public static string? StoppedBy(IReadOnlyList<QmpCommands.BlockInfo> disks) =>
        disks.FirstOrDefault(d => d.IoStatus is "nospace" or "failed") is { } disk ? DiskStopped(disk.Inserted?.NodeName, disk.IoStatus == "nospace", "I/O") : null;

    public static string DiskStopped(string? disk, bool full, string? operation) =>
        full ? $"Disk {disk ?? "?"}: no space left on the host." : $"Disk {disk ?? "?"}: {operation} error on the host.";

    /// <summary>How a machine ended while no portal watched: by what had been asked of it, by the host's boot, and by QEMU's last words.</summary>
    public static MachineEnded Unwatched(DateTimeOffset at, RunRecord run, bool rebooted, IReadOnlyList<string> tail)
    {
        var end = run.Expected ?? (rebooted ? MachineEnd.HostReboot
            : tail.Any(l => l.Contains("terminating on signal", StringComparison.Ordinal)) ? MachineEnd.HostSignal : MachineEnd.Crashed);
        return Tell(at, run.Spec.Id, end, null, unwatched: true, end == MachineEnd.Crashed ? tail : []);
    }

    /// <param name="code">QEMU's exit code, 128 + signal when it was killed; null when it was not our child.</param>
    public static MachineEnded Tell(DateTimeOffset at, Guid id, MachineEnd end, int? code, bool unwatched, IReadOnlyList<string> tail)
    {
        var reason = end switch
        {
            MachineEnd.GuestPowerOff => "The guest powered itself off.",
            MachineEnd.Quit => "It was stopped.",
            MachineEnd.Saved => "Its state was saved.",
            MachineEnd.HostSignal => unwatched ? "Its QEMU was ended by a signal from the host while the portal was not watching." : "Its QEMU was ended by a signal from the host.",
            MachineEnd.Crashed when unwatched => "Its QEMU died while the portal was not watching.",
            MachineEnd.Crashed => code is null ? "Its QEMU died." : code > 128 ? $"Its QEMU was killed by signal {code - 128}." : $"Its QEMU ended with exit code {code}.",
            MachineEnd.Unknown => "It ended; how is not known.",
            MachineEnd.HostReboot => "The host was restarted.",
        };
        return new MachineEnded { At = at, MachineId = id, End = end, Reason = reason, ExitCode = code, StderrTail = tail };
    }
}
