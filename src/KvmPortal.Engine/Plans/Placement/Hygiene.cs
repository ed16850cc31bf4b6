using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What on the host works against a plan, or what the plan asks more of than there is. Nothing of it stops the plan.</summary>
internal static class Hygiene
{
    public static IEnumerable<Sentence> Dedicated(Standing standing, PlacementRequest request, Profile profile, Candidate best, IReadOnlyList<InterruptMove> interrupts)
    {
        var (host, cpus) = (standing.Topology.Inventory, best.Cpus);
        var kernel = host.Kernel;
        foreach (var warning in Accelerator(standing))
            yield return warning;
        foreach (var cost in request.Knobs.Costs(request.Profile))
            yield return cost;
        if (!HostChores.CanIsolate(standing))
            yield return standing.Condition.PartitionProblem is { } problem ? Say.WarnSoftInvalid(problem) : Say.WarnSoft(kernel.CgroupVersion);
        if (profile.CpuPowerManagement && !cpus.IsSubsetOf(host.Cpu.NohzFull))
            yield return Say.WarnNohz(cpus.ToString());
        if (kernel.NumaBalancing == true)
            yield return Say.WarnNumaBalancing;
        if (kernel.TransparentHugePageDefrag == "always")
            yield return Say.WarnDefrag;
        if (kernel.Swap.Count > 0 && !profile.LockMemory)
            yield return Say.WarnSwap;
        if (kernel.Ksm == 1)
            yield return Say.WarnKsm;
        if (host.Cpus.Any(c => cpus.Contains(c.Id) && c.Governor is not null and not "performance") && !profile.PerformanceGovernor)
            yield return Say.WarnGovernor;
        if (kernel.ClockSource is { } clock and not "tsc" && host.Cpu.Architecture == "x86_64")
            yield return Say.WarnClock(clock);
        if (kernel.Irqbalance == true)
            yield return Say.WarnIrqbalance(cpus.ToString());
        if (interrupts.Count(i => i.Managed == true) is var managed and > 0)
            yield return Say.WarnManaged(managed);
        if (host.Kvm.Parameters.GetValueOrDefault("kvm.nx_huge_pages") is "Y" or "1" && best.Memory.PageKiB is not null)
            yield return Say.WarnNxHugePages;
        if (best.Kind.Smt == SmtUse.Pair && profile.Threads == SmtUse.Isolate)
            yield return Say.WarnFewFastCores(request.Vcpus, best.Parts.Sum(p => p.VcpuCores));
        if (best.Kind.Smt == SmtUse.Pair && request.Vcpus % best.Kind.ThreadsPerCore != 0)
            yield return Say.WarnOddThreads(request.Vcpus);
        if (best.Parts.Any(p => p.Vcpus != best.Parts[0].Vcpus))
            yield return Say.WarnUneven(request.Vcpus, best.Parts.Count);
        if (best.Memory.GrowPages.Sum() is var grown and > 0)
            yield return best.Memory.Kind == PageKind.Huge1G ? Say.WarnGrowLarge(grown) : Say.WarnGrow(grown);
        if ((cpus & standing.Shared).Count is var taken and > 0 && standing.SharedVcpus > 0)
            yield return Say.WarnSharedShrinks(taken, (standing.Shared - cpus).Count, standing.SharedVcpus);
    }

    public static IEnumerable<Sentence> Shared(Standing standing, PlacementRequest request, Profile profile, IReadOnlyList<TopologyNode> nodes, CpuSet cpus, bool ordinaryPages)
    {
        var (host, pool) = (standing.Topology.Inventory, standing.SharedOrHousekeeping.Count);
        foreach (var warning in Accelerator(standing))
            yield return warning;
        foreach (var cost in request.Knobs.Costs(request.Profile))
            yield return cost;
        if (request.VirtualNodes > 1)
            yield return Say.WarnNoVirtualNodes;
        if (standing.SharedVcpus + request.Vcpus is var vcpus && vcpus > pool)
            yield return Say.WarnCpuOvercommit(vcpus, pool, Ratio(vcpus, pool));
        if (request.Vcpus > cpus.Count)
            yield return Say.WarnWide(request.Vcpus, cpus.Count);
        var (committed, physical) = (nodes.Sum(standing.SharedCommitted) + request.MemoryMiB, nodes.Sum(standing.SharedMemory));
        if (ordinaryPages && committed > physical)
            yield return Say.WarnMemoryOvercommit(committed, physical, Ratio(committed, Math.Max(1, physical)));
        if (ordinaryPages && nodes.All(n => n.Facts.FreeMiB is not null) && nodes.Sum(n => n.Facts.FreeMiB!.Value) is var free && free < request.MemoryMiB)
            yield return Say.WarnMemoryNow(free, request.MemoryMiB);
        if (standing.OtherTenants.Any(t => t != request.Tenant) && SharesThreads(standing, cpus) && !standing.Condition.CoreScheduling)
            yield return Say.WarnTenantThreads;
        if (host.Kernel.Ksm == 1 && profile.MergePages && standing.OtherTenants.Any(t => t != request.Tenant))
            yield return Say.WarnKsm;
    }

    public static IEnumerable<Sentence> Devices(Standing standing, IReadOnlyList<DevicePick> devices)
    {
        foreach (var pick in devices)
        {
            var (device, address) = (pick.Candidate.Device, pick.Candidate.Address);
            if (pick.Candidate.Node is null)
                yield return Say.WarnNodeUnknown(address);
            if (pick.Remote)
                yield return Say.WarnRemote(address, pick.Candidate.Node!.Id);
            if (device.Link is { Width: { } width, MaxWidth: { } most } && width < most)
                yield return Say.WarnLink(address, width, most);
            if (device.BootVga)
                yield return Say.WarnBootVga(address);
        }

        if (devices.Count > 0 && standing.Topology.Inventory.Iommu.InterruptRemapping == false)
            yield return Say.WarnInterruptRemapping;
    }

    /// <summary>Two threads of one core would serve both.</summary>
    public static bool SharesThreads(Standing standing, CpuSet cpus) => standing.Topology.Cores.Any(c => c.Threads.Count > 1 && c.Cpus.Overlaps(cpus));

    private static IEnumerable<Sentence> Accelerator(Standing standing)
    {
        if (standing.Condition.Kvm == KvmVerdict.Unproven)
            yield return Say.WarnKvmUnproven;
        else if (standing.Condition.Kvm != KvmVerdict.Works)
            yield return Say.WarnEmulated;
    }

    private static string Ratio(double committed, double physical) => (committed / physical).ToString("0.##", CultureInfo.InvariantCulture);
}
