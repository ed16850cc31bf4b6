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
            steps.Add(PlanStep.Host(new EndMachine { MachineId = vm.Id.Value }, "End what is left of the crashed machine.", "A machine starts from a clean process."));
        if (inputs.Facts.Kvm.Verdict == KvmVerdict.Unproven && def.Accelerator != AcceleratorChoice.Tcg)
            steps.Add(PlanStep.Host(new ProveAccelerator(), "Prove with a tiny guest whether KVM works.", "An open /dev/kvm does not mean that guests run on it; tried once per boot of the host."));
        steps.AddRange(DiskPlanner.MakeMissing(inputs));
        if (def.Firmware.Type == FirmwareChoice.Uefi)
            steps.Add(PlanStep.Host(new PrepareMachine { MachineId = vm.Id.Value, Firmware = SpecResolver.FirmwareOf(def) }, "Give the machine its own firmware variables."));
        steps.Add(PlanStep.Portal(new RecordRun(vm.Id, vm.Version, resolved.Spec.MachineType, resolved.Spec.Accelerator, resolved.Spec.Cpu.Model),
            $"Record that version {vm.Version} of the definition runs on {resolved.Spec.MachineType}.", "So that later changes show what still waits for the next boot."));
        steps.Add(PlanStep.Host(new LaunchMachine { MachineId = vm.Id.Value, Spec = resolved.Spec },
            resolved.Spec.RestoreFrom is null ? "Start QEMU with its CPUs stopped." : "Start QEMU and load the saved state.", "What fails here fails before the guest has run."));
        steps.Add(PlanStep.Host(new RunMachine { MachineId = vm.Id.Value }, "Let the CPUs run."));
        if (vm.SuspendPath is not null)
            steps.Add(PlanStep.Portal(new RecordSuspend(vm.Id, null), "Forget the saved state.", "It must not be loaded twice."));
        return new Plan { Steps = steps, Reasons = resolved.Reasons, Warnings = resolved.Warnings };
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
            var summary = image is null ? $"Make the blank disk {row.Name} ({gib:0.##} GiB)."
                : row.Linked ? $"Make the disk {row.Name} ({gib:0.##} GiB) as an overlay of the image {image.Name}." : $"Copy the image {image.Name} to the disk {row.Name} ({gib:0.##} GiB).";
            yield return PlanStep.Host(new CreateDisk
            {
                DiskId = row.Id.Value,
                Path = row.Path,
                Format = row.Format,
                SizeBytes = row.SizeBytes,
                Linked = row.Linked,
                SourcePath = image?.Path,
                SourceFormat = image is null ? null : image.Kind == ImageKind.Qcow2 ? DiskFormat.Qcow2 : DiskFormat.Raw,
            }, summary, image is null ? null : row.Linked ? "An overlay takes no time and no space; the image must stay." : "A full copy does not depend on the image.");
            yield return PlanStep.Portal(new RecordDiskReady(row.Id), $"Record that the disk {row.Name} is there.");
        }
    }

    public static IEnumerable<PlanStep> Delete(IEnumerable<Disk> disks)
    {
        foreach (var disk in disks)
        {
            yield return PlanStep.Host(new DeleteDisk { DiskId = disk.Id.Value, Path = disk.Path }, $"Delete the disk {disk.Name} with all its data.", "This cannot be undone.");
            yield return PlanStep.Portal(new ForgetDisk(disk.Id), $"Forget the disk {disk.Name}.");
        }
    }
}
