using KvmPortal.Engine.Benchmarks;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Jobs;

/// <summary>From an intent to the plan that holds now: reads the inputs, calls the pure planner.</summary>
internal sealed class JobPlanner(VmReader vms, ImageReader images, (PreparationReader Preparations, PlacementLedger Ledger, Replans Replans) placed, IMachineHost host, HostLink link)
{
    private const int MostTries = 20;
    private readonly PreparationReader preparations = placed.Preparations;
    private readonly PlacementLedger ledger = placed.Ledger;
    private readonly Replans replans = placed.Replans;

    /// <summary>Completes when it is known which machines run.</summary>
    public Task ReadyAsync(CancellationToken ct) => link.Ready.WaitAsync(ct);

    public async Task<Plan> PlanAsync(JobIntent intent, JobLogger log, CancellationToken ct)
    {
        // Which machines run must be known before anything is decided about them.
        await link.Ready.WaitAsync(TimeSpan.FromSeconds(30), ct);
        return await DecideAsync(intent, log, ct);
    }

    private async Task<Plan> DecideAsync(JobIntent intent, JobLogger log, CancellationToken ct) => intent switch
    {
        CreateVmIntent e => CreatePlanner.Plan(await StartInputsAsync(e.VmId, e.Start, log, ct), e.Start),
        VmActionIntent e => VmOperations.Decide(await StartInputsAsync(e.VmId, e.Action == VmAction.Start, log, ct), e.Action, new VmActionOptions(e.DeadlineSeconds, e.Force)),
        ChangeVmIntent e => await ChangeAsync(e, ct),
        ReplanVmIntent e => await replans.PlanAsync(e.VmId, ct),
        DeleteVmIntent e => DeletePlanner.Plan(await vms.InputsAsync(e.VmId, ct)),
        RegisterImageIntent e => ImagePlanner.Register(e),
        DeleteImageIntent e => ImagePlanner.Delete(await images.GetAsync(e.ImageId, ct), await images.UsersAsync(e.ImageId, ct)),
        BulkVmsIntent => throw new InvalidOperationException("A bulk job runs its children by the plan that it was given."),
        ProveAcceleratorIntent => HostOperations.PlanProof(),
        PrepareHostIntent e => PreparationPlanner.Prepare(await preparations.InputsAsync(e, ct)),
        BenchmarkVmIntent e => await new BenchmarkReader(vms).PlanAsync(e, await StartInputsAsync(e.VmId, true, log, ct), ct),
        RestoreHostIntent e => await preparations.PlanRestoreAsync(e.PreparationId, ct),
        _ => throw new InvalidOperationException($"No planner for {intent.GetType().Name}."),
    };

    /// <summary>A start needs to know whether KVM works: when nobody tried on this boot of the host, it is tried now.</summary>
    private async Task<VmInputs> StartInputsAsync(VmId id, bool start, JobLogger log, CancellationToken ct)
    {
        var inputs = await ProvenAsync(id, start, log, ct);
        // Between the plan and the ledger somebody else may have taken the place: then it is planned again.
        for (var tries = 0; start && inputs.Placement is PlacementPlan plan && !inputs.HasProcess && !await ledger.TryReserveAsync(plan, id, ct); inputs = await vms.InputsAsync(id, ct))
            if (++tries == MostTries)
                throw new PortalException(ErrorCode.Conflict, Say.LedgerMoves) { Hint = Say.LedgerMovesHint };
        return inputs;
    }

    private async Task<VmInputs> ProvenAsync(VmId id, bool start, JobLogger log, CancellationToken ct)
    {
        var inputs = await vms.InputsAsync(id, ct);
        if (!start || inputs.Facts.Kvm.Verdict != KvmVerdict.Unproven || inputs.Definition.Accelerator == AcceleratorChoice.Tcg)
            return inputs;
        await foreach (var report in host.ApplyAsync(new ProveAccelerator(), ct))
            if (report is StepLog line)
                log(HostSentences.Read(line.Text), line.Warning);
        return await vms.InputsAsync(id, ct);
    }

    private async Task<Plan> ChangeAsync(ChangeVmIntent intent, CancellationToken ct)
    {
        var inputs = await vms.InputsAsync(intent.VmId, ct);
        return ChangePlanner.Plan(inputs, intent.Before, inputs.HasProcess ? inputs.Vm.RunningDefinition : null);
    }
}
