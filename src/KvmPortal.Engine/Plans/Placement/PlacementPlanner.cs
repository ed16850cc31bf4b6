using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>
/// Decides where every thread, page and device of a machine goes. A pure function of what the host is, what others hold and what is asked; equal inputs give equal plans.
/// </summary>
public static class PlacementPlanner
{
    /// <summary>Older inventories are not planned with.</summary>
    public static readonly TimeSpan StaleAfter = TimeSpan.FromSeconds(60);

    private const int MostVcpus = 4096;
    private const int MostThreads = 256;

    /// <summary>As the other overload, for callers that plan once.</summary>
    public static PlacementOutcome Plan(HostInventory inventory, Ledger ledger, PlacementPolicy policy, PlacementRequest request, HostCondition condition) =>
        Plan(HostTopology.From(inventory), ledger, policy, request, condition);

    /// <summary>A plan, or a refusal with what would help. Throws <see cref="ArgumentException"/> for a request without sense, e.g. no vCPU.</summary>
    public static PlacementOutcome Plan(HostTopology topology, Ledger ledger, PlacementPolicy policy, PlacementRequest request, HostCondition condition)
    {
        Validate(request);
        var standing = new Standing(topology, ledger, policy, condition, request.Vm);
        var attempt = Attempt.Make(standing, request);
        if (attempt.Problem is { } problem)
            return new Remedies(standing, request, problem).Refuse();
        var plan = attempt.Plan();
        return plan.Alternatives.Count < 3 && OtherThreads(standing, request, plan) is { } other ? plan with { Alternatives = [.. plan.Alternatives, other] } : plan;
    }

    private static PlacementAlternative? OtherThreads(Standing standing, PlacementRequest request, PlacementPlan plan)
    {
        if (plan.Profile.Pool == CpuPool.Shared || standing.Topology.Cores.All(c => c.Threads.Count == 1))
            return null;
        var paired = plan.Topology.Threads > 1 || plan.Vcpus.Count > plan.Dedicated.Count - plan.Idle.Count;
        var other = request with { Knobs = request.Knobs with { Threads = paired || plan.Profile.Threads == SmtUse.Pair ? SmtUse.Isolate : SmtUse.Pair } };
        var attempt = Attempt.Make(standing, other);
        return attempt.Problem is not null ? null
            : new PlacementAlternative(other.Knobs.Threads == SmtUse.Pair ? Say.AlternativePair : Say.AlternativeIsolate, other, attempt.Plan().Score);
    }

    private static void Validate(PlacementRequest request)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(request.Vcpus, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(request.Vcpus, MostVcpus);
        ArgumentOutOfRangeException.ThrowIfLessThan(request.MemoryMiB, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(request.MemoryMiB, 1L << 40);
        ArgumentOutOfRangeException.ThrowIfLessThan(request.VirtualNodes ?? 1, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(request.VirtualNodes ?? 1, MostThreads);
        ArgumentOutOfRangeException.ThrowIfNegative(request.FastDisks);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(request.FastDisks, MostThreads);
        ArgumentOutOfRangeException.ThrowIfNegative(request.IoThreads ?? 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(request.IoThreads ?? 0, MostThreads);
        if (request.Devices.Count > MostThreads || request.Devices.Any(d => d.Count is < 1 or > MostThreads || string.IsNullOrEmpty(d.ToString())))
            throw new ArgumentException("A device need names a device and a number of them.", nameof(request));
        if (request.Profile.Pages.Count == 0)
            throw new ArgumentException("A profile names at least one kind of pages.", nameof(request));
    }
}
