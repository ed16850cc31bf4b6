using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Jobs;

/// <summary>
/// Runs one claimed job from wherever it stands to its end. The plan in the row is the truth: each step is checkpointed before it runs and after it is
/// done, so after a crash the same code goes on with the first step that is not done, or goes on undoing. A step that changes only the portal's records is
/// part of the checkpoint itself.
/// <code>
///  queued ──claim──► running: plan ► step ► step ► … ► succeeded
///                       │ failure                └► undo done steps, last first ► failed
///                       │ cancel                 └► undo done steps, last first ► cancelled
///                       │ cut in a step that must not be repeated blindly ► interrupted
///                       └ portal stops: the row stays running and is taken over at the next start
/// </code>
/// </summary>
internal sealed class JobExecution(Job job, JobStore jobs, StepRunner steps, JobAnnouncer announcer, TimeProvider time)
{
    private readonly List<JobLogLine> unsavedLog = [];
    // Records that the marks in the plan stand for; they are changed in the transaction that writes the marks.
    private readonly List<(int? Step, Func<PortalDb, Task<Func<Task>>> Change)> owed = [];
    private int logNumber;
    // The step that another process was in when it ended: nobody knows how far it came.
    private int cut = -1;

    /// <summary>The portal is about to stop: the step that runs may end, no other begins.</summary>
    public CancellationToken Pausing { get; init; }

    /// <param name="cancel">The job's own cancellation: undo.</param>
    /// <param name="stopping">The portal stops now: leave everything as it is.</param>
    public async Task RunAsync(int lastLogNumber, CancellationToken cancel, CancellationToken stopping)
    {
        logNumber = lastLogNumber;
        try
        {
            await RunToEndAsync(cancel, stopping);
        }
        finally
        {
            steps.Leave(job);
        }
    }

