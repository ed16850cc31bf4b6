using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Settings;

namespace KvmPortal.Host.Simulated;

/// <summary>Applies and undoes steps: waits as long as the real thing might, then changes the fleet or the store in one move.</summary>
internal sealed class Steps(Fleet fleet, Store store, (StepHolds Holds, SettingSteps Settings) more, SimulatedOptions options, TimeProvider time)
{
    private static readonly TimeSpan SlowStart = TimeSpan.FromSeconds(5);
    private int _count;
    private DateTimeOffset? _provenAt;

    public KvmFacts Kvm => _provenAt is { } at
        ? new(KvmVerdict.Works, "simulated: a pretended guest ran to its end", at)
        : new(KvmVerdict.Unproven, "simulated: not tried yet", null);

    public async IAsyncEnumerable<StepReport> ApplyAsync(HostStep step, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await more.Holds.PassAsync(step.Kind, cancellationToken);
        await PauseAsync(cancellationToken);
        switch (step)
        {
            case LaunchMachine launch:
                if (fleet.Find(launch.MachineId) is null && NameScript.Of(launch.Spec.Name).SlowStart)
                    for (var part = 1; part <= 10; part++)
                    {
                        await Task.Delay(SlowStart / 10, time, cancellationToken);
                        yield return new StepProgress(part, 10);
                    }
                yield return Launch(launch);
                break;
            case PowerDownMachine down:
                await foreach (var report in PowerDownAsync(down, cancellationToken))
                    yield return report;
                break;
            case SaveMachine save:
                await foreach (var report in SaveAsync(save, cancellationToken))
                    yield return report;
                break;
            case CreateDisk { SourcePath: not null, Linked: false } copy when !store.Disks.ContainsKey(copy.Path):
                Check(copy);
                for (var part = 1; part <= 10; part++)
                {
                    await PauseAsync(cancellationToken);
                    yield return new StepProgress(copy.SizeBytes / 10 * part, copy.SizeBytes);
                }
                yield return new StepDone(Create(copy));
                break;
            case RegisterImage register:
                var there = store.Images.GetValueOrDefault(register.ImageId);
                var image = there ?? store.Describe(register);
                for (var part = 1; there is null && part <= 10; part++)
                {
                    await PauseAsync(cancellationToken);
                    yield return new StepProgress(image.FileSizeBytes / 10 * part, image.FileSizeBytes);
                }
                store.Images[register.ImageId] = image;
                yield return new StepDone(there is null) { Image = image };
                break;
            case ProveAccelerator:
                var proven = _provenAt is not null;
                _provenAt ??= time.GetUtcNow();
                yield return new StepDone(!proven) { Kvm = Kvm };
                break;
            case MeasureLoss measure:
                for (var pair = 1; pair <= measure.Rounds; pair++)
                {
                    await PauseAsync(cancellationToken);
                    yield return new StepProgress(pair, measure.Rounds);
                }
                yield return new StepDone(true) { Loss = SimulatedPlacement.Loss(measure, time.GetUtcNow()) };
                break;
            case ApplyHostSetting apply:
                await foreach (var report in apply.Optional ? more.Settings.TryApplyAsync(apply.PreparationId, apply.Setting, cancellationToken) : more.Settings.ApplyAsync(apply.PreparationId, apply.Setting, cancellationToken))
                    yield return report;
                break;
            case RestoreHostSetting restore:
                await foreach (var report in more.Settings.RestoreAsync(restore.PreparationId, restore.Setting, cancellationToken))
                    yield return report;
                break;
            default:
                yield return new StepDone(ApplyAtOnce(step));
                break;
        }
    }

    public async IAsyncEnumerable<StepReport> UndoAsync(HostStep step, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await PauseAsync(cancellationToken);
        var reports = step switch
        {
            ApplyHostSetting e => more.Settings.RestoreAsync(e.PreparationId, e.Setting, cancellationToken),
            RestoreHostSetting e => more.Settings.ApplyAsync(e.PreparationId, e.Setting, cancellationToken),
            _ => null,
        };
        if (reports is not null)
        {
            await foreach (var report in reports)
                yield return report;
            yield break;
        }

        yield return new StepDone(MachineSteps.Undo(fleet, step) ?? step switch
        {
            CreateDisk disk => store.Disks.TryGetValue(disk.Path, out var there) && there.Id == disk.DiskId && Delete(disk.Path, disk.DiskId),
            PrepareMachine prepare => fleet.Find(prepare.MachineId) is null && store.Prepared.TryRemove(prepare.MachineId, out _),
            RegisterImage register => store.Images.TryRemove(register.ImageId, out _),
            _ => false,
        });
    }

    private bool ApplyAtOnce(HostStep step)
    {
        switch (step)
        {
            case CreateDisk disk: return Create(disk);
            case DeleteDisk disk: Store.RequireBelow(store.Folders.Disks, disk.Path); return Delete(disk.Path, disk.DiskId);
            case PrepareMachine prepare: return store.Prepared.TryAdd(prepare.MachineId, true);
            case DiscardMachine discard:
                if (fleet.Find(discard.MachineId) is not null)
                    throw new HostException(HostError.WrongState, "The machine is running.") { Hint = "End it first." };
                var forgotten = store.Prepared.TryRemove(discard.MachineId, out _);
                foreach (var (path, id) in store.Saved)
                    if (id == discard.MachineId)
                        forgotten |= store.Saved.TryRemove(path, out _);
                return forgotten;
            case DeleteImageFile image: return store.Images.TryRemove(image.ImageId, out _);
            default: return MachineSteps.Apply(fleet, step);
        }
    }

