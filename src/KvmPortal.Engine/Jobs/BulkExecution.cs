using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;

namespace KvmPortal.Engine.Jobs;

/// <summary>
/// Runs a job over many VMs: one child job for each, queued behind whatever else its VM has to do, never more than the limit at once. A child's row is added in
/// the checkpoint that marks its step as running, so after a crash every VM has been asked once or not at all.
/// <code>
///  running: child ► child ► … ► all ended ► succeeded | failed (says how many)
///     │ a child failed and the policy is to stop └► asks for no more, waits for those that run ► failed
///     └ cancel ► cancels the children that have not ended ► cancelled; what has ended stays as it is
/// </code>
/// </summary>
internal sealed class BulkExecution(Job job, JobStore jobs, JobAnnouncer announcer, Action<Job> begin, Action<JobId> cancelChild)
{
    private readonly BulkVmsIntent intent = (BulkVmsIntent)job.Intent;
    private readonly List<JobLogLine> unsavedLog = [];
    private readonly Dictionary<Task, (int Step, JobId Child)> active = [];
    private int logNumber;

    public async Task RunAsync(int lastLogNumber, TimeProvider time, CancellationToken cancel, CancellationToken stopping)
    {
        logNumber = lastLogNumber;
        job.Planned = true;
        var asked = await jobs.ChildrenAsync(job.Id, stopping);
        for (var i = 0; i < job.Plan.Steps.Count && !cancel.IsCancellationRequested; i++)
        {
            if (job.Plan.Steps[i] is not { InPortal: RunChild child, State: StepState.Pending or StepState.Running })
                continue;
            while (active.Count >= intent.Parallel)
                await OneEndsAsync(time, cancel, stopping);
            if (cancel.IsCancellationRequested || (intent.StopOnError && Failures > 0))
                break;
            if (asked.TryGetValue(child.VmId.Value, out var known))
                active.Add(announcer.WhenEnded(known), (i, known));
            else
                await AskAsync(i, child, stopping);
        }

        while (active.Count > 0)
            await OneEndsAsync(time, cancel, stopping);
        await EndAsync(time, cancel.IsCancellationRequested, stopping);
    }

    private int Failures => job.Plan.Steps.Count(s => s.State == StepState.Failed);

    private async Task AskAsync(int step, RunChild child, CancellationToken ct)
    {
        Mark(step, StepState.Running);
        Job? made = null;
        var caller = new Caller(null, job.CreatedBy, Door.System, job.RequestId);
        await CheckpointAsync(async db =>
        {
            made = await jobs.AddAsync(db, caller, $"{PortalJson.Text(intent.Action)}-vm", new JobTarget(TargetType.Vm, child.VmId.Value, child.Name),
                new VmActionIntent(child.VmId, intent.Action, intent.DeadlineSeconds, intent.Force), Plan.Nothing, JobState.Queued, ct);
            made.ParentId = job.Id;
        }, ct);
        active.Add(announcer.WhenEnded(made!.Id), (step, made.Id));
        begin(made);
    }

    private async Task OneEndsAsync(TimeProvider time, CancellationToken cancel, CancellationToken stopping)
    {
        // A child that had ended before it was waited for is seen in its row.
        foreach (var (task, (step, id)) in active.ToList())
            if (await jobs.FindAsync(id, stopping) is not { State: JobState.Queued or JobState.Running } row)
            {
                announcer.Forget(id);
                active.Remove(task);
                await NoteAsync(step, await jobs.FindAsync(id, stopping), time, stopping);
                return;
            }
            else if (cancel.IsCancellationRequested && !row.CancelRequested)
                cancelChild(id);

        var cancelled = Task.Delay(Timeout.Infinite, cancel);
        await Task.WhenAny(cancel.IsCancellationRequested ? active.Keys : active.Keys.Append(cancelled)).WaitAsync(stopping);
    }

    private async Task NoteAsync(int step, Job? child, TimeProvider time, CancellationToken ct)
    {
        var (state, why) = child switch
        {
            { State: JobState.Succeeded, Plan.Steps.Count: 0 } => (StepState.Skipped, null),
            { State: JobState.Succeeded } => (StepState.Done, null),
            { State: JobState.Cancelled } => (StepState.Undone, null),
            _ => (StepState.Failed, child?.Error?.Detail ?? child?.Error?.Title),
        };
        Mark(step, state);
        if (state == StepState.Failed)
            unsavedLog.Add(new JobLogLine { JobId = job.Id, Number = ++logNumber, At = time.GetUtcNow(), Text = Say.ChildFailed(job.Plan.Steps[step].Summary, why ?? Say.ChildGone), Warning = true });
        await CheckpointAsync(_ => Task.CompletedTask, ct);
    }

    private async Task EndAsync(TimeProvider time, bool cancelled, CancellationToken ct)
    {
        var (failed, never) = (Failures, job.Plan.Steps.Count(s => s.State == StepState.Pending));
        job.EndedAt = time.GetUtcNow();
        job.State = cancelled ? JobState.Cancelled : failed > 0 ? JobState.Failed : JobState.Succeeded;
        if (job.State == JobState.Failed)
            job.Error = Problems.From(new PortalException(ErrorCode.Conflict, Say.BulkFailed($"{failed}", $"{job.Plan.Steps.Count}")) { Hint = never > 0 ? Say.BulkStopped($"{never}") : Say.BulkLook });
        await jobs.CheckpointAsync(job, unsavedLog, _ => Task.CompletedTask, ct);
        await announcer.EndedAsync(job, ct);
    }

    private void Mark(int index, StepState state)
    {
        var list = job.Plan.Steps.ToArray();
        list[index] = list[index] with { State = state };
        job.Plan = job.Plan with { Steps = list };
    }

    private async Task CheckpointAsync(Func<PortalDb, Task> effects, CancellationToken ct)
    {
        await jobs.CheckpointAsync(job, unsavedLog, effects, ct);
        unsavedLog.Clear();
        announcer.Changed(job);
    }
}
