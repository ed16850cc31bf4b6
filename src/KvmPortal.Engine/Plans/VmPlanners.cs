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
        var warnings = new List<Sentence>();
        if (inputs.HasProcess)
        {
            steps.Add(PlanStep.Host(new EndMachine { MachineId = vm.Id.Value }, Say.EndRunning, Say.EndRunningWhy));
            warnings.Add(Say.RunningIsEnded);
        }

        steps.AddRange(DiskPlanner.Delete(vm.Disks));
        steps.Add(PlanStep.Host(new DiscardMachine { MachineId = vm.Id.Value }, Say.DiscardMachine));
        steps.Add(PlanStep.Portal(new ForgetVm(vm.Id), Say.ForgetMachine(vm.Name)));
        if (vm.Disks.Count > 0)
            warnings.Add(DiskPlanner.DataLost(vm.Disks));
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
            }, Say.AskPowerOff, options.Force
                ? Say.AfterDeadlineEnded(options.DeadlineSeconds) : Say.AfterDeadlineFails(options.DeadlineSeconds))),
            VmAction.Stop => One(PlanStep.Host(new EndMachine { MachineId = id }, Say.EndMachine, Say.EndMachineWhy)) with
            {
                Warnings = [Say.UnwrittenIsLost],
            },
            VmAction.Reset => One(PlanStep.Host(new ResetMachine { MachineId = id }, Say.Reset, Say.ResetWhy),
                inputs.Status.State == VmState.Running ? null : PlanStep.Host(new RunMachine { MachineId = id }, Say.LetRun)),
            VmAction.Pause => One(PlanStep.Host(new PauseMachine { MachineId = id }, Say.Pause)),
            VmAction.Resume => One(PlanStep.Host(new RunMachine { MachineId = id }, Say.LetRunOn)),
            VmAction.Suspend when !CpuChoice.CanBeSaved(inputs) => throw new PortalException(ErrorCode.Conflict, Say.CannotBeSaved) { Hint = Say.CannotBeSavedHint },
            VmAction.Suspend => One(
                PlanStep.Host(new SaveMachine { MachineId = id, Path = Path.Combine(inputs.Facts.Folders.State, inputs.Vm.Id.Value.ToString("N"), "suspend.state"), RunOn = inputs.Status.State == VmState.Running },
                    Say.Save, Say.SaveWhy),
                PlanStep.Portal(new RecordSuspend(inputs.Vm.Id, Path.Combine(inputs.Facts.Folders.State, inputs.Vm.Id.Value.ToString("N"), "suspend.state")), Say.RecordSaved)),
        };
    }

    private static Plan One(params PlanStep?[] steps) => new() { Steps = [.. steps.OfType<PlanStep>()] };
}
