using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>Plans a start. Pure.</summary>
internal static class StartPlanner
{
    public static Plan Plan(VmInputs inputs)
    {
        var (vm, def) = (inputs.Vm, inputs.Definition);
        var resolved = SpecResolver.Resolve(inputs);
        var steps = new List<PlanStep>();
        if (inputs.HasProcess)
            steps.Add(PlanStep.Host(new EndMachine { MachineId = vm.Id.Value }, Say.EndLeftover, Say.CleanProcess));
        if (inputs.Facts.Kvm.Verdict == KvmVerdict.Unproven && def.Accelerator != AcceleratorChoice.Tcg)
            steps.Add(PlanStep.Host(new ProveAccelerator(), Say.ProveKvm, Say.ProveKvmWhy));
        steps.AddRange(DiskPlanner.MakeMissing(inputs));
        if (def.Firmware.Type == FirmwareChoice.Uefi)
            steps.Add(PlanStep.Host(new PrepareMachine { MachineId = vm.Id.Value, Firmware = SpecResolver.FirmwareOf(def) }, Say.PrepareFirmware));
        steps.Add(PlanStep.Portal(new RecordRun(vm.Id, vm.Version, resolved.Spec.MachineType, resolved.Spec.Accelerator, resolved.Spec.Cpu.Model)
            {
                Room = new StartedRoom(resolved.Spec.Cpu.Max, resolved.Spec.Memory.SizeMiB, resolved.Spec.Memory.MaxMiB)
                {
                    Shape = new StartedShape(resolved.Spec.Memory.SizeMiB, resolved.Spec.Placement?.CoresPerSocket ?? resolved.Spec.Cpu.Max / resolved.Spec.Cpu.ThreadsPerCore, resolved.Spec.Placement?.ThreadsPerCore ?? resolved.Spec.Cpu.ThreadsPerCore, resolved.Spec.Cpu.Model),
                },
            },
            Say.RecordRun(vm.Version, resolved.Spec.MachineType), Say.RecordRunWhy));
        steps.AddRange(PlacementChores.Steps(resolved.Placement, vm.Id));
        steps.Add(PlanStep.Host(new LaunchMachine { MachineId = vm.Id.Value, Spec = resolved.Spec },
            resolved.Spec.RestoreFrom is null ? Say.Launch : Say.LaunchRestored, Say.LaunchWhy));
        if (resolved.Spec.Placement is { } placement)
            steps.Add(PlanStep.Host(new PinMachine { MachineId = vm.Id.Value, Placement = placement }, Say.PinMachine(CpuSet.Union(placement.Vcpus).ToString()), Say.PinMachineWhy));
        steps.Add(PlanStep.Host(new RunMachine { MachineId = vm.Id.Value }, Say.LetRun));
        if (def.Memory.BalloonMiB is { } keep && resolved.Spec is { Balloon: true, RestoreFrom: null })
            steps.Add(PlanStep.Host(new SetBalloon { MachineId = vm.Id.Value, TargetMiB = keep, BeforeMiB = def.Memory.SizeMiB }, Say.SetBalloon(keep), Say.BalloonAtOnce));
        if (vm.SuspendPath is not null)
            steps.Add(PlanStep.Portal(new RecordSuspend(vm.Id, null), Say.ForgetSaved, Say.ForgetSavedWhy));
        return new Plan { Steps = steps, Reasons = resolved.Reasons, Warnings = resolved.Warnings, Placement = resolved.Placement };
    }
}

/// <summary>Plans the making and deleting of disks. Pure.</summary>
internal static class DiskPlanner
{
    /// <summary>Steps for every disk of the definition that is not there yet; also heals what a failed job left undone.</summary>
    public static IEnumerable<PlanStep> MakeMissing(VmInputs inputs)
    {
        foreach (var row in inputs.Vm.Disks.Where(d => !d.Ready && inputs.Definition.Disks.Any(x => x.Name == d.Name)))
        {
            var image = row.ImageId is { } id && inputs.DiskImages.TryGetValue(id, out var found) ? found : null;
            var gib = row.SizeBytes / (double)(1L << 30);
            var summary = image is null ? Say.MakeBlankDisk(row.Name, gib)
                : row.Linked ? Say.MakeOverlay(row.Name, gib, image.Name) : Say.CopyToDisk(image.Name, row.Name, gib);
            yield return PlanStep.Host(new CreateDisk
            {
                DiskId = row.Id.Value,
                Path = row.Path,
                Format = row.Format,
                SizeBytes = row.SizeBytes,
                Linked = row.Linked,
                SourcePath = image?.Path,
                SourceFormat = image is null ? null : image.Kind == ImageKind.Qcow2 ? DiskFormat.Qcow2 : DiskFormat.Raw,
            }, summary, image is null ? null : row.Linked ? Say.OverlayWhy : Say.FullCopyWhy);
            yield return PlanStep.Portal(new RecordDiskReady(row.Id), Say.RecordDisk(row.Name));
        }
    }

    public static Sentence DataLost(IReadOnlyList<Disk> disks) =>
        disks.Count == 1 ? Say.DataLostOnDisk(disks[0].Name) : Say.DataLostOnDisks(disks.Count, string.Join(", ", disks.Select(d => d.Name)));

    public static IEnumerable<PlanStep> Delete(IEnumerable<Disk> disks)
    {
        foreach (var disk in disks)
        {
            yield return PlanStep.Host(new DeleteDisk { DiskId = disk.Id.Value, Path = disk.Path }, Say.DeleteDisk(disk.Name), Say.NoUndo);
            yield return PlanStep.Portal(new ForgetDisk(disk.Id), Say.ForgetDisk(disk.Name));
        }
    }
}
