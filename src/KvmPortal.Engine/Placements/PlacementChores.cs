using System.Security.Cryptography;
using System.Text;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Placements;

/// <summary>What a start does to the host for one machine, and its end undoes.</summary>
/// <param name="Id">Of its journal; the same for the same machine and kind, so that it is found again after a crash.</param>
/// <param name="Optional">The machine runs without it, only less well.</param>
internal sealed record PlacementChore(Guid Id, HostSetting Setting, bool Optional, Sentence Summary, Sentence Why);

/// <summary>A placement plan's host actions as settings of the host, in the order in which they are made. Pure.</summary>
internal static class PlacementChores
{
    public static IReadOnlyList<PlacementChore> Of(PlacementPlan? plan, VmId vm)
    {
        if (plan is null)
            return [];
        var chores = new List<PlacementChore>();
        foreach (var pool in plan.GuestNodes.Select(n => n.Memory).Where(m => m is { GrowPages: > 0, HostNode: not null, HugePageKiB: not null }).GroupBy(m => (m.HostNode!.Value, m.HugePageKiB!.Value)))
        {
            var (node, size) = pool.Key;
            var pages = pool.Sum(m => m.GrowPages);
            // Never half: a guest that lacks a page later dies.
            Add($"huge-pages/{node}/{size}", new HugePagesSetting(node, size, pages, More: true), optional: false, Say.ActionGrowPool(node, pages, size), Say.ChoreGrowWhy);
        }

        var moves = plan.HostActions.Count(a => a.Kind == HostActionKind.MoveInterrupt);
        if (moves > 0)
            Add("irq-affinity", new IrqAffinitySetting(plan.Dedicated, CpuSet.Union(plan.Interrupts.Select(i => i.To))), optional: true, Say.ChoreInterrupts(moves, plan.Dedicated.ToString()), Say.ChoreInterruptsWhy);
        if (plan.HostActions.Any(a => a.Kind == HostActionKind.WakeUpLimit) && plan.Profile.WakeUpMicroseconds is { } wake)
            Add("cpu-latency", new CpuLatencySetting(plan.Dedicated, wake), optional: true, Say.ActionWakeUp(plan.Dedicated.ToString(), wake), Say.ChoreWakeUpWhy);
        if (plan.HostActions.Any(a => a.Kind == HostActionKind.Governor))
            Add("cpu-governor", new CpuGovernorSetting("performance", plan.Dedicated), optional: true, Say.ActionGovernor(plan.Dedicated.ToString()), Say.ChoreGovernorWhy);
        return chores;

        void Add(string kind, HostSetting setting, bool optional, Sentence summary, Sentence why) => chores.Add(new PlacementChore(IdOf(vm, kind), setting, optional, summary, why));
    }

    public static IEnumerable<PlanStep> Steps(PlacementPlan? plan, VmId vm) =>
        Of(plan, vm).Select(c => PlanStep.Host(new ApplyHostSetting { PreparationId = c.Id, Setting = c.Setting, Optional = c.Optional }, c.Summary, c.Why));

    private static Guid IdOf(VmId vm, string kind) => new(SHA256.HashData(Encoding.UTF8.GetBytes($"{vm.Value:N}/{kind}")).AsSpan(0, 16));
}
