using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>
/// The machines that run and what they hold. One lock guards all of it, so events leave in the order in which things happened.
/// <code>
/// Launch -> Prelaunch -> Running &lt;-> Paused, IoError      Reset of a stopped machine -> Prelaunch
///                        Running -> Panicked                any -> End: gone
/// </code>
/// </summary>
internal sealed class Fleet
{
    private readonly TimeProvider _time;
    private readonly CancellationToken _stopping;
    private readonly Dictionary<Guid, SimulatedMachine> _machines;
    private readonly Dictionary<string, Guid> _claims = new(StringComparer.Ordinal);
    private int _lastPid = 4000;

    public Fleet(TimeProvider time, int sizeHint, CancellationToken stopping)
    {
        _time = time;
        _stopping = stopping;
        _machines = new(Math.Clamp(sizeHint, 0, 100_000));
        Events = new(Gate, Snapshot);
    }

    public Lock Gate { get; } = new();

    public EventFanOut Events { get; }

    public DateTimeOffset Now => _time.GetUtcNow();

    public SimulatedMachine? Find(Guid id)
    {
        lock (Gate)
            return _machines.GetValueOrDefault(id);
    }

    public SimulatedMachine Get(Guid id) =>
        Find(id) ?? throw new HostException(HostError.NotRunning, "The machine is not running on this host.");

    public IReadOnlyList<SimulatedMachine> All()
    {
        lock (Gate)
            return [.. _machines.Values];
    }

    /// <summary>Whose machine writes to a disk file; null when none does.</summary>
    public Guid? ClaimedBy(string path)
    {
        lock (Gate)
            return _claims.TryGetValue(path, out var id) ? id : null;
    }

    public (SimulatedMachine Machine, bool Added) Add(MachineSpec spec)
    {
        lock (Gate)
        {
            if (_machines.TryGetValue(spec.Id, out var there))
                return (there, false);
            var claims = Claims(spec).ToList();
            foreach (var claim in claims)
                if (_claims.ContainsKey(claim))
                    throw new HostException(HostError.InUse, $"Another machine uses {claim}.");
            foreach (var claim in claims)
                _claims[claim] = spec.Id;
            var machine = new SimulatedMachine(spec, ++_lastPid, Now);
            _machines.Add(spec.Id, machine);
            Events.Publish(machine.Observe(Now));
            return (machine, true);
        }
    }

    public void Enter(SimulatedMachine machine, MachineRunState state, string? reason = null)
    {
        lock (Gate)
        {
            if (machine.Ended.IsCompleted || machine.State == state)
                return;
            machine.Enter(state, Now);
            Events.Publish(new MachineStateChanged { At = Now, MachineId = machine.Id, State = state, Reason = reason });
            if (state != MachineRunState.Running || machine.HasRun)
                return;
            machine.HasRun = true;
        }
        ScheduleScript(machine);
    }

    public bool End(SimulatedMachine machine, MachineEnd end, string reason, int? exitCode = null, params string[] stderr)
    {
        lock (Gate)
        {
            if (!_machines.Remove(machine.Id))
                return false;
            foreach (var claim in Claims(machine.Spec))
                _claims.Remove(claim);
            machine.MarkEnded(Now);
            Events.Publish(new MachineEnded
            {
                At = Now,
                MachineId = machine.Id,
                End = end,
                Reason = reason,
                ExitCode = exitCode,
                StderrTail = stderr,
            });
            return true;
        }
    }

    public void Crash(SimulatedMachine machine) => End(
        machine, MachineEnd.Crashed, "QEMU was ended by signal 6 (SIGABRT).", 134,
        "qemu-system-x86_64: ../hw/virtio/virtio.c:2313: virtio_queue_notify_vq: Assertion `vq->vring.desc' failed.");

    public void PowerOff(SimulatedMachine machine) => End(machine, MachineEnd.GuestPowerOff, "The guest powered itself off.", 0);

    public void Panic(SimulatedMachine machine)
    {
        machine.Serial.Print("\r\nKernel panic - not syncing: Fatal exception in interrupt\r\n---[ end Kernel panic ]---\r\n");
        Enter(machine, MachineRunState.Panicked, "The guest's kernel panicked.");
    }

    public void IoFailure(SimulatedMachine machine)
    {
        var disk = machine.Spec.Disks.FirstOrDefault(disk => !disk.Cdrom)?.Name ?? "disk0";
        Notice(machine.Id, "block-io-error", $"Disk {disk}: write failed: No space left on device", warning: true);
        Enter(machine, MachineRunState.IoError, $"Disk {disk}: no space left on the host.");
    }

    public void Reset(SimulatedMachine machine, string text)
    {
        lock (Gate)
        {
            machine.Serial.Reboot(machine.Uptime(Now));
            // As in QEMU: a machine that was stopped for any reason stays stopped after a reset, as if newly launched.
            if (machine.State is not (MachineRunState.Running or MachineRunState.Prelaunch))
                Enter(machine, MachineRunState.Prelaunch);
            Notice(machine.Id, "guest-reset", text);
        }
    }

    public void Notice(Guid id, string kind, string text, bool warning = false)
    {
        lock (Gate)
            Events.Publish(new MachineNotice { At = Now, MachineId = id, Kind = kind, Text = text, Warning = warning });
    }

    private List<HostEvent> Snapshot()
    {
        var now = Now;
        return [.. _machines.Values.Select(machine => machine.Observe(now)), new SnapshotEnd { At = now }];
    }

    private static IEnumerable<string> Claims(MachineSpec spec) =>
        spec.Disks.Where(disk => disk is { ReadOnly: false, Cdrom: false, Path: not null }).Select(disk => disk.Path!)
            .Concat(spec.Nics.SelectMany(nic => nic.Forwards)
                .Select(forward => $"{forward.Protocol} {forward.HostAddress}:{forward.HostPort}".ToLowerInvariant()))
            .Distinct(StringComparer.Ordinal);

    /// <summary>Only machines whose names ask for a fault cost a timer.</summary>
    private void ScheduleScript(SimulatedMachine machine)
    {
        if (machine.Script.CrashAfter is { } crash)
            _ = AfterAsync(machine, crash, Crash);
        if (machine.Script.PanicAfter is { } panic)
            _ = AfterAsync(machine, panic, Panic);
        if (machine.Script.IoErrorAfter is { } ioError)
            _ = AfterAsync(machine, ioError, IoFailure);
    }

    private async Task AfterAsync(SimulatedMachine machine, TimeSpan delay, Action<SimulatedMachine> act)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(_stopping);
        var due = Task.Delay(delay, _time, cancel.Token);
        if (await Task.WhenAny(due, machine.Ended) == due && due.IsCompletedSuccessfully)
            act(machine);
        await cancel.CancelAsync();
    }
}
