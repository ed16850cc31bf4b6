using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using KvmPortal.Host.Consoles;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Qmp;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Host.Launch;

/// <summary>The machines that run on this host: launched by us, or found again after a restart of the portal. Tells every watcher what happens.</summary>
internal sealed class RunningMachines(HostFolders folders, MachineLauncher launcher, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    private const int WatcherCapacity = 8192;
    private static readonly TimeSpan FirstContact = TimeSpan.FromSeconds(3);
    private readonly ConcurrentDictionary<Guid, MachineSupervisor> machines = new();
    private readonly ConcurrentDictionary<Guid, SerialConsole> consoles = new();
    private readonly ConcurrentDictionary<Watcher, byte> watchers = new();
    private readonly Lock telling = new();
    private readonly ConcurrentQueue<MachineEnded> missed = new();

    private sealed class Watcher
    {
        public Channel<HostEvent> Events { get; } = Channel.CreateBounded<HostEvent>(new BoundedChannelOptions(WatcherCapacity) { SingleReader = true });
        public volatile bool Behind;
    }

    /// <summary>Confines what is launched, and pinned.</summary>
    public MachineLauncher Launcher => launcher;

    public ICollection<MachineSupervisor> All => machines.Values;

    public MachineSupervisor? Find(Guid id) => machines.GetValueOrDefault(id);

    /// <summary>Throws NotRunning.</summary>
    public MachineSupervisor Get(Guid id) => Find(id) ?? throw new HostException(HostError.NotRunning, "The machine does not run on this host.");

    /// <summary>Serial console of the current run, or of the last one.</summary>
    public SerialConsole? Console(Guid id) => Find(id)?.Serial ?? consoles.GetValueOrDefault(id);

    /// <summary>Starts QEMU with its CPUs stopped. A failure leaves nothing behind and carries QEMU's words.</summary>
    public async Task<MachineSupervisor> LaunchAsync(MachineSpec spec, IReadOnlyList<string> argv, string bootId, CancellationToken ct)
    {
        var paths = MachinePaths.For(folders, spec.Id);
        MakePrivate(folders.Run);
        MakePrivate(paths.StateDirectory);
        await RequireNobodyRunsAsync(spec.Id, paths, ct);
        RemoveRun(spec.Id, paths);
        LaunchedProcesses? processes = null;
        try
        {
            // Should the portal die before the start is complete, what it started is found and ended.
            var run = new RunRecord(0, 0, bootId, time.GetUtcNow(), spec) { Launching = true };
            run.Write(paths.RecordFile);
            await launcher.StartAsync(spec, argv, paths, begun => processes = begun, ct);
            var process = processes!.Qemu;
            run = run with { Pid = process.Pid, StartTicks = process.StartTicks, TpmPid = processes.Tpm?.Pid, TpmStartTicks = processes.Tpm?.StartTicks ?? 0 };
            run.Write(paths.RecordFile);
            var qmp = await ConnectAsync(process, paths, ct);
            run = run with { Confinement = launcher.Inspect(spec, paths, processes), Launching = false };
            run.Write(paths.RecordFile);
            return await AdoptAsync(run, process, qmp, paths, ct);
        }
        catch (Exception e)
        {
            var code = await KillAsync(processes?.Qemu);
            await KillAsync(processes?.Tpm);
            var tail = StderrTail.Read(paths.StderrFile);
            RemoveRun(spec.Id, paths);
            if (e is OperationCanceledException or HostException { Error: HostError.NotAllowed })
                throw;
            throw new HostException(HostError.LaunchFailed, tail.Count > 0 ? $"QEMU did not start: {Plain(tail[^1])}" : e is HostException ? e.Message : "QEMU did not start.", e) { ExitCode = code, StderrTail = tail };
        }
    }

    /// <summary>
    /// Finds machines that ran while no portal watched, all at once, so that one that hangs delays no other; cleans up after those that ended meanwhile and after
    /// starts that were cut.
    /// </summary>
    public Task FindAsync(string bootId, CancellationToken ct)
    {
        if (!Directory.Exists(folders.Run))
            return Task.CompletedTask;
        var ids = Directory.EnumerateFileSystemEntries(folders.Run).Select(e => Path.GetFileName(e).Split('.')[0]).Distinct()
            .Select(name => Guid.TryParseExact(name, "N", out var id) ? id : (Guid?)null).OfType<Guid>().Where(id => !machines.ContainsKey(id)).ToList();
        var living = new Lazy<ILookup<string, QemuProcess>>(() => QemuProcess.ByOption("-pidfile"));
        return Task.WhenAll(ids.Select(id => FindGuardedAsync(id, bootId, living, ct)));
    }

    /// <summary>Whatever is wrong with one machine's files must not hide the others.</summary>
    private async Task FindGuardedAsync(Guid id, string bootId, Lazy<ILookup<string, QemuProcess>> living, CancellationToken ct)
    {
        try
        {
            await Task.Yield();
            await FindAsync(id, bootId, living, ct);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or HostException)
        {
            logger.LogError(e, "What machine {Machine} left on this host could not be looked through or removed.", id);
        }
    }

    private async Task FindAsync(Guid id, string bootId, Lazy<ILookup<string, QemuProcess>> living, CancellationToken ct)
    {
        var paths = MachinePaths.For(folders, id);
        var run = RunRecord.Read(id, paths.RecordFile);
        if (run?.Launching == true)
        {
            await EndCutStartAsync(paths, ct);
            RemoveRun(id, paths);
            return;
        }

        // A record that names nobody, or somebody else, does not end a machine that lives: it is known by its pid file's path.
        var process = run is not null && run.BootId == bootId ? QemuProcess.Find(run.Pid, run.StartTicks) : null;
        if (process is null && living.Value[paths.PidFile].Take(2).ToList() is [var found])
        {
            process = found;
            run = run is null ? RunRecord.Rebuild(id, paths, found, bootId, time.GetUtcNow()) : run with { Pid = found.Pid, StartTicks = found.StartTicks, BootId = bootId };
            run.Write(paths.RecordFile);
        }

        if (run is null)
        {
            await EndCutStartAsync(paths, ct);
            RemoveRun(id, paths);
            return;
        }

        if (process is null)
        {
            missed.Enqueue(MachineEndings.Unwatched(time.GetUtcNow(), run, rebooted: run.BootId != bootId, StderrTail.Read(paths.StderrFile)));
            RemoveRun(id, paths);
            return;
        }

        QmpClient? qmp = null;
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
            patience.CancelAfter(FirstContact);
            qmp = await QmpClient.ConnectAsync(paths.QmpSocket, process.Pid, patience.Token);
            if ((await qmp.QueryUuidAsync(patience.Token)).Uuid != id)
                throw new HostException(HostError.WrongState, "Another machine answers on its control socket.");
            await AdoptAsync(run, process, qmp, paths, patience.Token);
        }
        catch (Exception e) when (e is HostException or SocketException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            if (qmp is not null)
                await qmp.DisposeAsync();
            logger.LogWarning(e, "Machine {Machine} (pid {Pid}) runs but cannot be reached.", id, run.Pid);
            var machine = new MachineSupervisor(run, process, paths, time, Tell, () => RemoveRun(id, paths));
            machine.BeginUnreached(e is HostException ? e.Message : "Its control socket does not answer.");
            Register(machine);
            machine.Follow();
        }
    }

    /// <summary>
    /// A portal died between the spawn and the end of the start: the process has never run its CPUs (that is asked for afterwards), so it is ended. It is known
    /// by its options on the command line, which no other process has.
    /// </summary>
    private async Task EndCutStartAsync(MachinePaths paths, CancellationToken ct)
    {
        var living = QemuProcess.ByOption("-pidfile", "--ctrl");
        foreach (var process in living[paths.PidFile].Concat(living[SoftwareTpm.Control(paths)]))
        {
            logger.LogWarning("Process {Pid} is what a cut start left; it is ended.", process.Pid);
            process.Signal(PosixSignalNumber.Kill);
            await process.WaitForEndAsync(TimeSpan.FromSeconds(5), ct);
        }
    }

    /// <summary>Registers first, then snapshot, then live: nothing is missed. A watcher that falls far behind gets a new snapshot.</summary>
    public async IAsyncEnumerable<HostEvent> WatchAsync([EnumeratorCancellation] CancellationToken ct)
    {
        while (true)
        {
            var watcher = new Watcher();
            List<HostEvent> snapshot;
            lock (telling)
            {
                watchers.TryAdd(watcher, 0);
                snapshot = [.. machines.Values.Select(Observed), new SnapshotEnd { At = time.GetUtcNow() }];
            }

            try
            {
                // Ends that nobody saw come first: a machine of the same id may run again.
                while (missed.TryDequeue(out var ended))
                    yield return ended;
                foreach (var observed in snapshot)
                    yield return observed;
                while (!watcher.Behind && await watcher.Events.Reader.WaitToReadAsync(ct))
                    while (!watcher.Behind && watcher.Events.Reader.TryRead(out var happened))
                        yield return happened;
            }
            finally
            {
                watchers.TryRemove(watcher, out _);
            }

            // Completed without being behind: this host was disposed.
            if (!watcher.Behind)
                yield break;
        }
    }

    /// <summary>A machine's placement as the kernel says, and whether nobody else may run on its CPUs where that was so.</summary>
    public PlacementReport InspectPlacement(MachineSupervisor machine, MachinePlacement? shared, PlacementReader reader)
    {
        var report = reader.Read(machine.Threads, machine.Run.Placement ?? shared, machine.Run.Spec.Memory);
        if (machine.Run.Placement is null && shared is not null)
            report = report with { Placement = null, SharedPool = shared.Emulator };
        return PartitionProblem(machine) is { } problem ? report with { Drifts = [.. report.Drifts, problem] } : report;
    }

    /// <summary>What the kernel says of CPUs that were isolated for a machine; null while they are, and for machines without.</summary>
    public string? PartitionProblem(MachineSupervisor machine) =>
        machine.Run.Confinement?.Measures.Any(m => m is { Name: Measures.Exclusivity, State: MeasureState.InForce }) == true ? launcher.PartitionProblem(machine.Id, machine.Pid) : null;

    /// <summary>Tells every watcher of something about a machine that was noticed from outside.</summary>
    public void Notify(MachineNotice notice) => Tell(notice);

    /// <summary>Removes what a run leaves outside the state folder.</summary>
    public void RemoveRun(Guid id, MachinePaths paths)
    {
        if (Directory.Exists(paths.RunDirectory))
            Directory.Delete(paths.RunDirectory, recursive: true);
        launcher.CleanUp(id, paths);
        File.Delete(paths.RecordFile);
    }

    /// <summary>Forgets the console of the last run.</summary>
    public void Forget(Guid id) => consoles.TryRemove(id, out _);

    public async ValueTask DisposeAsync()
    {
        foreach (var machine in machines.Values)
            await machine.DisposeAsync();
        foreach (var watcher in watchers.Keys)
            watcher.Events.Writer.TryComplete();
    }

    private async Task<MachineSupervisor> AdoptAsync(RunRecord run, QemuProcess process, QmpClient qmp, MachinePaths paths, CancellationToken ct)
    {
        var machine = new MachineSupervisor(run, process, paths, time, Tell, () => RemoveRun(run.Spec.Id, paths));
        try
        {
            await machine.BeginAsync(qmp, ct);
        }
        catch
        {
            await machine.DisposeAsync();
            await qmp.DisposeAsync();
            throw;
        }

        Register(machine);
        machine.Follow();
        await machine.FinishPowerOffAsync();
        return machine;
    }

    private void Register(MachineSupervisor machine)
    {
        lock (telling)
        {
            machines[machine.Id] = machine;
            Tell(Observed(machine));
        }

        _ = CleanUpAsync(machine);
    }

    private async Task CleanUpAsync(MachineSupervisor machine)
    {
        await machine.Gone;
        if (machine.Serial is { } serial)
            consoles[machine.Id] = serial;
        await machine.DisposeAsync();
    }

    private void Tell(HostEvent happened)
    {
        lock (telling)
        {
            // Out of the list before anybody hears of the end, so that a start that follows at once is a new run.
            if (happened is MachineEnded ended)
                machines.TryRemove(ended.MachineId, out _);
            foreach (var watcher in watchers.Keys)
                if (!watcher.Events.Writer.TryWrite(happened))
                {
                    watcher.Behind = true;
                    watcher.Events.Writer.TryComplete();
                }
        }
    }

    private MachineObserved Observed(MachineSupervisor m) => new()
    {
        At = time.GetUtcNow(),
        MachineId = m.Id,
        State = m.State,
        Pid = m.Pid,
        Reason = m.UnreachedReason ?? m.StoppedBy,
        Accelerator = m.Run.Spec.Accelerator,
        StartedAt = m.Run.StartedAt,
    };

    /// <summary>Tries as soon as the socket may listen; ends at once when the process does.</summary>
    private static async Task<QmpClient> ConnectAsync(QemuProcess process, MachinePaths paths, CancellationToken ct)
    {
        var deadline = Environment.TickCount64 + 60_000;
        while (true)
        {
            if (process.HasEnded)
                throw new HostException(HostError.LaunchFailed, "QEMU ended while it started.");
            if (File.Exists(paths.QmpSocket))
            {
                try
                {
                    return await QmpClient.ConnectAsync(paths.QmpSocket, process.Pid, ct);
                }
                catch (SocketException)
                {
                    // Bound, but not listening yet.
                }
            }

            if (Environment.TickCount64 > deadline)
                throw new HostException(HostError.Timeout, "QEMU did not open its control socket within 60 s.");
            await Task.Delay(2, ct);
        }
    }

    /// <summary>A live process of this id is never started over: the record names it by pid and start time.</summary>
    private static async Task RequireNobodyRunsAsync(Guid id, MachinePaths paths, CancellationToken ct)
    {
        if (RunRecord.Read(id, paths.RecordFile) is not { Pid: > 0 } old || QemuProcess.Find(old.Pid, old.StartTicks) is not { } process)
            return;
        if (!await process.WaitForEndAsync(TimeSpan.FromSeconds(2), ct))
            throw new HostException(HostError.WrongState, $"A QEMU of this machine still runs (pid {old.Pid}) but is not under control.") { Hint = $"Look at process {old.Pid} ({id}) and end it, or restart the portal so that it is taken over." };
    }

    private static void MakePrivate(string folder) => Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

    private static async Task<int?> KillAsync(QemuProcess? process)
    {
        if (process is null)
            return null;
        // A process that is about to end by itself says why by its exit code.
        if (!await process.WaitForEndAsync(TimeSpan.FromMilliseconds(100), CancellationToken.None))
        {
            process.Signal(PosixSignalNumber.Kill);
            await process.WaitForEndAsync(TimeSpan.FromSeconds(5), CancellationToken.None);
        }

        return process.ExitCode;
    }

    /// <summary>Without the time stamp of `-msg timestamp=on` and the program's name.</summary>
    private static string Plain(string line)
    {
        var start = line.IndexOf("qemu-system-", StringComparison.Ordinal);
        var colon = start < 0 ? -1 : line.IndexOf(": ", start, StringComparison.Ordinal);
        return colon < 0 ? line : line[(colon + 2)..];
    }
}
