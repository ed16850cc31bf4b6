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
///                  └ process lives ► unresponsive ► tried again, ever more slowly
///  a command unanswered ► unresponsive ► asked again until it answers
/// </code>
/// </summary>
internal sealed partial class MachineSupervisor : IAsyncDisposable
{
    private readonly TimeProvider time;
    private readonly MachineVoice voice;
    private readonly MachinePaths paths;
    private readonly QemuProcess process;
    private readonly Action removeRun;
    private readonly TaskCompletionSource gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool detaching;
    private volatile QmpClient? qmp;
    private int pulsing;
    private MachineEnd? expected;
    private string? lastReason;

    /// <param name="removeRun">Removes what the run leaves on the host; called when the process is gone and before its end is told.</param>
    public MachineSupervisor(RunRecord run, QemuProcess process, MachinePaths paths, TimeProvider time, Action<HostEvent> tell, Action removeRun)
    {
        (Run, this.process, this.paths, this.time, this.removeRun) = (run, process, paths, time, removeRun);
        voice = new MachineVoice(run.Spec.Id, time, tell);
    }

    public RunRecord Run { get; private set; }
    /// <summary>Throws Timeout while QEMU cannot be reached.</summary>
    public QmpClient Qmp => qmp ?? throw new HostException(HostError.Timeout, "QEMU does not answer on its control connection.") { Hint = "Wait until it answers again, or stop the machine." };
    public SerialConsole? Serial { get; private set; }
    public Guid Id => Run.Spec.Id;
    public int Pid => process.Pid;

    /// <summary>What QEMU last said.</summary>
    public MachineRunState State { get; private set; } = MachineRunState.Prelaunch;

    /// <summary>Completes when the process is gone and its end has been told.</summary>
    public Task Gone => gone.Task;

    /// <summary>Takes over the connection, reads the state once. Throws what QEMU answers.</summary>
    public Task BeginAsync(QmpClient connection, CancellationToken ct) => TakeAsync(connection, ct);

    /// <summary>Begins to listen; called when the machine is in the list, because its end may be told at once.</summary>
    public void Follow()
    {
        _ = FollowAsync();
        if (qmp is not null)
            _ = WatchTpmAsync();
    }

    /// <summary>Its process lives but does not answer: that is said, and it is tried again until it does.</summary>
    public void BeginUnreached(string reason)
    {
        State = MachineRunState.Unresponsive;
        UnreachedReason = reason;
    }

    /// <summary>Why it could not be reached when it was found.</summary>
    public string? UnreachedReason { get; private set; }

    /// <summary>Why it stood still when it was found, if a disk was the cause.</summary>
    public string? StoppedBy { get; private set; }

    /// <summary>A machine lives on without its TPM, but the guest's keys are out of reach: that is said.</summary>
    private async Task WatchTpmAsync()
    {
        if (Run.TpmPid is not { } pid || QemuProcess.Find(pid, Run.TpmStartTicks) is not { } tpm)
            return;
        // No child of ours after a restart, and nobody tells: a look now and then.
        while (!detaching && !gone.Task.IsCompleted && !tpm.HasEnded)
            await Task.WhenAny(gone.Task, Task.Delay(TimeSpan.FromSeconds(5), time));
        // It also ends with QEMU.
        if (!detaching && !await WaitGoneAsync(TimeSpan.FromSeconds(2), CancellationToken.None))
            voice.Notice("tpm-lost", "The machine's software TPM has ended: keys that the guest keeps there are out of reach until the next start.", warning: true);
    }

    private async Task TakeAsync(QmpClient connection, CancellationToken ct)
    {
        var state = MachineEndings.RunStateOf((await connection.QueryStatusAsync(ct)).Status);
        await ReadThreadsAsync(connection, ct);
        if (Run.Spec.Serial && Serial is null)
            Serial = await SerialConsole.AttachAsync(paths.SerialSocket, process.Pid, ct);
        // The event that told which disk it was may have gone to nobody.
        StoppedBy = state == MachineRunState.IoError ? MachineEndings.StoppedBy(await connection.QueryBlockAsync(ct)) : null;
        connection.Unanswered = () => _ = PulseAsync(connection);
        qmp = connection;
        State = state;
    }

    /// <summary>A guest that powered off while nobody listened sent its event to nobody; QEMU still waits (`-no-shutdown`) to be ended.</summary>
    public async Task FinishPowerOffAsync()
    {
        if (State != MachineRunState.ShutDown)
            return;
        Expect(MachineEnd.GuestPowerOff);
        try
        {
            await Qmp.QuitAsync(CancellationToken.None);
        }
        catch (HostException)
        {
            // It is gone already, or hangs: the loop says which.
        }
    }

    /// <summary>Says beforehand how the coming end is meant; null takes it back.</summary>
    public void Expect(MachineEnd? end)
    {
        expected = end;
        if (Run.Expected == end)
            return;
        Run = Run with { Expected = end };
        try
        {
            Run.Write(paths.RecordFile);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without it a crash of the portal right now would make the end look like QEMU's own.
        }
    }

