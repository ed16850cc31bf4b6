using System.Globalization;
using System.Text.Json.Nodes;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Qemu.Devices;

/// <summary>
/// Guest memory where the placement wants it: one backend per guest node (`ram0` …), bound to its host node. QEMU asks the kernel for that itself (mbind), which its
/// sandbox leaves to it. Ordinary pages are anonymous memory, the only kind that the kernel makes transparent huge pages of by default.
/// </summary>
internal static class PlacedMemoryArguments
{
    private const int MostNodes = 128;

    public static void Add(BuildContext c, MachinePlacement placement)
    {
        Check(c.Spec, placement);
        for (var i = 0; i < placement.Nodes.Count; i++)
            c.Arguments.Json("-object", Backend(i, placement.Nodes[i]));
        c.Arguments.Add("-m", string.Create(CultureInfo.InvariantCulture, $"size={c.Spec.Memory.SizeMiB}M"));
        if (placement.Nodes.Count > 1)
            Topology(c.Arguments, placement);
        List<string> commitment = [];
        if (placement.Locked)
            commitment.Add("mem-lock=on");
        if (placement.CpuPowerManagement && c.Spec.Accelerator == Accelerator.Kvm)
            commitment.Add("cpu-pm=on");
        if (commitment.Count > 0)
            c.Arguments.Add("-overcommit", string.Join(',', commitment));
    }

    private static JsonObject Backend(int number, GuestMemoryNode node)
    {
        var backend = new JsonObject
        {
            ["qom-type"] = node.HugePageKiB is null ? "memory-backend-ram" : "memory-backend-memfd",
            ["id"] = $"ram{number}",
            ["size"] = (long)node.SizeMiB << 20,
            // Never shared with another guest's equal pages: that can be measured from inside.
            ["merge"] = false,
            ["dump"] = false,
        };
        if (node.HugePageKiB is { } page)
        {
            backend["share"] = true;
            backend["hugetlb"] = true;
            backend["hugetlbsize"] = page << 10;
        }

        if (node is { HostNode: { } host, Policy: not MemoryPolicy.Default })
        {
            backend["host-nodes"] = new JsonArray(host);
            backend["policy"] = node.Policy == MemoryPolicy.Bind ? "bind" : "preferred";
        }

        // Huge pages are taken now or refused now: one that is missing later kills the guest.
        if (node.PreallocThreads > 0 || node.HugePageKiB is not null)
        {
            backend["prealloc"] = true;
            backend["prealloc-threads"] = Math.Clamp(node.PreallocThreads, 1, 64);
        }

        return backend;
    }

    private static void Topology(ArgumentList arguments, MachinePlacement placement)
    {
        for (var i = 0; i < placement.Nodes.Count; i++)
        {
            var ranges = placement.Nodes[i].Vcpus.ToString().Split(',', StringSplitOptions.RemoveEmptyEntries).Select(r => $",cpus={r}");
            arguments.Add("-numa", string.Create(CultureInfo.InvariantCulture, $"node,nodeid={i}{string.Concat(ranges)},memdev=ram{i}"));
        }

        for (var from = 0; from < placement.Nodes.Count; from++)
            for (var to = 0; to < placement.Nodes[from].Distances.Count; to++)
                arguments.Add("-numa", string.Create(CultureInfo.InvariantCulture, $"dist,src={from},dst={to},val={placement.Nodes[from].Distances[to]}"));
    }

    /// <summary>What QEMU would misread or refuse late is refused here, in words.</summary>
    private static void Check(MachineSpec spec, MachinePlacement placement)
    {
        var nodes = placement.Nodes;
        if (nodes.Count is < 1 or > MostNodes || nodes.Any(n => n.SizeMiB < 1 || n.HostNode is < 0 or >= CpuSet.MaxCpus || n.HugePageKiB is <= 4 or > 1 << 20))
            throw new HostException(HostError.NotAllowed, "The placement's memory nodes make no sense.");
        if (nodes.Sum(n => (long)n.SizeMiB) != spec.Memory.SizeMiB)
            throw new HostException(HostError.NotAllowed, $"The placement's memory nodes are not the machine's {spec.Memory.SizeMiB} MiB together.");
        if (nodes.Count == 1)
            return;
        var all = CpuSet.Range(0, placement.Vcpus.Count - 1);
        if (nodes.Sum(n => n.Vcpus.Count) != placement.Vcpus.Count || CpuSet.Union(nodes.Select(n => n.Vcpus)) != all)
            throw new HostException(HostError.NotAllowed, "Each vCPU of the placement must be in exactly one of its memory nodes.");
        if (nodes.Any(n => n.Distances.Count != 0 && n.Distances.Count != nodes.Count) || nodes.Select((n, i) => n.Distances.Count > 0 && n.Distances[i] != 10).Any(wrong => wrong)
            || nodes.SelectMany(n => n.Distances).Any(d => d is < 10 or > 254))
            throw new HostException(HostError.NotAllowed, "The placement's distances must be 10 to the node itself and 11 to 254 to the others.");
    }
}
