using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;
using KvmPortal.Host.Qmp;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Launch;

/// <summary>The steps about one machine: each looks before it acts and can be undone as far as it was done.</summary>
internal sealed class MachineSteps(RunningMachines machines, HostFolders folders, Func<MachineSpec, CancellationToken, Task<IReadOnlyList<string>>> compose, string bootId)
{
    private static readonly TimeSpan SaveTime = TimeSpan.FromMinutes(30);

    // A guest's memory holds its secrets.
    private static readonly FileStreamOptions Private = new()
    {
        Mode = FileMode.Create,
        Access = FileAccess.Write,
        Share = FileShare.None,
        BufferSize = 0,
        UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
    };
    private readonly ConcurrentDictionary<Guid, SemaphoreSlim> launching = new();

    public async IAsyncEnumerable<StepReport> ApplyAsync(MachineStep step, [EnumeratorCancellation] CancellationToken ct)
    {
        switch (step)
        {
            case LaunchMachine launch:
                yield return await LaunchOnceAsync(launch.Spec, ct);
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
                yield return new StepDone(await SaveAsync(save, ct));
                break;
            case SetDiskLimits set:
                await machines.Get(set.MachineId).Qmp.SetThrottleAsync(Qemu.DiskNames.ThrottleGroup(set.Disk), set.Limits, ct);
                yield return new StepDone(set.Limits != set.Before);
                break;
            case SetBalloon set:
                await machines.Get(set.MachineId).Qmp.BalloonAsync((long)set.TargetMiB << 20, ct);
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
            case RunMachine or ResetMachine when machines.Find(step.MachineId) is { State: MachineRunState.Running } running:
                await running.Qmp.StopAsync(ct);
                break;
            case PauseMachine when machines.Find(step.MachineId) is { State: MachineRunState.Paused } paused:
                await paused.Qmp.ContAsync(ct);
                break;
            case SaveMachine save:
                await UndoSaveAsync(save, ct);
                break;
            case SetDiskLimits set when machines.Find(step.MachineId) is { } machine:
                await machine.Qmp.SetThrottleAsync(Qemu.DiskNames.ThrottleGroup(set.Disk), set.Before, ct);
                break;
            case SetBalloon set when machines.Find(step.MachineId) is { } machine:
                await machine.Qmp.BalloonAsync((long)set.BeforeMiB << 20, ct);
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
        if (spec.RestoreFrom is not null && machines.Find(spec.Id) is { } loading && !await HasLoadedAsync(loading, ct))
            await loading.EndAsync(MachineEnd.Quit, ct);
        if (machines.Find(spec.Id) is { } already)
            return new StepDone(false) { Pid = already.Pid, Confinement = already.Run.Confinement };
        if (spec.RestoreFrom is { } state && !File.Exists(state))
            throw new HostException(HostError.NotFound, "The saved state of the machine is gone.") { Hint = "Stop the machine to discard its saved state, then start it afresh." };
        var machine = await machines.LaunchAsync(spec, await compose(spec, ct), bootId, ct);
        if (spec.RestoreFrom is { } from)
        {
            try
            {
                await RestoreAsync(machine, from, ct);
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
            File.Delete(state);
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

    /// <summary>Migrates to a file descriptor, which needs no path and no helper inside the sandbox and works on every supported QEMU.</summary>
    private async Task<bool> SaveAsync(SaveMachine step, CancellationToken ct)
    {
        // A portal that died before it could write down the success asks once more.
        if (machines.Find(step.MachineId) is null && File.Exists(step.Path))
            return false;
        var machine = machines.Get(step.MachineId);
        if (Path.GetDirectoryName(step.Path) != MachinePaths.For(folders, step.MachineId).StateDirectory)
            throw new HostException(HostError.NotAllowed, "Saved state belongs into the machine's own folder.");
        var temporary = Temporary(step);
        try
        {
            if (!await FinishCutSaveAsync(machine, step, ct))
            {
                await machine.Qmp.StopAsync(ct);
                await using var file = new FileStream(temporary, Private);
                await machine.Qmp.MigrateSpeedAsync(ct);
                await machine.Qmp.GetFdAsync("save", file.SafeFileHandle, ct);
                await machine.Qmp.MigrateAsync("fd:save", ct);
                await WaitForMigrationAsync(machine, ct);
            }

            if (File.Exists(temporary))
            {
                using (var file = File.OpenHandle(temporary, FileMode.Open, FileAccess.ReadWrite))
                    RandomAccess.FlushToDisk(file);
                File.Move(temporary, step.Path, overwrite: true);
            }
        }
        catch
        {
            await UndoSaveAsync(step, CancellationToken.None);
            throw;
        }

        // The state is safe, and nothing leads back: a cancel comes too late.
        await machine.EndAsync(MachineEnd.Saved, CancellationToken.None);
        return true;
    }

    /// <summary>
    /// A portal died while this machine was being saved: QEMU goes on writing to the file that it was given, and cannot be saved a second time. True when the
    /// state is in the file.
    /// </summary>
    private static async Task<bool> FinishCutSaveAsync(MachineSupervisor machine, SaveMachine step, CancellationToken ct)
    {
        var saving = Busy((await machine.Qmp.QueryMigrateAsync(ct)).Status);
        if (!saving && (await machine.Qmp.QueryStatusAsync(ct)).Status != "postmigrate")
            return false;
        if (!File.Exists(Temporary(step)) && (saving || !File.Exists(step.Path)))
        {
            // Its file is gone: from the beginning.
            await EndMigrationAsync(machine, ct);
            await machine.Qmp.ContAsync(ct);
            return false;
        }

        if (saving)
            await WaitForMigrationAsync(machine, ct);
        return true;
    }

    private async Task UndoSaveAsync(SaveMachine step, CancellationToken ct)
    {
        try
        {
            if (machines.Find(step.MachineId) is not { } machine)
                return;
            await EndMigrationAsync(machine, ct);
            File.Delete(step.Path);
            // After a finished migration QEMU must go on once, or it could never be saved again.
            var finished = (await machine.Qmp.QueryStatusAsync(ct)).Status == "postmigrate";
            if (step.RunOn || finished)
                await machine.Qmp.ContAsync(ct);
            if (!step.RunOn && finished)
                await machine.Qmp.StopAsync(ct);
        }
        finally
        {
            File.Delete(Temporary(step));
        }
    }

    private static string Temporary(SaveMachine step) => step.Path + ".part";

    private static bool Busy(string? migration) => migration is "setup" or "active" or "cancelling" or "device" or "pre-switchover" or "wait-unplug";

    /// <summary>Ends a saving that was cut, of this portal or of one before it.</summary>
    private static async Task EndMigrationAsync(MachineSupervisor machine, CancellationToken ct)
    {
        for (var i = 0; i < 200; i++)
        {
            if (!Busy((await machine.Qmp.QueryMigrateAsync(ct)).Status))
                return;
            await machine.Qmp.MigrateCancelAsync(ct);
            await Task.Delay(50, ct);
        }
    }

    /// <summary>False for a machine whose loading was cut: its CPUs have not run, so it is launched anew.</summary>
    private static async Task<bool> HasLoadedAsync(MachineSupervisor machine, CancellationToken ct) =>
        machine.State == MachineRunState.Running || (await machine.Qmp.QueryMigrateAsync(ct)).Status == "completed";

    private static async Task RestoreAsync(MachineSupervisor machine, string path, CancellationToken ct)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        await machine.Qmp.GetFdAsync("restore", file, ct);
        await machine.Qmp.MigrateIncomingAsync("fd:restore", ct);
        await WaitForMigrationAsync(machine, ct);
        await machine.RefreshAsync(null, ct);
    }

    /// <summary>Saving and loading a local file takes moments; its end is asked for at a slowly growing interval.</summary>
    private static async Task WaitForMigrationAsync(MachineSupervisor machine, CancellationToken ct)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(SaveTime);
        for (var pause = 10; ; pause = Math.Min(500, pause * 2))
        {
            var info = await machine.Qmp.QueryMigrateAsync(deadline.Token);
            if (info.Status == "completed")
                return;
            if (info.Status is "failed" or "cancelled")
                throw new HostException(HostError.QmpFailed, $"QEMU could not move the machine's state: {info.ErrorDesc ?? info.Status}.");
            await Task.Delay(pause, deadline.Token);
        }
    }

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
