using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>NUMA nodes (Documentation/ABI/stable/sysfs-devices-node): ids may jump, nodes may have no CPUs or no memory, distances may be asymmetric.</summary>
internal static class NumaReader
{
    private const string Root = "/sys/devices/system/node";

    public static IReadOnlyList<NumaNode> Read(HostTree tree)
    {
        var folders = tree.Numbered(Root, "node").Where(id => id < CpuSet.MaxCpus).ToList();
        if (folders.Count == 0)
            return [Only(tree)];
        // A distance file has one column for each online node, in ascending order.
        var online = tree.Cpus($"{Root}/online") is { IsEmpty: false } told ? told.ToList() : folders;
        var possible = tree.Cpus($"{Root}/possible")?.ToList() ?? [];
        var there = tree.Cpus("/sys/devices/system/cpu/online") is { IsEmpty: false } cpus ? cpus : (CpuSet?)null;
        var nodes = new List<NumaNode>();
        var taken = CpuSet.Empty;
        foreach (var node in folders.Select(id => Node(tree, id, online, possible)))
        {
            // POWER also lists CPUs that are not there; broken firmware has put one CPU into two nodes.
            var own = (there is { } set ? node.Cpus & set : node.Cpus) - taken;
            taken |= own;
            nodes.Add(node with { Cpus = own });
        }

        return nodes;
    }

    private static NumaNode Node(HostTree tree, int id, List<int> online, List<int> possible)
    {
        var folder = $"{Root}/node{id}";
        var row = (tree.Text($"{folder}/distance", 64 * 1024) ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var distances = new SortedDictionary<int, int>();
        // A row that does not fit is not believed.
        var columns = row.Length == online.Count ? online : row.Length == possible.Count ? possible : [];
        for (var i = 0; i < columns.Count; i++)
            if (int.TryParse(row[i], NumberStyles.None, CultureInfo.InvariantCulture, out var distance))
                distances[columns[i]] = distance;
        distances.TryAdd(id, 10);
        long? total = null, free = null;
        long reclaimable = 0;
        foreach (var line in tree.Lines($"{folder}/meminfo", 64 * 1024))
        {
            if (KiB(line, "MemTotal:") is { } t)
                total = t / 1024;
            else if (KiB(line, "MemFree:") is { } f)
                free = f / 1024;
            // Cached files go as soon as the memory is wanted, as the kernel's own MemAvailable counts them.
            else if ((KiB(line, "Active(file):") ?? KiB(line, "Inactive(file):") ?? KiB(line, "SReclaimable:")) is { } cached)
                reclaimable += cached / 1024;
        }

        free += reclaimable;
        return new NumaNode(id, tree.Cpus($"{folder}/cpulist", $"{folder}/cpumap") ?? CpuSet.Of(tree.Numbered(folder, "cpu").Where(c => c < CpuSet.MaxCpus)), total, free, distances, Pools(tree, $"{folder}/hugepages"));
    }

    /// <summary>A kernel without NUMA: one node with everything.</summary>
    private static NumaNode Only(HostTree tree)
    {
        var cpus = tree.Cpus("/sys/devices/system/cpu/online") ?? CpuSet.Of(tree.Numbered("/sys/devices/system/cpu", "cpu").Where(id => id < CpuSet.MaxCpus));
        var memory = tree.Lines("/proc/meminfo", 64 * 1024);
        return new NumaNode(0, cpus, memory.Select(l => KiB(l, "MemTotal:")).FirstOrDefault(k => k is not null) / 1024, memory.Select(l => KiB(l, "MemFree:")).FirstOrDefault(k => k is not null) / 1024,
            new Dictionary<int, int> { [0] = 10 }, Pools(tree, "/sys/kernel/mm/hugepages"));
    }

    private static List<HugePagePool> Pools(HostTree tree, string folder)
    {
        var pools = new List<HugePagePool>();
        foreach (var name in tree.Names(folder))
            if (name.StartsWith("hugepages-", StringComparison.Ordinal) && name.EndsWith("kB", StringComparison.Ordinal) && long.TryParse(name.AsSpan(10, name.Length - 12), NumberStyles.None, CultureInfo.InvariantCulture, out var size) && size is > 0 and < (1L << 40))
                pools.Add(new HugePagePool(size, Pages(tree, $"{folder}/{name}/nr_hugepages"), Pages(tree, $"{folder}/{name}/free_hugepages"), Pages(tree, $"{folder}/{name}/surplus_hugepages")));
        return [.. pools.OrderBy(p => p.SizeKiB)];
    }

    private static long Pages(HostTree tree, string path) => Math.Clamp(tree.Number(path) ?? 0, 0, 1L << 40);

    /// <summary>The number of "MemTotal:  123 kB", also after "Node 0".</summary>
    public static long? KiB(string line, string key)
    {
        var at = line.IndexOf(key, StringComparison.Ordinal);
        return at >= 0 && line[(at + key.Length)..].Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var number, ..] && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var kib) ? kib : null;
    }
}
