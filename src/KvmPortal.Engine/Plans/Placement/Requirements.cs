using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What a host must have before any place on it is looked for.</summary>
internal static class Requirements
{
    public static Finding? Check(Standing standing, PlacementRequest request, Profile profile) =>
        Host(standing, request) ?? Kvm(standing, request, profile) ?? Kernel(standing, request, profile) ?? Tenants(standing, request, profile);

    private static Finding? Host(Standing standing, PlacementRequest request)
    {
        var (host, condition) = (standing.Topology.Inventory, standing.Condition);
        if (condition.InventoryAge > PlacementPlanner.StaleAfter)
        {
            var seconds = (int)condition.InventoryAge.TotalSeconds;
            return new Finding(PlacementCode.InventoryStale, Say.RefuseStale(seconds)).With(("seconds", seconds));
        }

        if (request.Label is { } label && !standing.Policy.Labels.Contains(label))
            return new Finding(PlacementCode.LabelMismatch, Say.RefuseLabel(label)).With(("label", label), ("labels", string.Join(", ", standing.Policy.Labels)));
        if (request.Architecture is { } guest && guest != host.Cpu.Architecture && !request.Allow.Emulation)
            return new Finding(PlacementCode.ArchUnsupported, Say.RefuseArchitecture(guest, host.Cpu.Architecture)).With(("guest", guest), ("host", host.Cpu.Architecture));
        var missing = request.CpuFlags.Except(host.Cpu.Flags).Order(StringComparer.Ordinal).ToList();
        if (missing.Count == 0)
            return null;
        var flags = string.Join(" ", missing);
        return new Finding(PlacementCode.CpuModelMismatch, Say.RefuseCpuFlags(flags)).With(("missing", flags));
    }

    private static Finding? Kvm(Standing standing, PlacementRequest request, Profile profile)
    {
        var (kvm, evidence) = (standing.Condition.Kvm, standing.Condition.KvmEvidence);
        if (profile.Pool == CpuPool.Shared || kvm is KvmVerdict.Works or KvmVerdict.Unproven)
            return null;
        if (request.Allow.Emulation)
            return standing.Policy.EmulationAllowed ? null : new Finding(PlacementCode.TcgNotAllowed, Say.RefuseTcg).With(("kvm", kvm));
        return kvm == KvmVerdict.Broken
            ? new Finding(PlacementCode.KvmSmokeFailed, Say.RefuseKvmSmoke(HostSentences.Read(evidence))).With(("evidence", evidence))
            : new Finding(PlacementCode.KvmUnavailable, Say.RefuseKvm(HostSentences.Read(evidence))).With(("evidence", evidence));
    }

    private static Finding? Kernel(Standing standing, PlacementRequest request, Profile profile)
    {
        var (kernel, condition) = (standing.Topology.Inventory.Kernel, standing.Condition);
        if (profile.Realtime && !kernel.Realtime)
            return new Finding(PlacementCode.RtKernelRequired, Say.RefuseRealtime).With(("kernel", kernel.Version));
        if (request.RequirePartition && profile.Pool == CpuPool.Dedicated && !HostChores.CanIsolate(standing))
        {
            return condition.PartitionProblem is { } problem && kernel.CgroupVersion == "v2"
                ? new Finding(PlacementCode.PartitionInvalid, Say.RefusePartition(problem)).With(("kernel", problem))
                : new Finding(PlacementCode.CgroupV2Required, Say.RefuseCgroup(kernel.CgroupVersion)).With(("cgroup", kernel.CgroupVersion));
        }

        // A passed-through device may write to all of the memory, so all of it is locked.
        var locked = profile.LockMemory || request.Devices.Count > 0;
        return locked && condition.LockLimitMiB is { } limit && limit < request.MemoryMiB
            ? new Finding(PlacementCode.MemlockLimit, Say.RefuseLock(request.MemoryMiB, limit)).With(("need", request.MemoryMiB), ("limit", limit)) : null;
    }

    private static Finding? Tenants(Standing standing, PlacementRequest request, Profile profile)
    {
        if (profile.Pool == CpuPool.Dedicated || !standing.Policy.StrictTenants || standing.Condition.CoreScheduling || standing.OtherTenants.All(t => t == request.Tenant)
            || !Hygiene.SharesThreads(standing, standing.SharedOrHousekeeping))
            return null;
        return new Finding(PlacementCode.TenantSmtConflict, Say.RefuseTenants).With(("tenant", request.Tenant), ("others", string.Join(", ", standing.OtherTenants.Where(t => t != request.Tenant))));
    }
}
