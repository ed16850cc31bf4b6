using System.Text.Json;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>
/// Plans the move of a running machine's threads. Pure. While they move the machine holds both places, so that there is always a way back; the old one is given free when it has
/// arrived.
/// </summary>
internal static class ReplanPlanner
{
    public static Plan Plan(Vm vm, VmDefinition running, PlacementPlan now, PlacementOutcome outcome, bool mapping)
    {
        if (outcome is not PlacementPlan next)
            throw outcome is PlacementRefusal refusal ? PortalException.Refused(refusal) : new InvalidOperationException("No such outcome.");
        var (before, after) = (PlacementSpec.Of(now, running, mapping), PlacementSpec.Of(next, running, mapping));
        if (next.Dedicated.IsEmpty || !Same(Memory(before), Memory(after)) || (before.Sockets, before.CoresPerSocket, before.ThreadsPerCore, before.Vcpus.Count) != (after.Sockets, after.CoresPerSocket, after.ThreadsPerCore, after.Vcpus.Count))
            throw new PortalException(ErrorCode.Conflict, Say.ReplanNeedsStart);
        // Memory and what the guest sees of itself stay as they were made.
        after = after with { Nodes = before.Nodes, Locked = before.Locked, CpuPowerManagement = before.CpuPowerManagement };
        if (Same(before, after))
            return Plans.Plan.Nothing with { Placement = next, Reasons = [new PlanReason("placement", now.Dedicated.ToString(), Say.BestPlaceAlready)] };
        next = next with { GuestNodes = now.GuestNodes, Nodes = now.Nodes };
        // What was set on the host for its old CPUs goes with it; its pages stay.
        var (left, taken) = (Chores(now, vm), Chores(next, vm));
        return new Plan
        {
            Steps =
            [
                PlanStep.Portal(new RecordPlace(vm.Id, next, next.LedgerGeneration) { Also = now.Dedicated, Before = now }, Say.HoldBothPlaces, Say.HoldBothPlacesWhy),
                .. left.AsEnumerable().Reverse().Select(c => PlanStep.Host(new RestoreHostSetting { PreparationId = c.Id, Setting = c.Setting }, Say.LeaveChore(c.Summary), Say.ReplanWhy)),
                PlanStep.Host(new PinMachine { MachineId = vm.Id.Value, Placement = after, Before = before }, Say.PinMachine(CpuSet.Union(after.Vcpus).ToString()), Say.ReplanWhy),
                .. taken.Select(c => PlanStep.Host(new ApplyHostSetting { PreparationId = c.Id, Setting = c.Setting, Optional = c.Optional }, c.Summary, c.Why)),
                PlanStep.Portal(new RecordPlace(vm.Id, next, null), Say.FreeOldPlace),
            ],
            Placement = next,
            Reasons = [.. PlacementSpec.Reasons(next)],
            Warnings = next.Warnings,
        };
    }

    private static List<PlacementChore> Chores(PlacementPlan plan, Vm vm) => [.. PlacementChores.Of(plan, vm.Id).Where(c => c.Setting is not HugePagesSetting)];

    /// <summary>Which nodes, how much and of which pages; how it was touched at the start does not matter any more.</summary>
    private static List<(CpuSet, int, int?, MemoryPolicy, long?)> Memory(MachinePlacement placement) => [.. placement.Nodes.Select(n => (n.Vcpus, n.SizeMiB, n.HostNode, n.Policy, n.HugePageKiB))];

    private static bool Same(List<(CpuSet, int, int?, MemoryPolicy, long?)> a, List<(CpuSet, int, int?, MemoryPolicy, long?)> b) => a.SequenceEqual(b);

    private static bool Same(MachinePlacement a, MachinePlacement b) => JsonSerializer.Serialize(a) == JsonSerializer.Serialize(b);
}
