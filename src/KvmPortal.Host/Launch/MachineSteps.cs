using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Plugging;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Launch;

/// <summary>The steps about one machine: each looks before it acts and can be undone as far as it was done.</summary>
internal sealed class MachineSteps(RunningMachines machines, HostFolders folders, Func<MachineSpec, CancellationToken, Task<IReadOnlyList<string>>> compose, string bootId, MachinePinning pinning)
{
    private readonly ConcurrentDictionary<Guid, SemaphoreSlim> launching = new();
    private readonly VcpuPlug vcpus = new(machines, pinning);
    private readonly MemoryPlug memory = new(machines);
    private readonly SavedState saved = new(machines, folders);

    public async IAsyncEnumerable<StepReport> ApplyAsync(MachineStep step, [EnumeratorCancellation] CancellationToken ct)
    {
        switch (step)
        {
            case LaunchMachine launch:
                yield return await LaunchOnceAsync(launch.Spec, ct);
                break;
            case PinMachine pin:
                yield return await pinning.ApplyAsync(pin.MachineId, pin.Placement, ct);
                break;
            case RunMachine:
                yield return new StepDone(await RunAsync(step.MachineId, ct));
                break;
            case PauseMachine:
                yield return new StepDone(await PauseAsync(step.MachineId, ct));
                break;
            case ResetMachine:
                await ResetAsync(step.MachineId, ct);
                yield return new StepDone(true);
                break;
            case PowerDownMachine down:
                await foreach (var report in PowerDownAsync(down, ct))
                    yield return report;
                break;
            case EndMachine:
                yield return new StepDone(await EndAsync(step.MachineId, MachineEnd.Quit, ct));
                break;
            case SaveMachine save:
                yield return new StepDone(await saved.SaveAsync(save, ct));
                break;
            case SetDiskLimits set:
                await machines.Get(set.MachineId).Qmp.SetThrottleAsync(Qemu.DiskNames.ThrottleGroup(set.Disk), set.Limits, ct);
                yield return new StepDone(set.Limits != set.Before);
                break;
            case SetVcpus set:
                yield return new StepDone(await vcpus.SetAsync(set.MachineId, set.Count, ct));
                break;
            case SetMemory set:
                yield return new StepDone(await memory.SetAsync(set.MachineId, set.SizeMiB, ct));
                break;
            case SetBalloon set:
                await BalloonAsync(machines.Get(set.MachineId), set.TargetMiB, ct);
                yield return new StepDone(set.TargetMiB != set.BeforeMiB);
                break;
            case ChangeMedium change:
                await MediumAsync(change.MachineId, change.Disk, change.Path, ct);
                yield return new StepDone(change.Path != change.BeforePath);
                break;
            case DiscardMachine:
                yield return new StepDone(Discard(step.MachineId));
                break;
            default:
                throw new InvalidOperationException($"No machine step {step.Kind}.");
        }
    }

    public async Task UndoAsync(MachineStep step, CancellationToken ct)
    {
        switch (step)
        {
            case LaunchMachine when machines.Find(step.MachineId) is not null:
                await EndAsync(step.MachineId, MachineEnd.Quit, ct);
                break;
            case PinMachine pin when machines.Find(step.MachineId) is not null:
                await pinning.UndoAsync(pin.MachineId, pin.Before, ct);
                break;
            case RunMachine or ResetMachine when machines.Find(step.MachineId) is { State: MachineRunState.Running } running:
                await running.Qmp.StopAsync(ct);
                break;
            case PauseMachine when machines.Find(step.MachineId) is { State: MachineRunState.Paused } paused:
                await paused.Qmp.ContAsync(ct);
                break;
            case SaveMachine save:
                await saved.UndoAsync(save, ct);
                break;
            case SetDiskLimits set when machines.Find(step.MachineId) is { } machine:
                await machine.Qmp.SetThrottleAsync(Qemu.DiskNames.ThrottleGroup(set.Disk), set.Before, ct);
                break;
            case SetVcpus set when machines.Find(step.MachineId) is not null:
                await vcpus.SetAsync(set.MachineId, set.Before, ct);
                break;
            case SetMemory set when machines.Find(step.MachineId) is not null:
                await memory.SetAsync(set.MachineId, set.BeforeMiB, ct);
                break;
            case SetBalloon set when machines.Find(step.MachineId) is { } machine:
                await BalloonAsync(machine, set.BeforeMiB, ct);
                break;
            case ChangeMedium change when machines.Find(step.MachineId) is not null:
                await MediumAsync(change.MachineId, change.Disk, change.BeforePath, ct);
                break;
        }
    }

    /// <summary>One launch of a machine at a time: the second of two finds what the first has started.</summary>
    private async Task<StepDone> LaunchOnceAsync(MachineSpec spec, CancellationToken ct)
    {
        var gate = launching.GetOrAdd(spec.Id, _ => new SemaphoreSlim(1, 1));
        await gate.WaitAsync(ct);
        try
        {
            return await LaunchAsync(spec, ct);
        }
        finally
        {
            gate.Release();
        }
    }