    /// <summary>Reads the state from QEMU and tells it when it differs.</summary>
    public async Task RefreshAsync(string? reason, CancellationToken ct)
    {
        try
        {
            Become(MachineEndings.RunStateOf((await Qmp.QueryStatusAsync(ct)).Status), reason);
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

        if (await EndsWithinAsync(TimeSpan.FromSeconds(5), ct))
            return;
        process.Signal(PosixSignalNumber.Term);
        if (await EndsWithinAsync(TimeSpan.FromSeconds(3), ct))
            return;
        process.Signal(PosixSignalNumber.Kill);
        if (!await EndsWithinAsync(TimeSpan.FromSeconds(10), ct))
            throw new HostException(HostError.Timeout, $"QEMU (pid {Pid}) did not end even when killed; the kernel may be waiting for a device.");
    }

    /// <summary>The loop sees the end by that of the connection; should somebody else hold that open, it is closed from here.</summary>
    private async Task<bool> EndsWithinAsync(TimeSpan patience, CancellationToken ct)
    {
        if (await WaitGoneAsync(patience, ct))
            return true;
        if (!process.HasEnded)
            return false;
        if (qmp is { } connection)
            await connection.DisposeAsync();
        return await WaitGoneAsync(TimeSpan.FromSeconds(5), ct);
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
        if (qmp is { } connection)
            await connection.DisposeAsync();
        if (Serial is not null)
            await Serial.DisposeAsync();
    }

    private async Task FollowAsync()
    {
        while (!detaching && (qmp is not null || await ReachAsync()))
        {
            await foreach (var happened in Qmp.Events.ReadAllAsync())
            {
                try
                {
                    await HandleAsync(happened);
                }
                catch (HostException)
                {
                    // It ended while it was asked, or hangs; what follows says which.
                }
            }

            if (detaching || await process.WaitForEndAsync(TimeSpan.FromSeconds(3), CancellationToken.None))
                break;
            // A connection can also be lost while QEMU lives (it hangs, or talked rubbish): then it is unresponsive, not ended.
            await Qmp.DisposeAsync();
            qmp = null;
            Become(MachineRunState.Unresponsive, "QEMU's control connection is lost, but it has not ended.");
        }

        if (detaching)
            return;
        if (Serial is not null)
            await Serial.DisposeAsync();
        if (!detaching)
        {
            // Before anybody hears of the end: a start that follows at once uses the same folder.
            RemoveRun();
            voice.Ended(Ended());
        }

        gone.TrySetResult();
    }

    private void RemoveRun()
    {
        try
        {
            removeRun();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or HostException)
        {
            voice.Notice("run-folder-left", $"The run folder could not be removed: {e.Message}", warning: true);
        }
    }

    /// <summary>Tries to reach a process that lives; false when it has ended instead.</summary>
    private async Task<bool> ReachAsync()
    {
        for (var pause = 1; !detaching; pause = Math.Min(10, pause * 2))
        {
            if (await process.WaitForEndAsync(TimeSpan.FromSeconds(pause), CancellationToken.None))
                return false;
            QmpClient? connection = null;
            try
            {
                connection = await QmpClient.ConnectAsync(paths.QmpSocket, process.Pid, CancellationToken.None);
                if ((await connection.QueryUuidAsync(CancellationToken.None)).Uuid != Id)
                    throw new HostException(HostError.WrongState, "Another machine answers on its control socket.");
                var before = State;
                await TakeAsync(connection, CancellationToken.None);
                (var now, State) = (State, before);
                Become(now, "It answers again.");
                await FinishPowerOffAsync();
                return true;
            }
            catch (Exception e) when (e is HostException or System.Net.Sockets.SocketException)
            {
                if (connection is not null)
                    await connection.DisposeAsync();
            }
        }

        return false;
    }

    /// <summary>A command went unanswered: it is asked for its state until it answers or the connection ends.</summary>
    private async Task PulseAsync(QmpClient connection)
    {
        if (Interlocked.Exchange(ref pulsing, 1) != 0)
            return;
        try
        {
            Become(MachineRunState.Unresponsive, "QEMU does not answer its control connection.");
            while (!detaching && !connection.Ended.IsCancellationRequested)
            {
                try
                {
                    var now = MachineEndings.RunStateOf((await connection.QueryStatusAsync(CancellationToken.None)).Status);
                    Become(now, "It answers again.");
                    return;
                }
                catch (HostException)
                {
                    await Task.Delay(TimeSpan.FromSeconds(1), time);
                }
            }
        }
        finally
        {
            Interlocked.Exchange(ref pulsing, 0);
        }
    }

    private MachineEnded Ended()
    {
        var code = process.ExitCode;
        var end = expected is { } known && (code is null or 0 || known is MachineEnd.Quit or MachineEnd.HostSignal or MachineEnd.Saved) ? known : MachineEnd.Crashed;
        return MachineEndings.Tell(time.GetUtcNow(), Id, end, code, unwatched: false, end == MachineEnd.Crashed ? StderrTail.Read(paths.StderrFile) : []);
    }
}
