using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Benchmarks;

/// <summary>Linux for the throw-away guest, from the image store; null paths: the host's own.</summary>
internal sealed record BenchmarkFiles(string? Kernel, string? Initrd);

/// <summary>Plans a benchmark. Pure.</summary>
internal static class BenchmarkPlanner
{
    private const int LeastMiB = 128;

    public static Plan Plan(VmInputs inputs, int rounds, BenchmarkFiles files)
    {
        if (inputs.HasProcess)
            throw new PortalException(ErrorCode.Conflict, Say.BenchmarkRunning) { Hint = Say.BenchmarkRunningHint };
        if (inputs.Definition.Memory.SizeMiB < LeastMiB)
            throw PortalException.Invalid([new Problem("/memory/sizeMiB", "out-of-range", Say.BenchmarkMemory(LeastMiB))]);
        var resolved = SpecResolver.Resolve(inputs);
        var steps = new List<PlanStep>();
        if (inputs.Facts.Kvm.Verdict == KvmVerdict.Unproven && inputs.Definition.Accelerator != AcceleratorChoice.Tcg)
            steps.Add(PlanStep.Host(new ProveAccelerator(), Say.ProveKvm, Say.ProveKvmWhy));
        var where = resolved.Spec.Placement is { } placement ? CpuSet.Union(placement.Vcpus).ToString() : null;
        steps.Add(PlanStep.Host(new MeasureLoss { MachineId = inputs.Vm.Id.Value, Spec = resolved.Spec, Rounds = rounds, KernelPath = files.Kernel, InitrdPath = files.Initrd },
            where is null ? Say.MeasureLossFloating(rounds) : Say.MeasureLoss(rounds, where), Say.MeasureLossWhy));
        var warnings = resolved.Warnings.ToList();
        if (resolved.Spec.Accelerator == Accelerator.Tcg)
            warnings.Add(Say.MeasureLossEmulated);
        return new Plan { Steps = steps, Reasons = resolved.Reasons, Warnings = warnings, Placement = resolved.Placement };
    }
}
