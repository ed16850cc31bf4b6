using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Plans;

/// <summary>Plans one action on many VMs: a child for each, by name. Pure.</summary>
internal static class BulkPlanner
{
    public static Plan Plan(IReadOnlyList<VmSummary> vms, VmAction action) => new()
    {
        Steps = [.. vms.Select(vm => PlanStep.Portal(new RunChild(vm.Id, vm.Name), Say.BulkChild(Say.OfAction(action), vm.Name), WhyNot(vm, action)))],
        Warnings = [.. vms.Select(vm => (vm.Name, Why: VmLifecycle.Decide(action, vm.Status.State, vm.Status.Pid is not null) as LifecycleDecision.Denied)).Where(x => x.Why is not null)
            .Select(x => Say.BulkDenied(x.Name, x.Why!.Reason))],
    };

    private static Sentence? WhyNot(VmSummary vm, VmAction action) =>
        VmLifecycle.Decide(action, vm.Status.State, vm.Status.Pid is not null) is LifecycleDecision.AlreadySo ? Say.BulkAlreadySo : null;
}
