using KvmPortal.Host.Consoles;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Launch;

/// <summary>
/// Watches one machine by its QMP events: one asynchronous loop, no thread, no polling. Says what changes, and how it ended.
/// <code>
///  events ► STOP/RESUME/… ► query-status ► MachineStateChanged
///         ► SHUTDOWN by the guest ► quit ► process gone ► MachineEnded(GuestPowerOff)
///  connection lost ► process gone ► MachineEnded(Crashed | HostSignal | Quit | Saved)
/// </code>
/// </summary>
internal sealed class MachineSupervisor : IAsyncDisposable
{
    private readonly TimeProvider time;
    private readonly Action<HostEvent> tell;
    private readonly MachinePaths paths;
    private readonly QemuProcess process;
    private readonly TaskCompletionSource gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<string, DateTimeOffset> lastNotices = [];
    private volatile bool detaching;
    private MachineEnd? expected;

    public MachineSupervisor(RunRecord run, QemuProcess process, QmpClient qmp, SerialConsole? serial, MachinePaths paths, TimeProvider time, Action<HostEvent> tell)
    {
        (Run, this.process, Qmp, Serial, this.paths, this.time, this.tell) = (run, process, qmp, serial, paths, time, tell);
    }

    public RunRecord Run { get; }
    public QmpClient Qmp { get; }
    public SerialConsole? Serial { get; }
    public Guid Id => Run.Spec.Id;
    public int Pid => process.Pid;

    /// <summary>What QEMU last said.</summary>
    public MachineRunState State { get; private set; } = MachineRunState.Prelaunch;

    /// <summary>Host thread ids of the vCPUs, in vCPU order.</summary>
    public IReadOnlyList<int> VcpuThreads { get; private set; } = [];

    /// <summary>Completes when the process is gone and its end has been told.</summary>
    public Task Gone => gone.Task;

    /// <summary>Reads the state once, then follows the events.</summary>
    public async Task BeginAsync(CancellationToken ct)
    {
        State = RunStateOf((await Qmp.QueryStatusAsync(ct)).Status);
        VcpuThreads = [.. (await Qmp.QueryCpusFastAsync(ct)).OrderBy(c => c.CpuIndex).Select(c => c.ThreadId)];
        _ = FollowAsync();
    }

    /// <summary>A guest that powered off while nobody listened sent its event to nobody; QEMU still waits (`-no-shutdown`) to be ended.</summary>
    public async Task FinishPowerOffAsync()
    {
        if (State != MachineRunState.ShutDown)
            return;
        expected ??= MachineEnd.GuestPowerOff;
        try
        {
            await Qmp.QuitAsync(CancellationToken.None);
        }
        catch (HostException)
        {
            // It is gone already, or hangs: the loop says which.
        }
    }

    /// <summary>Says beforehand how the coming end is meant.</summary>
    public void Expect(MachineEnd end) => expected = end;

    /// <summary>Reads the state from QEMU and tells it when it differs.</summary>
    public async Task RefreshAsync(string? reason, CancellationToken ct)
    {
        try
        {
            Become(RunStateOf((await Qmp.QueryStatusAsync(ct)).Status), reason);
        }
        catch (HostException e) when (e.Error == HostError.Timeout)
        {
            Become(MachineRunState.Unresponsive, e.Message);
        }
    }

    /// <summary>quit, then SIGTERM, then SIGKILL; returns when the process is gone.</summary>
    public async Task EndAsync(MachineEnd how, CancellationToken ct)
    {
        Expect(how);
        try
        {
            await Qmp.QuitAsync(ct);
        }
        catch (HostException)
        {
            // It is gone already, or hangs: the signals decide.
        }

        if (await WaitGoneAsync(TimeSpan.FromSeconds(5), ct))
            return;
        process.Signal(PosixSignalNumber.Term);
        if (await WaitGoneAsync(TimeSpan.FromSeconds(3), ct))
            return;
        process.Signal(PosixSignalNumber.Kill);
        if (!await WaitGoneAsync(TimeSpan.FromSeconds(10), ct))
            throw new HostException(HostError.Timeout, $"QEMU (pid {Pid}) did not end even when killed; the kernel may be waiting for a device.");
    }

