using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Launch;

/// <summary>Suspend to a file and back. What a killed portal left of either is finished or begun anew.</summary>
internal sealed class SavedState(RunningMachines machines, HostFolders folders)
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

    /// <summary>Migrates to a file descriptor, which needs no path and no helper inside the sandbox and works on every supported QEMU.</summary>
    public async Task<bool> SaveAsync(SaveMachine step, CancellationToken ct)
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
                SavedHardware.Write(step.Path, machine.Run.Spec);
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
            await UndoAsync(step, CancellationToken.None);
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

    /// <summary>Lets the machine run on if it ran, as though nobody had tried.</summary>
    public async Task UndoAsync(SaveMachine step, CancellationToken ct)
    {
        try
        {
            if (machines.Find(step.MachineId) is not { } machine)
                return;
            await EndMigrationAsync(machine, ct);
            SavedHardware.Delete(step.Path);
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
    public static async Task<bool> HasLoadedAsync(MachineSupervisor machine, CancellationToken ct) =>
        machine.State == MachineRunState.Running || (await machine.Qmp.QueryMigrateAsync(ct)).Status == "completed";

    /// <summary>Loads a state into a machine that was launched to take it.</summary>
    public static async Task RestoreAsync(MachineSupervisor machine, string path, CancellationToken ct)
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
}
