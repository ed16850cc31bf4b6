using System.Globalization;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>From the planner's decision to what the host is told. Pure.</summary>
internal static class PlacementSpec
{
    /// <param name="mapping">Whether this QEMU lets several I/O threads serve one disk.</param>
    public static MachinePlacement Of(PlacementPlan plan, VmDefinition definition, bool mapping)
    {
        // The planner counts fast disks in their order; where it has fewer threads than disks they share.
        var fast = FastDisks(definition);
        var names = fast.SelectMany(d => IoThreadsOf(d, definition, plan, mapping) is > 1 and var many ? Enumerable.Range(0, many).Select(i => $"{d.Name}-io{i}") : [$"{d.Name}-io"]).ToList();
        var threads = plan.IoThreads.Count == 0 ? [] : names.Select((name, i) => (Name: name, plan.IoThreads[i % plan.IoThreads.Count].Cpus)).ToList();
        return new MachinePlacement
        {
            Vcpus = [.. plan.Vcpus.Select(v => v.Cpus)],
            Emulator = plan.Emulator,
            IoThreads = threads.ToDictionary(t => t.Name, t => t.Cpus),
            Vhost = plan.Vhost,
            Dedicated = plan.Dedicated,
            CoreScheduling = definition.Placement.CoreScheduling,
            Realtime = plan.Profile.Realtime,
            // Machine types without dies take them as sockets.
            Sockets = plan.Topology.Sockets * plan.Topology.Dies,
            CoresPerSocket = plan.Topology.Cores,
            ThreadsPerCore = plan.Topology.Threads,
            Nodes = [.. plan.GuestNodes.Select(n => new GuestMemoryNode(n.Vcpus, (int)n.Memory.SizeMiB, n.Memory.HostNode,
                n.Memory.HostNode is null ? MemoryPolicy.Default : n.Memory.Binding == MemoryBinding.Bind ? MemoryPolicy.Bind : MemoryPolicy.Preferred,
                n.Memory.HugePageKiB, n.Memory.Prealloc ? n.Memory.PreallocThreads : 0, plan.GuestNodes.Count > 1 ? n.Distances : []))],
            Locked = plan.GuestNodes.Any(n => n.Memory.Locked),
            CpuPowerManagement = plan.Profile.CpuPowerManagement,
            Repair = definition.Placement.Repair,
        };
    }

    /// <summary>How many I/O threads serve a disk: what the plan has is dealt out to the fast ones in their order.</summary>
    public static int IoThreadsOf(DiskDefinition disk, VmDefinition definition, PlacementPlan? plan, bool mapping)
    {
        var fast = FastDisks(definition);
        var at = fast.IndexOf(disk);
        return plan is null || !mapping || at < 0 ? 1 : Math.Max(1, (plan.IoThreads.Count / fast.Count) + (at < plan.IoThreads.Count % fast.Count ? 1 : 0));
    }

    private static List<DiskDefinition> FastDisks(VmDefinition definition) => [.. definition.Disks.Where(d => d is { Cdrom: false, Bus: DiskBusChoice.VirtioBlk })];

    /// <summary>The choices in a line each; all of it stands in the placement itself.</summary>
    public static IEnumerable<PlanReason> Reasons(PlacementPlan? plan) =>
        plan is null ? [] : plan.Reasons.Where(r => r.Because.Count > 0).Take(12).Select(r => new PlanReason("placement", string.Create(CultureInfo.InvariantCulture, $"{r.Subject}: {r.Choice}"), r.Because[0]));
}
