using KvmPortal.Engine.Benchmarks;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Jobs;

/// <summary>
/// Runs the steps that change only the portal's own records, inside the transaction that marks them done: effect and mark are kept together or not at all.
/// Each returns what is to be told once that transaction has committed.
/// </summary>
internal sealed class PortalSteps(VmTracker tracker, LiveFeed live, PortalEvents events, TimeProvider time)
{
    private static readonly Func<Task> Silent = () => Task.CompletedTask;

    public async Task<Func<Task>> ApplyAsync(PortalDb db, PortalStep step, CancellationToken ct)
    {
        switch (step)
        {
            case RecordRun run:
                var started = await VmAsync(db, run.VmId, ct);
                // Saved state comes back with the vCPUs and the memory that it was saved with.
                if (started is { SuspendPath: not null, RunningDefinition: { } saved })
                    started.RunningDefinition = started.Definition with { Cpu = saved.Cpu, Memory = saved.Memory };
                else
                    (started.RunningDefinition, started.StartedWith) = (started.Definition, run.Room);
                started.MachineType = run.MachineType;
                started.CpuModel = run.CpuModel;
                started.MachineTypeOf = started.Definition.Machine;
                return Silent;
            case RecordSuspend suspend:
                (await VmAsync(db, suspend.VmId, ct)).SuspendPath = suspend.StatePath;
                return Tell(() => tracker.SetSuspended(suspend.VmId, suspend.StatePath is not null));
            case RecordLive recorded:
                (await VmAsync(db, recorded.VmId, ct)).RunningDefinition = recorded.Running;
                return Silent;
            case RecordPlace place:
                await PlacementLedger.RecordAsync(db, place.VmId, place.Plan, (place.Generation, place.Also), ct);
                return Silent;
            case RecordDiskReady disk:
                await db.Disks.Where(d => d.Id == disk.DiskId).ExecuteUpdateAsync(set => set.SetProperty(d => d.Ready, true), ct);
                return Silent;
            case ForgetDisk disk:
                await db.Disks.Where(d => d.Id == disk.DiskId).ExecuteDeleteAsync(ct);
                return Silent;
            case ForgetVm vm:
                return await ForgetVmAsync(db, vm.VmId, ct);
            case RecordPreparation preparation:
                await PreparationRecords.AddAsync(db, preparation, time.GetUtcNow(), ct);
                return Silent;
            case RecordImage image:
                await db.Images.Where(i => i.Id == image.ImageId && i.Path != null).ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Ready).SetProperty(i => i.Error, (Sentence?)null), ct);
                return Tell(() => live.Publish(new ImagesChanged()));
            case ForgetImage image:
                await db.Images.Where(i => i.Id == image.ImageId).ExecuteDeleteAsync(ct);
                return () =>
                {
                    live.Publish(new ImagesChanged());
                    return events.AppendAsync("image.deleted", new JobTarget(TargetType.Image, image.ImageId.Value, ""), "system", "An image was deleted.", ct: CancellationToken.None);
                };
            default:
                throw new InvalidOperationException($"No portal step {step.Kind}.");
        }
    }

    public async Task<Func<Task>> UndoAsync(PortalDb db, PortalStep step, CancellationToken ct)
    {
        switch (step)
        {
            case RecordRun run:
                (await VmAsync(db, run.VmId, ct)).RunningDefinition = null;
                return Silent;
            case RecordSuspend { StatePath: not null } suspend:
                (await VmAsync(db, suspend.VmId, ct)).SuspendPath = null;
                return Tell(() => tracker.SetSuspended(suspend.VmId, false));
            case RecordPlace { Before: { } before } place:
                await PlacementLedger.RecordAsync(db, place.VmId, before, (null, CpuSet.Empty), ct);
                return Silent;
            case RecordDiskReady disk:
                await db.Disks.Where(d => d.Id == disk.DiskId).ExecuteUpdateAsync(set => set.SetProperty(d => d.Ready, false), ct);
                return Silent;
            case RecordPreparation preparation:
                await db.HostPreparations.Where(p => p.Id == preparation.PreparationId).ExecuteDeleteAsync(ct);
                return Silent;
            case RecordImage image:
                await db.Images.Where(i => i.Id == image.ImageId).ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Failed), ct);
                return Tell(() => live.Publish(new ImagesChanged()));
            default:
                return Silent;
        }
    }

    /// <summary>Keeps what the host reported together with the mark that the step is done: a crash after it loses neither.</summary>
    public static async Task<Func<Task>> KeepAsync(PortalDb db, Job job, StepDone done, DateTimeOffset now, CancellationToken ct)
    {
        if (done.Setting is { } outcome)
            await PreparationRecords.KeepAsync(db, job.Id, outcome, now, ct);
        if (done.Loss is { } loss)
            await BenchmarkRow.KeepAsync(db, job, loss, ct);
        if (done.Image is { } image)
            await KeepImageAsync(db, image, ct);
        if (done.Confinement is { } report && await db.Vms.FirstOrDefaultAsync(v => v.Id == new VmId(job.TargetId), ct) is { } vm)
            vm.Confinement = report;
        return Silent;
    }

    private static async Task KeepImageAsync(PortalDb db, ReceivedImage found, CancellationToken ct)
    {
        var id = new ImageId(found.ImageId);
        if (await db.Images.FirstOrDefaultAsync(i => i.Id == id, ct) is { } row)
            (row.Kind, row.Path, row.FileSizeBytes, row.VirtualSizeBytes, row.Sha256) = (found.Kind, found.Path, found.FileSizeBytes, found.VirtualSizeBytes, found.Sha256);
    }

    /// <summary>A job that should have brought an image ended without it: the row says why.</summary>
    public async Task<Func<Task>> ImageFailedAsync(PortalDb db, ImageId id, Sentence reason, CancellationToken ct)
    {
        await db.Images.Where(i => i.Id == id && i.State != ImageState.Ready).ExecuteUpdateAsync(set => set.SetProperty(i => i.State, ImageState.Failed).SetProperty(i => i.Error, reason), ct);
        return Tell(() => live.Publish(new ImagesChanged()));
    }

    private async Task<Func<Task>> ForgetVmAsync(PortalDb db, VmId id, CancellationToken ct)
    {
        var vm = await db.Vms.FirstOrDefaultAsync(v => v.Id == id, ct);
        await db.Disks.Where(d => d.VmId == id).ExecuteDeleteAsync(ct);
        await db.VmRollups.Where(r => r.VmId == id).ExecuteDeleteAsync(ct);
        await db.Benchmarks.Where(b => b.VmId == id).ExecuteDeleteAsync(ct);
        await MachineUids.FreeAsync(db, id, time.GetUtcNow(), ct);
        if (vm is not null)
            db.Vms.Remove(vm);
        return () =>
        {
            tracker.Remove(id);
            return vm is null ? Task.CompletedTask
                : events.AppendAsync("vm.deleted", new JobTarget(TargetType.Vm, id.Value, vm.Name), "system", $"{vm.Name} was deleted.", ct: CancellationToken.None);
        };
    }

    private static async Task<Vm> VmAsync(PortalDb db, VmId id, CancellationToken ct) =>
        await db.Vms.FirstOrDefaultAsync(v => v.Id == id, ct) ?? throw PortalException.NotFound("virtual machine", id.ToString());

    private static Func<Task> Tell(Action act) => () =>
    {
        act();
        return Task.CompletedTask;
    };
}
