using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Placements;

/// <summary>Moves a running machine of the dedicated class to better CPUs, when there are any now: its memory stays where it is.</summary>
public sealed class ReplanOperations
{
    private readonly PortalStore store;
    private readonly Replans replans;
    private readonly JobQueue queue;

    internal ReplanOperations(PortalStore store, Replans replans, JobQueue queue) => (this.store, this.replans, this.queue) = (store, replans, queue);

    /// <summary>What would move, and why. Throws Conflict for a machine that does not run or has no place of its own, Refused where none fits.</summary>
    public Task<Plan> PlanAsync(Caller caller, VmId id, CancellationToken ct) => replans.PlanAsync(id, ct);

    /// <summary>Queues the move; a job that has succeeded with no steps when it is in the best place already.</summary>
    public async Task<JobView> ReplanAsync(Caller caller, VmId id, CancellationToken ct)
    {
        var plan = await replans.PlanAsync(id, ct);
        var target = await replans.TargetAsync(id, ct);
        var state = plan.Steps.Count > 0 ? JobState.Queued : JobState.Succeeded;
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, "replan-vm", target, new ReplanVmIntent(id), plan, ct, state), ct);
        return (await queue.CommittedAsync(job))!;
    }
}

/// <summary>Reads what a new place for a running machine depends on, and plans it.</summary>
internal sealed class Replans(VmReader vms, PlacementReader placements, PlacementLedger ledger)
{
    public async Task<JobTarget> TargetAsync(VmId id, CancellationToken ct) => VmOperations.Target((await vms.InputsAsync(id, ct)).Vm);

    public async Task<Plan> PlanAsync(VmId id, CancellationToken ct)
    {
        var inputs = await vms.InputsAsync(id, ct);
        if (!inputs.HasProcess || inputs.Vm.RunningDefinition is not { } running || inputs.Status.State is not (VmState.Running or VmState.Paused))
            throw new PortalException(ErrorCode.Conflict, Say.NotRunning);
        if (await ledger.LineAsync(id, ct) is not { Plan: { Dedicated.IsEmpty: false } now })
            throw new PortalException(ErrorCode.Conflict, Say.NothingToReplan);
        // Memory that a guest uses does not move with its threads: the same nodes.
        var asked = running with { Placement = running.Placement with { OnNodes = now.Nodes, VirtualNodes = now.GuestNodes.Count } };
        var profile = await placements.ProfileAsync(running.Profile, ct);
        return ReplanPlanner.Plan(inputs.Vm, running, now, await placements.PlanAsync(id, asked, profile, inputs.Facts, ct), inputs.Facts.Qemu.QueueMapping);
    }
}
