using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What has to be done to the host for a plan, in order: pools, interrupts, the partition, devices, power.</summary>
internal static class HostChores
{
    /// <summary>The kernel can keep everybody else off dedicated CPUs.</summary>
    public static bool CanIsolate(Standing standing) =>
        standing.Topology.Inventory.Kernel is { CgroupVersion: "v2" } kernel && kernel.CgroupControllers.Contains("cpuset") && standing.Condition.PartitionProblem is null;

    /// <summary>Interrupts that would land on dedicated CPUs, and where they go: to where they may be already, else to the host's own CPUs.</summary>
    public static IReadOnlyList<InterruptMove> Interrupts(Standing standing, CpuSet dedicated)
    {
        var (moves, away) = (new List<InterruptMove>(), standing.Dedicated | dedicated);
        foreach (var line in standing.Topology.Inventory.Irqs)
        {
            var on = line.Effective.IsEmpty ? line.Affinity : line.Effective;
            if (!on.Overlaps(dedicated))
                continue;
            var to = (line.Affinity & standing.Topology.Online) - away;
            moves.Add(new InterruptMove(line.Number, line.Name, line.Affinity, to.IsEmpty ? standing.HousekeepingOf(standing.Topology.CpuNodes.Where(n => n.Cpus.Overlaps(on))) : to, line.Managed));
        }

        return moves;
    }

    public static IReadOnlyList<HostAction> Actions(Standing standing, Profile profile, CpuSet dedicated, IReadOnlyList<MemoryBackend> memory, IReadOnlyList<DevicePick> devices,
        IReadOnlyList<InterruptMove> interrupts)
    {
        var actions = new List<HostAction>();
        foreach (var part in memory.Where(m => m.GrowPages > 0))
            actions.Add(new HostAction(HostActionKind.GrowPool, Text($"node{part.HostNode}/{part.HugePageKiB}kB"), Text($"+{part.GrowPages}"), Say.ActionGrowPool(part.HostNode!.Value, part.GrowPages, part.HugePageKiB!.Value)));
        foreach (var line in interrupts.Where(i => i.Managed != true))
            actions.Add(new HostAction(HostActionKind.MoveInterrupt, Text($"irq {line.Number}"), line.To.ToString(), Say.ActionMoveInterrupt(line.Number, line.Name, line.To.ToString())));
        if (!dedicated.IsEmpty && CanIsolate(standing))
            actions.Add(new HostAction(HostActionKind.Partition, $"cpu {dedicated}", "isolated", Say.ActionPartition(dedicated.ToString())));
        foreach (var device in devices.SelectMany(d => d.Candidate.Companions.Prepend(d.Candidate.Address)).Distinct())
            actions.Add(new HostAction(HostActionKind.BindDevice, device, "vfio-pci", Say.ActionBindDevice(device)));
        if (!dedicated.IsEmpty && profile.WakeUpMicroseconds is { } wake)
            actions.Add(new HostAction(HostActionKind.WakeUpLimit, $"cpu {dedicated}", Text($"{wake}"), Say.ActionWakeUp(dedicated.ToString(), wake)));
        if (!dedicated.IsEmpty && profile.PerformanceGovernor && standing.Topology.Inventory.Cpus.Any(c => dedicated.Contains(c.Id) && c.Governor is not null and not "performance"))
            actions.Add(new HostAction(HostActionKind.Governor, $"cpu {dedicated}", "performance", Say.ActionGovernor(dedicated.ToString())));
        return actions;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
