using KvmPortal.Engine.Access;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts;

/// <summary>The host as its page shows it. There is one; its id is fixed.</summary>
public sealed record HostView(Guid Id, HostFacts Facts, bool Connected, string? ConnectionProblem, int RunningVms, int VmCount);

public sealed class HostOperations
{
    /// <summary>Id of the host that the portal runs on.</summary>
    public static Guid LocalHostId { get; } = new("00000000-0000-7000-8000-000000000001");

    public Task<HostView> GetAsync(Caller caller, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Proves (again) whether KVM can run a guest, as a job.</summary>
    public Task<JobView> ProveAcceleratorAsync(Caller caller, CancellationToken ct) => throw new NotImplementedException();
}
