using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What might help against a refusal, nearest first: a changed request, or something to do to the host.</summary>
internal sealed class RemedyIdeas(Standing standing, PlacementRequest request, Finding problem)
{
    private const int MostOthers = 8;

    private readonly Sizes sizes = new(standing);

    public IEnumerable<(Sentence Advice, PlacementRequest? Request)> All() => problem.Code switch
    {
        PlacementCode.NotEnoughFreeCores or PlacementCode.CoresFragmentedAcrossNodes or PlacementCode.HybridCoresMixed => [.. Cores(), .. Split(), .. Release()],
        PlacementCode.SharedPoolFloor => [.. Cores(), .. Release(), (Say.FixPolicy, null)],
        PlacementCode.HugepagesShort => [.. LessMemory(), .. Nodes(), .. Pages(), (Say.FixBoot(problem.Evidence["bootParameter"]), null)],
        PlacementCode.HugepageSizeUnsupported => [.. Rounded(), .. Pages()],
        PlacementCode.NodeMemoryShort => [.. LessMemory(), .. Nodes(), .. Release()],
        PlacementCode.MemOvercommitDenied => [.. LessMemory(), .. Release(), (Say.FixPolicy, null)],
        PlacementCode.DeviceRemote => [.. OtherDevice(), .. NearDevice(), Profile(Profiles.Hpc), (Say.FixRemoteDevice, request with { Allow = request.Allow with { RemoteDevice = true } })],
        PlacementCode.DevicesSplitNodes => [.. OtherDevice(), Spanning(), (Say.FixRemoteDevice, request with { Allow = request.Allow with { RemoteDevice = true } })],
        PlacementCode.DeviceNodeUnknown or PlacementCode.DeviceNotFound => [.. OtherDevice(), .. NoDevice()],
        PlacementCode.DeviceInUse => [.. OtherDevice(), (Say.FixFreeDevice(problem.Evidence["device"]), null), .. NoDevice()],
        PlacementCode.IommuOff => [(Say.FixIommu(DeviceFacts.BootHint(standing.Topology.Inventory)), null), .. NoDevice()],
        PlacementCode.IommuGroupShared => [.. OtherDevice(), (Say.FixSlot, null), .. NoDevice()],
        PlacementCode.NoSafeReset or PlacementCode.SriovUnsupported => [.. OtherDevice(), .. NoDevice()],
        PlacementCode.SriovVfsExhausted => [.. OtherDevice(), (Say.FixMoreFunctions(problem.Evidence["device"], problem.Evidence["total"]), null), .. NoDevice()],
        PlacementCode.MemlockLimit => [(Say.FixLockLimit(request.MemoryMiB), null), .. LessMemory(), .. Unlocked()],
        PlacementCode.CgroupV2Required or PlacementCode.PartitionInvalid => [(Say.FixSoft, request with { RequirePartition = false }), (Say.FixCgroup, null)],
        PlacementCode.RtKernelRequired => [(Say.FixNoRealtime, request with { Knobs = request.Knobs with { Realtime = false } }), (Say.FixRealtimeKernel, null)],
        PlacementCode.CpuModelMismatch => [(Say.FixCpuFlags, request with { CpuFlags = [.. request.CpuFlags.Intersect(standing.Topology.Inventory.Cpu.Flags)] }), (Say.FixOtherHost, null)],
        PlacementCode.TenantSmtConflict => [Profile(Profiles.Hpc), (Say.FixCoreScheduling, null)],
        PlacementCode.KvmUnavailable or PlacementCode.KvmSmokeFailed => [Emulated(), Profile(Profiles.General), (Say.FixKvm, null)],
        PlacementCode.TcgNotAllowed => [Profile(Profiles.General), (Say.FixPolicy, null)],
        PlacementCode.ArchUnsupported => [Emulated(), (Say.FixOtherHost, null)],
        PlacementCode.InventoryStale => [(Say.FixStale, null)],
        PlacementCode.LabelMismatch => [(Say.FixOtherHost, null)],
    };

    private IEnumerable<(Sentence, PlacementRequest?)> Cores()
    {
        if (request.VirtualNodes is not null || request.OnNodes.Count > 0)
            yield return (Say.FixAnyNodes, request with { VirtualNodes = null, OnNodes = [] });
        if (sizes.MostVcpus(request, request.Vcpus - 1) is { } fewer)
            yield return (Say.FixFewerVcpus(fewer.Vcpus), fewer);
        if (request.Profile.Pool == CpuPool.Dedicated && request.Knobs.On(request.Profile).Threads == SmtUse.Isolate && standing.Topology.Cores.Any(c => c.Threads.Count > 1))
            yield return (Say.FixPair, request with { Knobs = request.Knobs with { Threads = SmtUse.Pair } });
    }

    private IEnumerable<(Sentence, PlacementRequest?)> Split()
    {
        if (request.Profile.Nodes != NodeRule.ExactlyOne || standing.Topology.CpuNodes.Count < 2)
            yield break;
        yield return Profile(Profiles.Hpc);
        if (!request.Allow.SplitNodes)
            yield return (Say.FixSplitNodes, request with { Allow = request.Allow with { SplitNodes = true } });
    }

    private IEnumerable<(Sentence, PlacementRequest?)> Release()
    {
        var holders = standing.Others.OrderByDescending(r => r.Cpus.Count).ThenBy(r => r.Vm, StringComparer.Ordinal).Take(3).Select(r => r.Vm).ToList();
        if (holders.Count > 0)
            yield return (Say.FixRelease(string.Join(", ", holders)), null);
    }

