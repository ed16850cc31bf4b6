using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Jobs;

/// <summary>Runs the steps that change only the portal's own records. Each is safe to repeat.</summary>
internal sealed class PortalSteps(PortalStore store, VmTracker tracker, LiveFeed live, PortalEvents events)
{
    private static readonly StepDone Done = new(Changed: true);

    public async Task<StepDone> ApplyAsync(PortalStep step, CancellationToken ct)
    {
        switch (step)
        {
            case RecordRun run:
                await OnVmAsync(run.VmId, vm =>
                {
                    vm.RunningDefinition = vm.Definition;
                    vm.MachineType = run.MachineType;
                    vm.MachineTypeOf = vm.Definition.Machine;
                }, ct);
                break;
            case RecordSuspend suspend:
                await OnVmAsync(suspend.VmId, vm => vm.SuspendPath = suspend.StatePath, ct);
                tracker.SetSuspended(suspend.VmId, suspend.StatePath is not null);
                break;
            case RecordLive recorded:
                await OnVmAsync(recorded.VmId, vm => vm.RunningDefinition = recorded.Running, ct);
                break;
            case RecordDiskReady disk:
                await store.WriteAsync(db => db.Disks.Where(d => d.Id == disk.DiskId).ExecuteUpdateAsync(set => set.SetProperty(d => d.Ready, true), ct), ct);
                break;
            case ForgetDisk disk:
                await store.WriteAsync(db => db.Disks.Where(d => d.Id == disk.DiskId).ExecuteDeleteAsync(ct), ct);
                break;
            case ForgetVm vm:
                await ForgetVmAsync(vm.VmId, ct);
                break;
            case RecordImage image:
                await RecordImageAsync(image.ImageId, ct);
                break;
            case ForgetImage image:
                await store.WriteAsync(db => db.Images.Where(i => i.Id == image.ImageId).ExecuteDeleteAsync(ct), ct);
                live.Publish(new ImagesChanged());
                await events.AppendAsync("image.deleted", new JobTarget(TargetType.Image, image.ImageId.Value, ""), "system", "An image was deleted.", ct: ct);
                break;
            default:
                throw new InvalidOperationException($"No portal step {step.Kind}.");
        }

        return Done;
    }

    public async Task UndoAsync(PortalStep step, CancellationToken ct)
    {
        switch (step)
        {
            case RecordRun run:
                await OnVmAsync(run.VmId, vm => vm.RunningDefinition = null, ct);
                break;
            case RecordSuspend { StatePath: not null } suspend:
                await OnVmAsync(suspend.VmId, vm => vm.SuspendPath = null, ct);
                tracker.SetSuspended(suspend.VmId, false);
                break;
            case RecordDiskReady disk:
                await store.WriteAsync(db => db.Disks.Where(d => d.Id == disk.DiskId).ExecuteUpdateAsync(set => set.SetProperty(d => d.Ready, false), ct), ct);
                break;
            case RecordImage image:
                await store.WriteAsync(db => db.Images.Where(i => i.Id == image.ImageId).ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Failed), ct), ct);
                break;
        }
    }

    /// <summary>Keeps what the host found in an image, at once: the step that publishes it may come after a crash.</summary>
    public Task KeepImageAsync(ReceivedImage found, CancellationToken ct) => store.WriteAsync(async db =>
    {
        var id = new ImageId(found.ImageId);
        if (await db.Images.FirstOrDefaultAsync(i => i.Id == id, ct) is { } row)
            (row.Kind, row.Path, row.FileSizeBytes, row.VirtualSizeBytes, row.Sha256) = (found.Kind, found.Path, found.FileSizeBytes, found.VirtualSizeBytes, found.Sha256);
    }, ct);

    /// <summary>A job that should have brought an image failed: the row says why.</summary>
    public async Task ImageFailedAsync(ImageId id, string reason, CancellationToken ct)
    {
        await store.WriteAsync(db => db.Images.Where(i => i.Id == id && i.State != ImageState.Ready)
            .ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Failed).SetProperty(i => i.Error, reason), ct), ct);
        live.Publish(new ImagesChanged());
    }

    private async Task RecordImageAsync(ImageId id, CancellationToken ct)
    {
        await store.WriteAsync(db => db.Images.Where(i => i.Id == id && i.Path != null).ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Ready).SetProperty(i => i.Error, (string?)null), ct), ct);
        live.Publish(new ImagesChanged());
    }

    private async Task ForgetVmAsync(VmId id, CancellationToken ct)
    {
        var name = await store.WriteAsync(async db =>
        {
            var vm = await db.Vms.FirstOrDefaultAsync(v => v.Id == id, ct);
            await db.Disks.Where(d => d.VmId == id).ExecuteDeleteAsync(ct);
            await db.VmRollups.Where(r => r.VmId == id).ExecuteDeleteAsync(ct);
            if (vm is not null)
                db.Vms.Remove(vm);
            return vm?.Name;
        }, ct);
        tracker.Remove(id);
        if (name is not null)
            await events.AppendAsync("vm.deleted", new JobTarget(TargetType.Vm, id.Value, name), "system", $"{name} was deleted.", ct: ct);
    }

    private Task OnVmAsync(VmId id, Action<Vm> change, CancellationToken ct) => store.WriteAsync(async db =>
        change(await db.Vms.FirstOrDefaultAsync(v => v.Id == id, ct) ?? throw PortalException.NotFound("virtual machine", id.ToString())), ct);
}
