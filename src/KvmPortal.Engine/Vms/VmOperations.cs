using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;

namespace KvmPortal.Engine.Vms;

/// <summary>The verbs on VMs that both doors call. Each checks the caller, decides purely, and returns what happened or throws <see cref="PortalException"/>.</summary>
public sealed class VmOperations
{
    /// <summary>Resolves an id or a name. Throws NotFound.</summary>
    public Task<VmId> ResolveAsync(Caller caller, string idOrName, CancellationToken ct) => throw new NotImplementedException();
    public Task<ListPage<VmSummary>> ListAsync(Caller caller, ListQuery query, CancellationToken ct) => throw new NotImplementedException();
    public Task<VmView> GetAsync(Caller caller, VmId id, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Stores the VM and queues the job that makes its disks (and starts it). Throws Invalid with every problem, NameTaken.</summary>
    public Task<VmWithJob> CreateAsync(Caller caller, VmDefinition definition, bool start, CancellationToken ct) => throw new NotImplementedException();
    public Task<Plan> PlanCreateAsync(Caller caller, VmDefinition definition, bool start, CancellationToken ct) => throw new NotImplementedException();
    /// <param name="expectedVersion">From `If-Match`; null for `*`. Throws Stale.</param>
    public Task<VmWithJob> ReplaceAsync(Caller caller, VmId id, VmDefinition definition, int? expectedVersion, CancellationToken ct) => throw new NotImplementedException();
    public Task<Plan> PlanReplaceAsync(Caller caller, VmId id, VmDefinition definition, int? expectedVersion, CancellationToken ct) => throw new NotImplementedException();
    public Task<JobView> DeleteAsync(Caller caller, VmId id, int? expectedVersion, CancellationToken ct) => throw new NotImplementedException();
    public Task<Plan> PlanDeleteAsync(Caller caller, VmId id, int? expectedVersion, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Queues the action. Already so and nothing queued: a job that has succeeded with no steps. Impossible: Conflict.</summary>
    public Task<JobView> ActAsync(Caller caller, VmId id, VmAction action, VmActionOptions options, CancellationToken ct) => throw new NotImplementedException();
    public Task<Plan> PlanActionAsync(Caller caller, VmId id, VmAction action, VmActionOptions options, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>The command line of the running machine, or of a start now.</summary>
    public Task<IReadOnlyList<string>> ArgvAsync(Caller caller, VmId id, CancellationToken ct) => throw new NotImplementedException();
}
