using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>Which CPU a guest sees. Pure.</summary>
internal static class CpuChoice
{
    public const string Auto = "auto", Host = "host", Max = "max";

    /// <summary>`auto`: everything that the host's CPU has for machines that stay; for those that may move a named model, kept from start to start.</summary>
    public static string Choose(VmInputs inputs, Accelerator accelerator, List<PlanReason> reasons, List<Problem> problems)
    {
        var asked = inputs.Definition.Cpu.Model;
        if (asked != Auto)
        {
            if (asked == Host && accelerator == Accelerator.Tcg)
                problems.Add(new Problem("/cpu/model", "needs-kvm", Say.HostModelNeedsKvm).WithFit(Auto));
            else if (accelerator == Accelerator.Kvm && inputs.CpuModels.FirstOrDefault(m => m.Name == asked) is { Missing: [_, ..] missing })
                problems.Add(new Problem("/cpu/model", "cpu-lacks", Say.CpuModelLacks(asked, string.Join(", ", missing.Take(8)))).WithFit(CpuAdvisor.Baseline(inputs.CpuModels, inputs.Facts.Cpu.Vendor) ?? Auto));
            return asked;
        }

        // What was saved goes on only on the CPU that it ran on.
        if (inputs.Vm is { SuspendPath: not null, CpuModel: { } saved })
            return saved;
        var (model, why) = accelerator == Accelerator.Tcg ? (Max, Say.AllEmulatedFeatures)
            : inputs.Vm.SuspendPath is not null || inputs.Profile.Migration == MigrationRule.Cold ? (Host, Say.AllCpuFeatures)
            : inputs.Vm.CpuModel is { } before && inputs.CpuModels.Any(m => m.Name == before && m.Missing.Count == 0) && CpuAdvisor.Level(before) is not null ? (before, Say.CpuModelKept)
            : CpuAdvisor.Baseline(inputs.CpuModels, inputs.Facts.Cpu.Vendor) is { } baseline ? (baseline, Say.CpuModelMovable)
            : (Host, Say.AllCpuFeatures);
        reasons.Add(new PlanReason("cpu-model", model, why));
        return model;
    }

    /// <summary>With what the guest is told of its CPUs besides.</summary>
    public static CpuSpec With(CpuSpec cpu, VmDefinition definition, PlacementPlan? placement) => cpu with
    {
        Exact = definition.Cpu.Model == Auto && placement is { Profile: { Pool: CpuPool.Dedicated, Migration: MigrationRule.Cold } },
        DedicatedHints = placement is { Profile: { Pool: CpuPool.Dedicated, DedicatedHints: true } },
        StealTime = placement?.Profile.Realtime != true,
        HyperV = definition.GuestSystem == GuestSystem.Windows,
    };

    /// <summary>Whether a machine that runs with this definition can be saved: an invariant clock cannot go on after a pause of days.</summary>
    public static bool CanBeSaved(VmInputs inputs) =>
        inputs.Status.Accelerator != Accelerator.Kvm || (inputs.Vm.RunningDefinition ?? inputs.Definition).Cpu.Model != Auto || inputs.Profile is not { Pool: CpuPool.Dedicated, Migration: MigrationRule.Cold };
}
