using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Consoles;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Vms;

/// <summary>A ticket for the page's console, or why there is none. <paramref name="Run"/> tells one run of the machine from another.</summary>
public sealed record TicketAnswer(string? Ticket, string? Error, bool Off, int? Run);

/// <summary>One machine: its view, its jobs and its events, kept up to date by the live feed.</summary>
public sealed class VmModel(VmOperations vms, JobOperations jobs, PortalEvents events, LiveFeed feed, ConsoleOperations consoles)
{
    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    public VmView? Vm { get; private set; }
    public IReadOnlyList<JobView> Jobs { get; private set; } = [];
    public IReadOnlyList<PortalEvent> Events { get; private set; } = [];
    public ProblemInfo? Problem { get; private set; }
    /// <summary>The machine was deleted while the page was open.</summary>
    public bool Gone { get; private set; }

    /// <summary>A job of this machine is queued or running.</summary>
    public JobView? ActiveJob => Jobs.FirstOrDefault(j => j.State is JobState.Running) ?? Jobs.FirstOrDefault(j => j.State is JobState.Queued);

    /// <summary>Reads the machine of an id or a name and follows it until cancelled.</summary>
    public async Task FollowAsync(Caller caller, string key, CancellationToken ct)
    {
        (Vm, Problem, Gone, Jobs, Events) = (null, null, false, [], []);
        var changes = feed.WatchAsync(ct);
        try
        {
            var id = await vms.ResolveAsync(caller, key, ct);
            await ReadAsync(caller, id, ct);
            await foreach (var change in changes.WithCancellation(ct))
            {
                switch (change)
                {
                    case VmRemoved removed when removed.Id == id:
                        Gone = true;
                        Changed?.Invoke();
                        return;
                    case JobChanged { Job: var job } when job.Target.Id == id.Value && job.State == JobState.Running && Jobs.Any(j => j.Id == job.Id):
                        Jobs = [.. Jobs.Select(j => j.Id == job.Id ? job : j)];
                        Changed?.Invoke();
                        break;
                    case VmChanged { Vm: var vm } when vm.Id == id:
                    case JobChanged { Job.Target.Id: var target } when target == id.Value:
                    case Resync:
                        await ReadAsync(caller, id, ct);
                        break;
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }
        catch (PortalException e)
        {
            // A page that had a machine and finds none has seen it deleted.
            (Gone, Problem) = (Vm is not null && e.Code == ErrorCode.NotFound, Failures.From(e));
            Changed?.Invoke();
        }
    }

    /// <summary>The action that the state asks for: the one button beside the name. Null while something is under way.</summary>
    public static VmAction? Primary(VmState state) => state switch
    {
        VmState.Stopped or VmState.Suspended or VmState.Crashed => VmAction.Start,
        VmState.Running => VmAction.Shutdown,
        VmState.Paused => VmAction.Resume,
        VmState.Unknown => VmAction.Stop,
        VmState.Starting or VmState.Stopping or VmState.Migrating => null,
    };

    /// <summary>The other actions that make sense in a state.</summary>
    public static IReadOnlyList<VmAction> Others(VmState state) => state switch
    {
        VmState.Running => [VmAction.Pause, VmAction.Suspend, VmAction.Reset, VmAction.Stop],
        VmState.Paused => [VmAction.Suspend, VmAction.Reset, VmAction.Stop],
        VmState.Crashed => [VmAction.Reset, VmAction.Stop],
        VmState.Starting or VmState.Stopping => [VmAction.Stop],
        VmState.Stopped or VmState.Suspended or VmState.Migrating or VmState.Unknown => [],
    };

    /// <summary>Loses what the guest has not written to disk: asked about in red.</summary>
    public static bool Destructive(VmAction action) => action is VmAction.Stop or VmAction.Reset;

    /// <summary>Opens the door to a console for this page.</summary>
    public async Task<TicketAnswer> TicketAsync(Caller caller, ConsoleKind kind, bool viewOnly, CancellationToken ct)
    {
        if (Vm is not { } vm)
            return new TicketAnswer(null, null, true, null);
        try
        {
            return new TicketAnswer((await consoles.IssueAsync(caller, vm.Id, kind, viewOnly, ct)).Ticket, null, false, vm.Status.Pid);
        }
        catch (PortalException e)
        {
            return new TicketAnswer(null, e.Message, vm.Status.State is VmState.Stopped or VmState.Suspended or VmState.Crashed or VmState.Starting, null);
        }
    }

    private async Task ReadAsync(Caller caller, VmId id, CancellationToken ct)
    {
        Vm = await vms.GetAsync(caller, id, ct);
        Jobs = (await jobs.ListAsync(caller, new ListQuery(50, Filter: $"target = \"{id}\""), ct)).Items;
        Events = (await events.ListAsync(caller, new ListQuery(200), id.Value, ct)).Items;
        Changed?.Invoke();
    }
}