    /// <summary>Waits until the process is gone; false when <paramref name="patience"/> ran out.</summary>
    public async Task<bool> WaitGoneAsync(TimeSpan patience, CancellationToken ct)
    {
        try
        {
            await gone.Task.WaitAsync(patience, time, ct);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Detaches; the machine runs on.</summary>
    public async ValueTask DisposeAsync()
    {
        detaching = true;
        await Qmp.DisposeAsync();
        if (Serial is not null)
            await Serial.DisposeAsync();
    }

    private async Task FollowAsync()
    {
        await foreach (var happened in Qmp.Events.ReadAllAsync())
        {
            try
            {
                await HandleAsync(happened);
            }
            catch (HostException)
            {
                // It ended while it was asked; the end below says how.
            }
        }

        if (detaching)
            return;
        // A QMP connection can also be lost while QEMU lives (it hangs, or closed us for rubbish): then it is unresponsive, not ended.
        if (!await process.WaitForEndAsync(TimeSpan.FromSeconds(3), CancellationToken.None))
        {
            Become(MachineRunState.Unresponsive, "QEMU closed its control connection but has not ended.");
            await process.WaitForEndAsync(Timeout.InfiniteTimeSpan, CancellationToken.None);
        }

        if (Serial is not null)
            await Serial.DisposeAsync();
        if (!detaching)
        {
            // Before anybody hears of the end: a start that follows at once uses the same folder.
            RemoveRun();
            tell(Ended());
        }

        gone.TrySetResult();
    }

    private void RemoveRun()
    {
        try
        {
            RunningMachines.RemoveRun(paths);
        }
        catch (IOException e)
        {
            Notice("run-folder-left", $"The run folder could not be removed: {e.Message}", warning: true);
        }
    }

    private async Task HandleAsync(QmpEvent happened)
    {
        switch (happened.Name)
        {
            case "STOP" or "RESUME" or "SUSPEND" or "WAKEUP":
                await RefreshAsync(null, CancellationToken.None);
                break;
            case "SHUTDOWN":
                await ShutDownAsync(happened);
                break;
            case "RESET":
                if (Text(happened, "reason") == "guest-reset")
                    Notice("guest-reset", "The guest restarted itself.");
                await RefreshAsync(null, CancellationToken.None);
                break;
            case "GUEST_PANICKED":
                Become(MachineRunState.Panicked, "The guest's kernel panicked.");
                break;
            case "BLOCK_IO_ERROR":
                IoError(happened);
                break;
            case "WATCHDOG":
                Notice("watchdog", $"The guest's watchdog expired (action {Text(happened, "action")}).", warning: true);
                break;
            case "VNC_CONNECTED":
                Notice("vnc-connected", "A viewer connected to the display.");
                break;
            case "VNC_DISCONNECTED":
                Notice("vnc-disconnected", "A viewer left the display.");
                break;
        }
    }

    private async Task ShutDownAsync(QmpEvent happened)
    {
        var reason = Text(happened, "reason");
        expected ??= reason switch
        {
            "guest-shutdown" => MachineEnd.GuestPowerOff,
            "host-signal" => MachineEnd.HostSignal,
            "host-qmp-quit" => MachineEnd.Quit,
            "guest-panic" => MachineEnd.Crashed,
            _ => MachineEnd.Unknown,
        };
        if (reason is "host-signal" or "host-qmp-quit")
            return;
        Become(MachineRunState.ShutDown, null);
        await Qmp.QuitAsync(CancellationToken.None);
    }

    private void IoError(QmpEvent happened)
    {
        var disk = Text(happened, "node-name") ?? "?";
        var full = happened.Data.TryGetProperty("nospace", out var nospace) && nospace.ValueKind == System.Text.Json.JsonValueKind.True;
        var text = full ? $"Disk {disk}: no space left on the host." : $"Disk {disk}: {Text(happened, "operation")} error on the host.";
        if (Text(happened, "action") == "stop")
            Become(MachineRunState.IoError, text);
        else
            Notice("block-io-error", text, warning: true);
    }

    private void Become(MachineRunState state, string? reason)
    {
        // A panic or an I/O error stops the machine; the STOP that follows must not hide the cause.
        if (state == MachineRunState.Paused && State is MachineRunState.Panicked or MachineRunState.IoError && reason is null)
            return;
        if (state == State && reason is null)
            return;
        State = state;
        tell(new MachineStateChanged { At = time.GetUtcNow(), MachineId = Id, State = state, Reason = reason });
    }

    /// <summary>A guest can cause these at will: one of a kind per second.</summary>
    private void Notice(string kind, string text, bool warning = false)
    {
        var now = time.GetUtcNow();
        if (lastNotices.TryGetValue(kind, out var last) && now - last < TimeSpan.FromSeconds(1))
            return;
        lastNotices[kind] = now;
        tell(new MachineNotice { At = now, MachineId = Id, Kind = kind, Text = text, Warning = warning });
    }

    private MachineEnded Ended()
    {
        var code = process.ExitCode;
        var end = expected is { } known && (code is null or 0 || known is MachineEnd.Quit or MachineEnd.HostSignal or MachineEnd.Saved) ? known : MachineEnd.Crashed;
        var reason = end switch
        {
            MachineEnd.GuestPowerOff => "The guest powered itself off.",
            MachineEnd.Quit => "It was stopped.",
            MachineEnd.Saved => "Its state was saved.",
            MachineEnd.HostSignal => "Its QEMU was ended by a signal from the host.",
            MachineEnd.Crashed => code is null ? "Its QEMU died." : code > 128 ? $"Its QEMU was killed by signal {code - 128}." : $"Its QEMU ended with exit code {code}.",
            MachineEnd.Unknown => "It ended; how is not known.",
        };
        var tail = end == MachineEnd.Crashed ? StderrTail.Read(paths.StderrFile) : [];
        return new MachineEnded { At = time.GetUtcNow(), MachineId = Id, End = end, Reason = reason, ExitCode = code, StderrTail = tail };
    }

    private static string? Text(QmpEvent happened, string member) =>
        happened.Data.ValueKind == System.Text.Json.JsonValueKind.Object && happened.Data.TryGetProperty(member, out var value) && value.ValueKind == System.Text.Json.JsonValueKind.String
            ? value.GetString() : null;

    /// <summary>QEMU's RunState (qapi/run-state.json) in our words.</summary>
    private static MachineRunState RunStateOf(string status) => status switch
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
}
