using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>Plans the making of a VM's disks, and its start when asked. Pure.</summary>
internal static class CreatePlanner
{
    public static Plan Plan(VmInputs inputs, bool start)
    {
        if (start)
            return StartPlanner.Plan(inputs);
        // Resolved although nothing starts: a definition that this host could never start is refused now, not at 3 a.m.
        var resolved = SpecResolver.Resolve(inputs);
        return new Plan { Steps = [.. DiskPlanner.MakeMissing(inputs)], Reasons = resolved.Reasons, Warnings = resolved.Warnings };
    }
}

/// <summary>Plans the end of a VM. Pure.</summary>
internal static class DeletePlanner
{
    public static Plan Plan(VmInputs inputs)
    {
        var vm = inputs.Vm;
        var steps = new List<PlanStep>();
        var warnings = new List<string>();
        if (inputs.HasProcess)
        {
            steps.Add(PlanStep.Host(new EndMachine { MachineId = vm.Id.Value }, "End the running machine at once.", "Its disks can be deleted only when nothing uses them."));
            warnings.Add("The machine is running: it is ended without a shutdown.");
        }

        steps.AddRange(DiskPlanner.Delete(vm.Disks));
        steps.Add(PlanStep.Host(new DiscardMachine { MachineId = vm.Id.Value }, "Remove the machine's folders, firmware variables and logs."));
        steps.Add(PlanStep.Portal(new ForgetVm(vm.Id), $"Forget {vm.Name}."));
        if (vm.Disks.Count > 0)
            warnings.Add($"All data on {(vm.Disks.Count == 1 ? $"the disk {vm.Disks[0].Name}" : $"{vm.Disks.Count} disks ({string.Join(", ", vm.Disks.Select(d => d.Name))})")} is lost.");
        return new Plan { Steps = steps, Warnings = warnings };
    }
}

/// <summary>Plans everything about a running machine that is not its start. Pure.</summary>
internal static class ActionPlanner
{
    public static Plan Plan(VmInputs inputs, VmAction action, VmActionOptions options)
    {
        var id = inputs.Vm.Id.Value;
        return action switch
        {
            VmAction.Start => StartPlanner.Plan(inputs),
            VmAction.Shutdown => One(PlanStep.Host(new PowerDownMachine
            {
                MachineId = id,
                DeadlineSeconds = options.DeadlineSeconds,
                Fallback = options.Force ? PowerDownFallback.End : PowerDownFallback.Fail,
            }, "Ask the guest to power off: by its agent if that answers, else by the ACPI power button.", options.Force
                ? $"After {options.DeadlineSeconds} s it is ended." : $"After {options.DeadlineSeconds} s without effect the job fails and the guest runs on.")),
            VmAction.Stop => One(PlanStep.Host(new EndMachine { MachineId = id }, "End the machine at once.", "Like pulling the plug: the guest is not asked.")) with
            {
                Warnings = ["What the guest has not written to its disks is lost."],
            },
            VmAction.Reset => One(PlanStep.Host(new ResetMachine { MachineId = id }, "Reset the machine.", "Like the reset button: the guest is not asked."),
                inputs.Status.State == VmState.Running ? null : PlanStep.Host(new RunMachine { MachineId = id }, "Let the CPUs run.")),
            VmAction.Pause => One(PlanStep.Host(new PauseMachine { MachineId = id }, "Stop the CPUs; memory and devices stay as they are.")),
            VmAction.Resume => One(PlanStep.Host(new RunMachine { MachineId = id }, "Let the CPUs run on.")),
            VmAction.Suspend => One(
                PlanStep.Host(new SaveMachine { MachineId = id, Path = Path.Combine(inputs.Facts.Folders.State, inputs.Vm.Id.Value.ToString("N"), "suspend.state") },
                    "Save memory and devices to a file and end QEMU.", "The next start goes on where the guest was."),
                PlanStep.Portal(new RecordSuspend(inputs.Vm.Id, Path.Combine(inputs.Facts.Folders.State, inputs.Vm.Id.Value.ToString("N"), "suspend.state")), "Record where the saved state is.")),
        };
    }

    private static Plan One(params PlanStep?[] steps) => new() { Steps = [.. steps.OfType<PlanStep>()] };
}
