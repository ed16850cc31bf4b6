using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Vms;

/// <summary>One machine's page: its view kept up to date, and what can be asked of it. Every request is planned first.</summary>
public sealed class VmModel(VmOperations vms, JobOperations jobs, LiveFeed feed)
{
    private VmId id;

    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    public VmView? Vm { get; private set; }
    public bool Gone { get; private set; }
    public ProblemInfo? Problem { get; private set; }
    /// <summary>The machine's job that waits or runs.</summary>
    public JobView? Active { get; private set; }
    public IReadOnlyList<JobView> Jobs { get; private set; } = [];

    /// <summary>Reads the machine by id or name and follows it until cancelled.</summary>
    public async Task FollowAsync(Caller caller, string key, CancellationToken ct)
    {
        var changes = feed.WatchAsync(ct);
        try
        {
            id = await vms.ResolveAsync(caller, key, ct);
            await ReadAsync(caller, ct);
            await foreach (var change in changes.WithCancellation(ct))
                if (change switch { VmChanged c => c.Vm.Id == id, VmRemoved c => c.Id == id, JobChanged c => c.Job.Target.Id == id.Value, Resync => true, _ => false })
                    await ReadAsync(caller, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }
        catch (PortalException e)
        {
            Gone = Vm is not null && e.Code == ErrorCode.NotFound;
            Problem = Failures.From(e);
            Changed?.Invoke();
        }
    }

    public Task<Plan> PlanAsync(Caller caller, VmAction action, VmActionOptions options, CancellationToken ct) => vms.PlanActionAsync(caller, id, action, options, ct);

    public async Task ActAsync(Caller caller, VmAction action, VmActionOptions options, CancellationToken ct)
    {
        Problem = null;
        try
        {
            Active = await vms.ActAsync(caller, id, action, options, ct);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }

        Changed?.Invoke();
    }

    public Task<Plan> PlanDeleteAsync(Caller caller, CancellationToken ct) => vms.PlanDeleteAsync(caller, id, null, ct);

    /// <summary>The job that deletes; null when it was refused.</summary>
    public async Task<JobView?> DeleteAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            return Active = await vms.DeleteAsync(caller, id, null, ct);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
            return null;
        }
    }

    public Task<Plan> PlanChangeAsync(Caller caller, VmDefinition definition, int version, CancellationToken ct) => vms.PlanReplaceAsync(caller, id, definition, version, ct);

    public Task<VmWithJob> ChangeAsync(Caller caller, VmDefinition definition, int version, CancellationToken ct) => vms.ReplaceAsync(caller, id, definition, version, ct);

    public Task<IReadOnlyList<string>> ArgvAsync(Caller caller, CancellationToken ct) => vms.ArgvAsync(caller, id, ct);

    private async Task ReadAsync(Caller caller, CancellationToken ct)
    {
        Vm = await vms.GetAsync(caller, id, ct);
        Jobs = (await jobs.ListAsync(caller, new ListQuery(20, Filter: $"target = {id}"), ct)).Items;
        Active = Jobs.LastOrDefault(j => j.State is JobState.Queued or JobState.Running);
        Changed?.Invoke();
    }
}