    private IEnumerable<(Sentence, PlacementRequest?)> LessMemory()
    {
        if (sizes.MostMemory(request, request.MemoryMiB - 1) is { } less)
            yield return (Say.FixLessMemory(less.MemoryMiB), less);
    }

    private IEnumerable<(Sentence, PlacementRequest?)> Nodes()
    {
        var next = (request.VirtualNodes ?? Math.Max(1, request.OnNodes.Count)) + 1;
        if (request.Profile.Pool == CpuPool.Dedicated && next <= standing.Topology.CpuNodes.Count && next <= request.Vcpus)
            yield return (Say.FixVirtualNodes(next), request with { VirtualNodes = next, OnNodes = [], Allow = request.Allow with { SplitNodes = true } });
    }

    private IEnumerable<(Sentence, PlacementRequest?)> Pages()
    {
        if (!request.Allow.GrowPool)
            yield return (Say.FixGrowPool, request with { Allow = request.Allow with { GrowPool = true } });
        var wanted = request.Knobs.On(request.Profile).Pages[0];
        if (wanted == PageKind.Huge1G)
            yield return (Say.FixMediumPages, request with { Knobs = request.Knobs with { Pages = PageKind.Huge2M }, Allow = request.Allow with { GrowPool = true } });
        yield return (Say.FixOrdinaryPages, request with { Knobs = request.Knobs with { Pages = PageKind.Transparent } });
    }

    private IEnumerable<(Sentence, PlacementRequest?)> Rounded()
    {
        var unit = request.Knobs.On(request.Profile).Pages[0] == PageKind.Huge1G ? 1024 : 2;
        if (request.MemoryMiB % unit != 0)
            yield return (Say.FixRoundMemory((request.MemoryMiB / unit * unit) + unit), request with { MemoryMiB = (request.MemoryMiB / unit * unit) + unit });
    }

    /// <summary>Another device of the same class instead of one that was named.</summary>
    private IEnumerable<(Sentence, PlacementRequest?)> OtherDevice()
    {
        var inventory = standing.Topology.Inventory;
        var named = request.Devices.Select(n => n.Address ?? n.FunctionOf).ToHashSet();
        for (var at = request.Devices.Count - 1; at >= 0; at--)
        {
            var need = request.Devices[at];
            if (inventory.PciDevices.FirstOrDefault(d => d.Address == (need.Address ?? need.FunctionOf)) is not { } old)
                continue;
            foreach (var other in inventory.PciDevices.Where(d => !named.Contains(d.Address) && d.Class == old.Class && (need.FunctionOf is null || d.Sriov is { Functions.Count: > 0 }))
                .Where(d => (d.PhysicalFunction is null) == (old.PhysicalFunction is null)).OrderBy(d => d.Address, StringComparer.Ordinal).Take(MostOthers))
            {
                var instead = need.Address is not null ? need with { Address = other.Address } : need with { FunctionOf = other.Address };
                var changed = request with { Devices = [.. request.Devices.Take(at), instead, .. request.Devices.Skip(at + 1)] };
                if (!sizes.Fits(changed))
                    continue;
                yield return (Say.FixOtherDevice(other.Address, old.Address), changed);
                yield break;
            }
        }
    }

    private IEnumerable<(Sentence, PlacementRequest?)> NoDevice()
    {
        foreach (var need in request.Devices.Count > 1 ? request.Devices : [])
            if (request with { Devices = [.. request.Devices.Where(d => d != need)] } is var without && sizes.Fits(without))
                yield return (Say.FixWithoutDevice(need.ToString()), without);
        yield return (Say.FixNoDevices, request with { Devices = [] });
    }

    /// <summary>As many vCPUs as its node has room for.</summary>
    private IEnumerable<(Sentence, PlacementRequest?)> NearDevice()
    {
        if (sizes.MostVcpus(request, request.Vcpus - 1) is { } fewer)
            yield return (Say.FixFewerVcpus(fewer.Vcpus), fewer);
    }

    private IEnumerable<(Sentence, PlacementRequest?)> Unlocked()
    {
        if (request.Devices.Count == 0)
            yield return (Say.FixUnlocked, request with { Knobs = request.Knobs with { LockMemory = false } });
    }

    private (Sentence, PlacementRequest?) Spanning()
    {
        var nodes = Math.Max(2, request.Devices.Select(d => d.Address ?? d.FunctionOf).Select(a => standing.Topology.Inventory.PciDevices.FirstOrDefault(d => d.Address == a))
            .OfType<PciDevice>().Select(standing.Topology.NodeOf).OfType<TopologyNode>().Distinct().Count());
        return (Say.FixProfileNodes(Profiles.Hpc.Name, nodes), request with { Profile = Profiles.Hpc, VirtualNodes = nodes });
    }

    private (Sentence, PlacementRequest?) Emulated() => standing.Policy.EmulationAllowed
        ? (Say.FixEmulation, request with { Allow = request.Allow with { Emulation = true } }) : (Say.FixPolicy, null);

    private (Sentence, PlacementRequest?) Profile(Profile profile) =>
        (Say.FixProfile(profile.Name), request with { Profile = profile, Knobs = profile.Pool == CpuPool.Shared ? new ProfileOverrides() : request.Knobs, VirtualNodes = null });
}
