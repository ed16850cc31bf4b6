using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Makes groups of what each CPU says about whom it shares something with: each CPU is in one group at most, whatever is missing or contradicts.</summary>
internal static class Sharing
{
    /// <summary>
    /// Each CPU's group. Two CPUs are together when one names the other, and the other names it too or says nothing. Only online CPUs share; the others are by themselves.
    /// </summary>
    /// <param name="told">What a CPU says; null or a set without itself is nothing said.</param>
    /// <param name="alone">Whether a CPU of which nothing is known is a group of one (a core) or of none (a cache).</param>
    public static Dictionary<int, CpuSet> Agreed(CpuSet present, CpuSet online, Func<int, CpuSet?> told, bool alone)
    {
        var said = new Dictionary<int, CpuSet>();
        foreach (var id in online)
            if (told(id) is { } set && set.Contains(id))
                said[id] = set & online;
        var groups = new Dictionary<int, CpuSet>(present.Count);
        foreach (var (id, set) in said)
        {
            if (groups.ContainsKey(id))
                continue;
            var group = set.All(other => !groups.ContainsKey(other) && (!said.TryGetValue(other, out var back) || back == set)) ? set : Connected(id, said, groups);
            foreach (var member in group)
                groups[member] = group;
        }

        foreach (var id in present)
            groups.TryAdd(id, alone ? CpuSet.Of(id) : default);
        return groups;
    }

    private static CpuSet Connected(int first, Dictionary<int, CpuSet> said, Dictionary<int, CpuSet> taken)
    {
        var members = new HashSet<int> { first };
        var open = new Queue<int>(members);
        while (open.TryDequeue(out var id))
            foreach (var other in said.TryGetValue(id, out var set) ? set : default)
                if (!taken.ContainsKey(other) && (!said.TryGetValue(other, out var back) || back.Contains(id)) && members.Add(other))
                    open.Enqueue(other);
        return CpuSet.Of(members);
    }
}
