using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Jobs;

/// <summary>Plans a job at its turn, runs one step wherever it belongs, undoes it, and checks at the end that the aim is really reached.</summary>
internal sealed class StepRunner(IMachineHost host, JobPlanner planner, PortalSteps portal, VmTracker tracker, EngineOptions options)
{
    private readonly int heavyLimit = options.ParallelHeavySteps;
    private readonly SemaphoreSlim heavy = new(options.ParallelHeavySteps);
    private static readonly TimeSpan ProofTime = TimeSpan.FromSeconds(5);

    public Task<Plan> PlanAsync(JobIntent intent, JobLogger log, CancellationToken ct) => planner.PlanAsync(intent, log, ct);

    /// <summary>Completes when it is known which machines run; a job that goes on after a restart must not act before.</summary>
    public Task ReadyAsync(CancellationToken ct) => planner.ReadyAsync(ct);

    /// <summary>The records' half of a plan; runs inside the checkpoint's transaction.</summary>
    public PortalSteps Portal => portal;

    /// <summary>Runs a step on the host.</summary>
    public async Task<StepDone> ApplyAsync(Job job, HostStep step, Action<long, long> progress, JobLogger log, CancellationToken ct)
    {
        if (job.Intent is VmActionIntent action)
            tracker.SetActivity(action.VmId, VmLifecycle.ActivityOf(action.Action));
        else if (job.Intent is CreateVmIntent { Start: true } create)
            tracker.SetActivity(create.VmId, VmActivity.Starting);
        if (!IsHeavy(step))
            return await OnHostAsync(step, progress, log, ct);
        if (!heavy.Wait(0, CancellationToken.None))
        {
            log(Say.WaitsForHeavy($"{heavyLimit}"));
            await heavy.WaitAsync(ct);
        }

        try
        {
            return await OnHostAsync(step, progress, log, ct);
        }
        finally
        {
            heavy.Release();
        }
    }

    /// <summary>Steps that keep the host's CPUs or disks busy: only so many at once, or a whole fleet's start would slow every machine that runs.</summary>
    private static bool IsHeavy(HostStep step) => step is LaunchMachine or SaveMachine or RegisterImage or MeasureLoss or CreateDisk { Linked: false, SourcePath: not null };

    /// <summary>Undoes a step on the host.</summary>
    public async Task UndoAsync(HostStep step, JobLogger log, CancellationToken ct)
    {
        await foreach (var report in host.UndoAsync(step, ct))
            if (report is StepLog line)
                log(HostSentences.Read(line.Text), line.Warning);
        // The machine's next job plans by what is known of it: the end of this process has to be known first.
        if (step is LaunchMachine launched && !await tracker.WaitForAsync(new Data.VmId(launched.Spec.Id), status => status.Pid is null, ProofTime, ct))
            log(Say.NotConfirmedWithin((int)ProofTime.TotalSeconds), warning: true);
    }

    /// <summary>The proof: waits (by event) for the state that the action must lead to.</summary>
    public async Task VerifyAsync(Job job, JobLogger log, CancellationToken ct)
    {
        VmAction? wanted = job.Intent switch
        {
            VmActionIntent action => action.Action,
            CreateVmIntent { Start: true } => VmAction.Start,
            _ => null,
        };
        if (wanted is not { } aim || job.Plan.Steps.Count == 0)
            return;
        var id = new Data.VmId(job.TargetId);
        var reached = await tracker.WaitForAsync(id, status => VmLifecycle.Proves(aim, status.State), ProofTime, ct);
        if (!reached)
        {
            log(Say.NotConfirmedWithin((int)ProofTime.TotalSeconds), warning: true);
            job.Warnings = [.. job.Warnings, Say.NotConfirmed];
        }
    }

    /// <summary>Whether there is no way back behind a step: what was deleted or ended, a saved machine that is gone, a saved state that has run on.</summary>
    public static bool IsIrreversible(Plan plan, PlanStep step) =>
        step.OnHost is DeleteDisk or DiscardMachine or EndMachine or PowerDownMachine or DeleteImageFile or SaveMachine || step.InPortal is ForgetVm or ForgetDisk or ForgetImage
        || (step.OnHost is RunMachine && plan.Steps.Any(s => s.OnHost is LaunchMachine { Spec.RestoreFrom: not null }));

    private async Task<StepDone> OnHostAsync(HostStep step, Action<long, long> progress, JobLogger log, CancellationToken ct)
    {
        StepDone? done = null;
        await foreach (var report in host.ApplyAsync(step, ct).WithCancellation(ct))
        {
            switch (report)
            {
                case StepProgress p:
                    progress(p.BytesDone, p.BytesTotal);
                    break;
                case StepLog line:
                    log(HostSentences.Read(line.Text), line.Warning);
                    break;
                case StepDone d:
                    done = d;
                    break;
            }
        }

        return done ?? throw new HostException(HostError.Timeout, "The host ended the step without saying that it is done.");
    }

    /// <summary>The portal is no longer doing anything to the job's VM.</summary>
    public void Leave(Job job)
    {
        if (job.TargetType == TargetType.Vm)
            tracker.SetActivity(new Data.VmId(job.TargetId), VmActivity.None);
    }
}
