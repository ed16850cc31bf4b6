using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Pinning;

/// <summary>Reads a machine's placement back from /proc and says what is not as wanted.</summary>
internal sealed class PlacementReader(HostPaths paths, TimeProvider time)
{
    private readonly ThreadTree tree = new(paths);

    public PlacementReport Read(MachineThreads machine, MachinePlacement? placement, MemorySpec memory)
    {
        var online = tree.Online();
        var drifts = new List<string>();
        var threads = new List<PlacedThread>();
        foreach (var place in Places.Find(tree, machine, placement))
        {
            if (Allowed(place) is not { } actual)
                continue;
            var thread = new PlacedThread(place.ThreadId, place.Name, place.Role, place.Index, place.Wanted, actual);
            threads.Add(thread);
            if (!thread.Right)
                drifts.Add(Sentences.Moved(place, actual));
        }

        if (placement is not null && !online.IsEmpty && CpuSet.Union(threads.Select(t => t.Wanted)) - online is { IsEmpty: false } missing)
            drifts.Add($"The host's CPUs {missing}, which this machine's placement uses, are offline.");
        if (placement is not null && machine.Vcpus.Count(v => tree.Has(machine.Pid, v)) is var found && found < machine.Vcpus.Count)
            drifts.Add($"Only {found} of {machine.Vcpus.Count} vCPU threads are there.");
        var smallest = (long)(placement is { Nodes.Count: > 0 } ? placement.Nodes.Min(n => n.SizeMiB) : memory.SizeMiB) << 20;
        var lies = NumaMaps.Read(paths, machine.Pid, Math.Max(smallest, 1 << 20));
        if (placement is not null)
            drifts.AddRange(MemoryDrifts(placement, lies));
        return new PlacementReport(time.GetUtcNow(), placement, threads, lies, drifts) { Evidence = [.. machine.Vcpus.Select(v => Evidence(machine.Pid, v))] };
    }

    private static IEnumerable<string> MemoryDrifts(MachinePlacement placement, IReadOnlyList<PlacedMemory> lies)
    {
        // Only where all of the memory is bound can a page be in the wrong place.
        if (lies.Count > 0 && placement.Nodes.Count > 0 && placement.Nodes.All(n => n is { Policy: MemoryPolicy.Bind, HostNode: not null }))
        {
            var bound = placement.Nodes.Select(n => n.HostNode!.Value).ToHashSet();
            foreach (var node in lies.Where(l => !bound.Contains(l.Node) && l.Pages.Values.Sum() > 0))
                yield return $"{node.Pages.Values.Sum()} MiB of the guest's memory lie on node {node.Node}; their place is node {string.Join(", ", bound.Order())}.";
        }

        foreach (var size in placement.Nodes.Where(n => n.HugePageKiB is not null).GroupBy(n => n.HugePageKiB!.Value))
        {
            long wanted = size.Sum(n => (long)n.SizeMiB), actual = lies.Sum(l => l.Pages.GetValueOrDefault(size.Key));
            if (lies.Count > 0 && actual < wanted)
                yield return $"Only {actual} of {wanted} MiB of the guest's memory are on pages of {Size(size.Key)}.";
        }
    }

    private static string Size(long kib) => kib >= 1 << 20 ? $"{kib >> 20} GiB" : kib >= 1024 ? $"{kib >> 10} MiB" : $"{kib} KiB";

    /// <summary>Cpus_allowed_list; null when the thread has ended.</summary>
    private CpuSet? Allowed(Place place) => Field(place.Pid, place.ThreadId, "Cpus_allowed_list") is { } text && CpuSet.TryParse(text, out var set) ? set : null;

    private VcpuEvidence Evidence(int pid, int thread)
    {
        if (!tree.Has(pid, thread))
            return new VcpuEvidence(0, 0, 0);
        var times = (tree.Text(pid, thread, "schedstat") ?? "").Split(' ');
        return new VcpuEvidence(Number(times, 0), Number(times, 1), Number([Field(pid, thread, "nonvoluntary_ctxt_switches") ?? ""], 0));
    }

    private static long Number(string[] fields, int at) => at < fields.Length && long.TryParse(fields[at], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private string? Field(int pid, int thread, string name) =>
        (tree.Text(pid, thread, "status") ?? "").Split('\n').FirstOrDefault(l => l.StartsWith(name + ":", StringComparison.Ordinal)) is { } line ? line[(name.Length + 1)..].Trim() : null;
}
