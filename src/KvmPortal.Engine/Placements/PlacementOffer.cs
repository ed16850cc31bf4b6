using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Placements;

/// <summary>Takes up what the planner offers: a changed request becomes a changed definition. Pure.</summary>
public static class PlacementOffer
{
    /// <summary>
    /// The definition that asks for <paramref name="offered"/>. Only what differs from <paramref name="asked"/>, which the definition meant, is changed. Null where no definition can
    /// ask for that, e.g. for another device.
    /// </summary>
    public static VmDefinition? Apply(VmDefinition definition, PlacementRequest asked, PlacementRequest offered)
    {
        if (!offered.Devices.SequenceEqual(asked.Devices) || !offered.CpuFlags.SequenceEqual(asked.CpuFlags) || (offered.RequirePartition, offered.Label) != (asked.RequirePartition, asked.Label))
            return null;
        var (threads, pages) = (offered.Knobs.Threads != asked.Knobs.Threads, offered.Knobs.Pages != asked.Knobs.Pages);
        var cpu = definition.Cpu.Max is null ? definition.Cpu with { Count = offered.Vcpus } : definition.Cpu with { Count = Math.Min(definition.Cpu.Count, offered.Vcpus), Max = offered.Vcpus };
        // What the definition said in other words would go on to contradict.
        if (threads || cpu.Threads.Value is { } each && (cpu.Max ?? cpu.Count) % each != 0)
            cpu = cpu with { Threads = default(AutoOrInt) };
        var changed = definition with
        {
            Profile = offered.Profile.Name,
            Cpu = cpu,
            Memory = definition.Memory with { SizeMiB = (int)Math.Min(int.MaxValue, offered.MemoryMiB), Pages = pages ? PagesChoice.Auto : definition.Memory.Pages },
            Placement = definition.Placement with
            {
                Knobs = offered.Knobs with
                {
                    Threads = threads ? offered.Knobs.Threads : definition.Placement.Knobs.Threads,
                    Pages = pages ? offered.Knobs.Pages : definition.Placement.Knobs.Pages,
                },
                VirtualNodes = offered.VirtualNodes,
                OnNodes = offered.OnNodes,
                IoThreads = offered.IoThreads,
                Allow = offered.Allow,
            },
        };
        return Problems(changed).Count == 0 ? changed : null;
    }

    /// <summary>What is wrong with a definition's own figures of CPUs, memory and placement: with these nothing can be planned.</summary>
    public static IReadOnlyList<Problem> Problems(VmDefinition definition) =>
        [.. DefinitionValidator.Validate(definition, new Dictionary<string, Images.Image>()).Where(p => p.Pointer.StartsWith("/cpu/", StringComparison.Ordinal)
            || p.Pointer.StartsWith("/memory/", StringComparison.Ordinal) || p.Pointer.StartsWith("/placement/", StringComparison.Ordinal))];
}