    private async Task<StepDone> LaunchAsync(MachineSpec spec, CancellationToken ct)
    {
        for (var i = 0; i < 50 && machines.Find(spec.Id) is { State: MachineRunState.Unresponsive }; i++)
            await Task.Delay(100, ct);
        if (machines.Find(spec.Id) is { State: MachineRunState.Unresponsive } hung)
            throw new HostException(HostError.WrongState, $"A QEMU of this machine runs (pid {hung.Pid}) but does not answer.") { Hint = "Wait until it answers again, or stop the machine first." };
        if (spec.RestoreFrom is not null && machines.Find(spec.Id) is { } loading && !await SavedState.HasLoadedAsync(loading, ct))
            await loading.EndAsync(MachineEnd.Quit, ct);
        if (machines.Find(spec.Id) is { } already)
            return new StepDone(false) { Pid = already.Pid, Confinement = already.Run.Confinement };
        spec = SavedHardware.Restore(spec);
        if (spec.RestoreFrom is { } state && !File.Exists(state))
            throw new HostException(HostError.NotFound, "The saved state of the machine is gone.") { Hint = "Stop the machine to discard its saved state, then start it afresh." };
        var machine = await machines.LaunchAsync(spec, await compose(spec, ct), bootId, ct);
        if (spec.RestoreFrom is { } from)
        {
            try
            {
                await SavedState.RestoreAsync(machine, from, ct);
            }
            catch (Exception e)
            {
                await machine.EndAsync(MachineEnd.Quit, CancellationToken.None);
                if (e is not HostException)
                    throw;
                throw new HostException(HostError.LaunchFailed, $"The saved state could not be loaded: {e.Message}", e) { StderrTail = StderrTail.Read(MachinePaths.For(folders, spec.Id).StderrFile) };
            }
        }

        return new StepDone(true) { Pid = machine.Pid, Confinement = machine.Run.Confinement };
    }

    private async Task<bool> RunAsync(Guid id, CancellationToken ct)
    {
        var machine = machines.Get(id);
        if (machine.State == MachineRunState.Running)
            return false;
        if (machine.State is MachineRunState.Panicked or MachineRunState.InternalError)
            throw new HostException(HostError.WrongState, "The guest has crashed: reset it or stop it.");
        // State that has run on must never be loaded again: the disks have moved on.
        if (machine.Run.Spec.RestoreFrom is { } state)
            SavedHardware.Delete(state);
        pinning.SettleShared(machine);
        await machine.Qmp.ContAsync(ct);
        await machine.RefreshAsync(null, ct);
        return true;
    }

    private async Task<bool> PauseAsync(Guid id, CancellationToken ct)
    {
        var machine = machines.Get(id);
        if (machine.State == MachineRunState.Paused)
            return false;
        await machine.Qmp.StopAsync(ct);
        await machine.RefreshAsync(null, ct);
        return true;
    }

    private async Task ResetAsync(Guid id, CancellationToken ct)
    {
        var machine = machines.Get(id);
        await machine.Qmp.SystemResetAsync(ct);
        await machine.RefreshAsync(null, ct);
    }

    private async IAsyncEnumerable<StepReport> PowerDownAsync(PowerDownMachine step, [EnumeratorCancellation] CancellationToken ct)
    {
        if (machines.Find(step.MachineId) is not { } machine)
        {
            yield return new StepDone(false);
            yield break;
        }

        var asked = machine.Run.Spec.GuestAgent && await GuestAgent.TryShutdownAsync(MachinePaths.For(folders, step.MachineId).GuestAgentSocket, machine.Pid, ct);
        yield return new StepLog(asked ? "The guest agent was asked to power off." : "No guest agent answers; the ACPI power button was pressed.");
        if (!asked)
            await machine.Qmp.SystemPowerdownAsync(ct);
        machine.Expect(MachineEnd.GuestPowerOff);
        if (await machine.WaitGoneAsync(TimeSpan.FromSeconds(step.DeadlineSeconds), ct))
        {
            yield return new StepDone(true);
            yield break;
        }

        machine.Expect(null);
        if (step.Fallback == PowerDownFallback.Fail)
            throw new HostException(HostError.Timeout, $"The guest did not power off within {step.DeadlineSeconds} s; it runs on.") { Hint = "Look at its console, or stop the machine." };
        yield return new StepLog($"The guest did not power off within {step.DeadlineSeconds} s; it is ended.", Warning: true);
        await machine.EndAsync(MachineEnd.Quit, ct);
        yield return new StepDone(true);
    }

    private async Task<bool> EndAsync(Guid id, MachineEnd how, CancellationToken ct)
    {
        if (machines.Find(id) is not { } machine)
            return false;
        await machine.EndAsync(how, ct);
        return true;
    }

    /// <summary>QEMU's balloon knows nothing of memory that was plugged later.</summary>
    private static Task BalloonAsync(MachineSupervisor machine, int targetMiB, CancellationToken ct) =>
        machine.Qmp.BalloonAsync((long)Math.Clamp(targetMiB - machine.Run.Spec.Memory.PluggedMiB, 1, machine.Run.Spec.Memory.SizeMiB) << 20, ct);

    private async Task MediumAsync(Guid id, string disk, string? path, CancellationToken ct)
    {
        var machine = machines.Get(id);
        if (path is null)
        {
            await machine.Qmp.EjectAsync(Qemu.DiskNames.Device(disk), ct);
            return;
        }

        // QEMU sees only the files that were there at its start, so the medium comes as an open file.
        await using var file = LinuxFiles.OpenRegular(path);
        await machine.Qmp.ChangeMediumAsync(Qemu.DiskNames.Device(disk), await machine.Qmp.AddFdAsync(file.SafeFileHandle, ct), ct);
    }

    private bool Discard(Guid id)
    {
        if (machines.Find(id) is not null)
            throw new HostException(HostError.WrongState, "The machine runs: end it first.");
        var paths = MachinePaths.For(folders, id);
        var there = Directory.Exists(paths.StateDirectory);
        machines.RemoveRun(id, paths);
        if (there)
            Directory.Delete(paths.StateDirectory, recursive: true);
        machines.Forget(id);
        return there;
    }
}