    private async Task RunToEndAsync(CancellationToken cancel, CancellationToken stopping)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, stopping);
        try
        {
            if (job.Planned)
                await steps.ReadyAsync(stopping);
            cut = job.Plan.Steps.ToList().FindIndex(s => s.State == StepState.Running);
            if (cut >= 0 && job.Plan.Steps[cut].OnHost is { Repeatable: false })
            {
                await InterruptAsync(stopping);
                return;
            }

            if (job.Error is null)
            {
                var undoing = job.Plan.Steps.Any(s => s.State is StepState.Failed or StepState.Undone);
                if (job.CancelRequested && (!job.Planned || undoing))
                    throw new OperationCanceledException(cancel);
                if (!job.Planned)
                    await PlanAsync(either.Token);
                await RunStepsAsync(either.Token, stopping);
                await steps.VerifyAsync(job, Log, stopping);
                steps.Leave(job);
                await EndAsync(JobState.Succeeded, stopping);
                return;
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested || (Pausing.IsCancellationRequested && !cancel.IsCancellationRequested))
        {
            throw;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            Log(Say.CancelledUndone, warning: true);
        }
        catch (LeaseLostException)
        {
            throw;
        }
        catch (Exception failure)
        {
            job.Error = Problems.From(failure);
            Log(job.Error.Detail ?? job.Error.Title, warning: true);
            if (owed.Count > 0)
                TakeBackUnsaved();
            GiveUpRunningStep();
            await SaveAsync(stopping);
        }

        GiveUpRunningStep();
        await UndoAsync(stopping);
        steps.Leave(job);
        await EndAsync(job.Error is null ? JobState.Cancelled : JobState.Failed, stopping);
    }

    private async Task PlanAsync(CancellationToken ct)
    {
        var planned = await steps.PlanAsync(job.Intent, Log, ct);
        job.Plan = planned;
        job.Planned = true;
        job.Warnings = [.. planned.Warnings];
    }

    private async Task RunStepsAsync(CancellationToken ct, CancellationToken stopping)
    {
        for (var i = 0; i < job.Plan.Steps.Count; i++)
        {
            if (job.Plan.Steps[i].State is StepState.Done or StepState.Skipped)
                continue;
            if (Pausing.IsCancellationRequested)
            {
                // What is done is kept as done: nothing is cut, and nothing has to be looked at again.
                await SaveAsync(stopping);
                Pausing.ThrowIfCancellationRequested();
            }

            if (Cancellable(i))
                ct.ThrowIfCancellationRequested();
            Log(job.Plan.Steps[i].Summary);
            if (job.Plan.Steps[i].InPortal is { } record)
            {
                Mark(i, StepState.Done);
                owed.Add((i, db => steps.Portal.ApplyAsync(db, record, stopping)));
                continue;
            }

            // One write says both "the steps before are done" and "this one runs".
            Mark(i, StepState.Running);
            (job.BytesDone, job.BytesTotal) = (0, 0);
            await SaveAsync(stopping);
            var done = await steps.ApplyAsync(job, job.Plan.Steps[i].OnHost!, OnProgress, Log, Cancellable(i) ? ct : stopping);
            // What the cut try did is this job's doing, and is undone with the rest when a later step fails.
            Mark(i, done.Changed || i == cut ? StepState.Done : StepState.Skipped);
            if (!done.Changed)
                Log(Say.SoAlready);
            if (done.Image is not null || done.Confinement is not null || done.Setting is not null || done.Loss is not null)
                owed.Add((null, db => PortalSteps.KeepAsync(db, job, done, time.GetUtcNow(), stopping)));
        }

        // What the proof below waits for may depend on them.
        if (owed.Count > 0)
            await SaveAsync(stopping);
    }

    /// <summary>After something irreversible was done, only going on is safe.</summary>
    private bool Cancellable(int index) =>
        !job.Plan.Steps.Take(index + 1).Where((s, i) => (s.State == StepState.Done || i == cut) && StepRunner.IsIrreversible(job.Plan, s)).Any();

    /// <summary>Whether the step happened cannot be found out, and twice is not once: a person has to look.</summary>
    private async Task InterruptAsync(CancellationToken stopping)
    {
        var step = job.Plan.Steps[cut];
        job.Error = new ProblemInfo { Code = "interrupted", Title = Say.TitleInterrupted, Detail = Say.InterruptedIn(step.Summary), Hint = Say.InterruptedHint };
        Log(job.Error.Detail!, warning: true);
        Mark(cut, StepState.Failed);
        steps.Leave(job);
        await EndAsync(JobState.Interrupted, stopping);
    }

    private async Task UndoAsync(CancellationToken stopping)
    {
        for (var i = job.Plan.Steps.Count - 1; i >= 0; i--)
        {
            if (job.Plan.Steps[i].State != StepState.Done)
                continue;
            try
            {
                if (job.Plan.Steps[i].InPortal is { } record)
                    owed.Add((null, db => steps.Portal.UndoAsync(db, record, stopping)));
                else
                    await steps.UndoAsync(job.Plan.Steps[i].OnHost!, Log, stopping);
                Mark(i, StepState.Undone);
            }
            catch (Exception e) when (e is HostException or PortalException)
            {
                // The next undo may still work; what could not be undone is said.
                Log(Say.CouldNotUndo(job.Plan.Steps[i].Summary, WordsOf(e)), warning: true);
                job.Warnings = [.. job.Warnings, Say.NotUndone(job.Plan.Steps[i].Summary, WordsOf(e))];
            }

            await SaveAsync(stopping);
        }
    }

    private async Task EndAsync(JobState state, CancellationToken ct)
    {
        if (state != JobState.Succeeded && job.Intent is RegisterImageIntent register)
            owed.Add((null, db => steps.Portal.ImageFailedAsync(db, register.ImageId, job.Error?.Detail ?? job.Error?.Title ?? Say.WasCancelled, ct)));
        job.EndedAt = time.GetUtcNow();
        var before = job.State;
        job.State = state;
        try
        {
            await CheckpointAsync(ct);
        }
        catch
        {
            job.State = before;
            throw;
        }

        await announcer.EndedAsync(job, ct);
    }

    private async Task SaveAsync(CancellationToken ct)
    {
        await CheckpointAsync(ct);
        announcer.Changed(job);
    }

    private async Task CheckpointAsync(CancellationToken ct)
    {
        List<Func<Task>> tell = [];
        await jobs.CheckpointAsync(job, unsavedLog, async db =>
        {
            // Runs again when there was no room for it.
            tell.Clear();
            foreach (var (_, change) in owed)
            {
                tell.Add(await change(db));
                // The next one may ask the database for what this one has changed.
                await db.SaveChangesAsync(ct);
            }
        }, ct);
        unsavedLog.Clear();
        owed.Clear();
        foreach (var told in tell)
            await told();
    }

    /// <summary>The records could not be changed: their steps did not happen, and neither did the one that was about to run.</summary>
    private void TakeBackUnsaved()
    {
        for (var i = 0; i < job.Plan.Steps.Count; i++)
            if (owed.Any(o => o.Step == i))
                Mark(i, StepState.Failed);
            else if (job.Plan.Steps[i].State == StepState.Running && i != cut)
                Mark(i, StepState.Pending);
        owed.Clear();
    }

    private void Mark(int index, StepState state)
    {
        var list = job.Plan.Steps.ToArray();
        list[index] = list[index] with { State = state };
        job.Plan = job.Plan with { Steps = list };
    }

    /// <summary>A step that fails has undone its own part; what a cut try of it did before is still to be undone.</summary>
    private void GiveUpRunningStep()
    {
        for (var i = 0; i < job.Plan.Steps.Count; i++)
            if (job.Plan.Steps[i].State == StepState.Running)
                Mark(i, i == cut ? StepState.Done : StepState.Failed);
    }

    private void OnProgress(long done, long total)
    {
        (job.BytesDone, job.BytesTotal) = (done, total);
        announcer.Progress(job);
    }

    private static Sentence WordsOf(Exception e) => e is PortalException known ? known.Said : HostSentences.Read(e.Message);

    private void Log(Sentence text, bool warning = false) =>
        unsavedLog.Add(new JobLogLine { JobId = job.Id, Number = ++logNumber, At = time.GetUtcNow(), Text = text.Length > 4000 ? text.Text[..4000] : text, Warning = warning });
}

/// <summary>Adds a line to a job's log.</summary>
internal delegate void JobLogger(Sentence text, bool warning = false);