    private StepDone Launch(LaunchMachine step)
    {
        if (step.Spec.Id != step.MachineId)
            throw new HostException(HostError.WrongState, "The step and its spec name different machines.");
        if (fleet.Find(step.MachineId) is { } running)
            return new StepDone(false) { Pid = running.Pid };
        if (NameScript.Of(step.Spec.Name).FailStart)
            throw NameScript.StartFailure(step.Spec);
        if (step.Spec.RestoreFrom is { } path && !(store.Saved.TryGetValue(path, out var owner) && owner == step.MachineId))
            throw new HostException(HostError.NotFound, $"There is no saved state {path}.");
        var (machine, added) = fleet.Add(step.Spec);
        return new StepDone(added) { Pid = machine.Pid };
    }

    private async IAsyncEnumerable<StepReport> PowerDownAsync(
        PowerDownMachine step, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (fleet.Find(step.MachineId) is not { } machine)
        {
            yield return new StepDone(false);
            yield break;
        }
        yield return new StepLog("Asked the guest to power off (ACPI).");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var deadline = Task.Delay(TimeSpan.FromSeconds(Math.Max(0, step.DeadlineSeconds)), time, stop.Token);
        // A stopped guest cannot hear the button; it would power off after somebody resumed it.
        if (machine.State == MachineRunState.Running && !machine.Script.IgnoreShutdown)
        {
            await PauseAsync(cancellationToken);
            fleet.PowerOff(machine);
        }
        await Task.WhenAny(machine.Ended, deadline);
        await stop.CancelAsync();
        cancellationToken.ThrowIfCancellationRequested();
        if (!machine.Ended.IsCompleted)
        {
            if (step.Fallback == PowerDownFallback.Fail)
                throw new HostException(HostError.Timeout, $"The guest did not power off within {step.DeadlineSeconds} seconds.");
            yield return new StepLog($"The guest did not power off within {step.DeadlineSeconds} seconds; ended.", Warning: true);
            fleet.End(machine, MachineEnd.Quit, "QEMU was asked to quit.", 0);
        }
        yield return new StepDone(true);
    }

    private async IAsyncEnumerable<StepReport> SaveAsync(SaveMachine step, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Store.RequireBelow(store.Folders.State, step.Path);
        if (fleet.Find(step.MachineId) is null && store.Saved.TryGetValue(step.Path, out var owner) && owner == step.MachineId)
        {
            yield return new StepDone(false);
            yield break;
        }
        var machine = fleet.Get(step.MachineId);
        var before = machine.State;
        if (before is not (MachineRunState.Running or MachineRunState.Paused))
            throw new HostException(HostError.WrongState, $"A machine in state {before} cannot be saved.");
        var total = machine.Spec.Memory.SizeMiB * 1048576L;
        fleet.Enter(machine, MachineRunState.Migrating);
        try
        {
            for (var part = 1; part <= 10; part++)
            {
                await PauseAsync(cancellationToken);
                yield return new StepProgress(total / 10 * part, total);
            }
            if (machine.Ended.IsCompleted)
                throw new HostException(HostError.NotRunning, "The machine ended while its state was saved.");
            store.Saved[step.Path] = step.MachineId;
            fleet.End(machine, MachineEnd.Saved, "The machine's state was saved.", 0);
        }
        finally
        {
            fleet.Enter(machine, before);
        }
        yield return new StepDone(true);
    }

    private bool Create(CreateDisk step)
    {
        Check(step);
        if (store.Disks.TryAdd(step.Path, (step.DiskId, step is { SourcePath: not null, Linked: false } ? step.SizeBytes : 196_624)))
            return true;
        return store.Disks[step.Path].Id == step.DiskId
            ? false : throw new HostException(HostError.InUse, $"The file {step.Path} belongs to another disk.");
    }

    private void Check(CreateDisk step)
    {
        Store.RequireBelow(store.Folders.Disks, step.Path);
        if (step is { SourcePath: not null, Linked: false } && step.SizeBytes > store.FreeBytes)
            throw new HostException(HostError.NoRoom, $"The disk needs {step.SizeBytes} bytes; {store.FreeBytes} are free.");
    }

    private bool Delete(string path, Guid diskId)
    {
        if (fleet.ClaimedBy(path) is not null)
            throw new HostException(HostError.InUse, $"A running machine uses {path}.");
        return store.Disks.TryGetValue(path, out var disk) && disk.Id == diskId && store.Disks.TryRemove(path, out _);
    }

    /// <summary>Between none and all of the step delay, the same sequence for the same seed.</summary>
    private Task PauseAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (options.StepDelay <= TimeSpan.Zero)
            return Task.CompletedTask;
        var share = unchecked((uint)((Interlocked.Increment(ref _count) + options.Seed) * 2654435761)) / (double)uint.MaxValue;
        return Task.Delay(options.StepDelay * share, time, cancellationToken);
    }
}
