using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Launch;

/// <summary>
/// Keeps everybody else off the CPUs of vCPUs: a threaded child of the machine's control group, `vcpus`, that is an isolated partition (Documentation/admin-guide/cgroup-v2.rst,
/// cpuset). A host that cannot do that leaves the vCPUs where they are pinned, but the kernel may put others there, too: exclusivity is soft, and the measure says why.
/// </summary>
internal sealed class CpuPartitions(ControlGroups groups, Func<string, string?>? read = null)
{
    private const string Child = "vcpus", Isolated = "isolated";
    private readonly Func<string, string?> read = read ?? HostPaths.Read;

    /// <summary>The CPUs that a placement gives to vCPUs alone, one to each; empty where it shares any.</summary>
    public static CpuSet Dedicated(MachinePlacement placement)
    {
        var vcpus = CpuSet.Union(placement.Vcpus);
        return placement.Vcpus.All(v => v.Count == 1) && vcpus.Count == placement.Vcpus.Count && !CpuSet.Union([.. placement.IoThreads.Values, placement.Emulator, placement.Vhost]).Overlaps(vcpus)
            ? vcpus : CpuSet.Empty;
    }

    /// <summary>Makes the partition and moves the vCPU threads there; their affinity is to be set afterwards, because the kernel resets it. Looks first; a failure leaves nothing.</summary>
    public Measure Isolate(string? group, CpuSet cpus, IReadOnlyList<int> threads)
    {
        if (cpus.IsEmpty)
        {
            Release(group);
            return Soft("The machine's vCPUs share their CPUs with other threads.");
        }

        if (groups.WhyNot("cpuset") is { } why)
            return Soft(why);
        if (group is null || !groups.Owns(group))
            return Soft("The machine has no control group of its own.");
        var child = Path.Combine(group, Child);
        if (Directory.Exists(child) && Cpus(child, "cpuset.cpus") != cpus)
            Release(group);
        // From the top to the machine's own group: each must pass the controller on, and allow the CPUs to be taken from everybody.
        foreach (var level in groups.Levels(group))
        {
            Claim(level, Cpus(level, "cpuset.cpus.exclusive") | cpus);
            if (level != group)
                Write(level, "cgroup.subtree_control", "+cpuset");
        }

        Directory.CreateDirectory(child);
        Write(child, "cgroup.type", "threaded");
        Write(group, "cgroup.subtree_control", "+cpuset");
        Write(child, "cpuset.cpus", cpus.ToString());
        Write(child, "cpuset.cpus.exclusive", cpus.ToString());
        if (State(child) != Isolated)
            Write(child, "cpuset.cpus.partition", Isolated);
        var state = State(child);
        var inside = Threads(child);
        foreach (var thread in threads.Where(t => state == Isolated && !inside.Contains(t)))
            Append(child, "cgroup.threads", thread);
        if (state == Isolated && Cpus(child, "cpuset.cpus") == cpus && threads.All(Threads(child).Contains))
            return new Measure(Measures.Exclusivity, MeasureState.InForce, $"CPUs {cpus} in an isolated partition of their own");
        Release(group);
        return Soft(state == Isolated ? "The kernel did not take the vCPUs into the partition." : state is null ? "This kernel has no partitions of CPUs." : $"The kernel says of the partition: {PeerText.Clean(state, 150)}.");
    }

    /// <summary>What the kernel says of a partition that was made; null while it is in force.</summary>
    public string? Problem(string? group) => group is null || State(Path.Combine(group, Child)) == Isolated ? null
        : $"The partition of the vCPUs' CPUs is not in force any more: {PeerText.Clean(State(Path.Combine(group, Child)) ?? "it is gone", 150)}.";

    /// <summary>Gives the CPUs back to everybody. Harmless where there is no partition, and after the machine has ended.</summary>
    public void Release(string? group)
    {
        if (group is null || Path.Combine(group, Child) is var child && !Directory.Exists(child))
            return;
        var cpus = Cpus(child, "cpuset.cpus");
        Write(child, "cpuset.cpus.partition", "member");
        foreach (var thread in Threads(child))
            Append(group, "cgroup.threads", thread);
        try
        {
            Directory.Delete(child);
        }
        catch (IOException)
        {
            // A thread of it is still being reaped; it has no CPU of its own any more.
        }

        foreach (var level in groups.Levels(group).Reverse())
            Claim(level, Cpus(level, "cpuset.cpus.exclusive") - cpus);
    }

    private static Measure Soft(string why) => new(Measures.Exclusivity, MeasureState.Skipped, why);

    // An empty line empties the set; no byte at all would be no write.
    private static void Claim(string group, CpuSet cpus) => Write(group, "cpuset.cpus.exclusive", $"{cpus}\n");

    private string? State(string child) => read(Path.Combine(child, "cpuset.cpus.partition"))?.Trim();

    private CpuSet Cpus(string group, string file) => CpuSet.TryParse(read(Path.Combine(group, file)), out var set) ? set : CpuSet.Empty;

    private HashSet<int> Threads(string group) =>
        [.. (read(Path.Combine(group, "cgroup.threads")) ?? "").Split('\n').Select(l => int.TryParse(l, NumberStyles.None, CultureInfo.InvariantCulture, out var thread) ? thread : 0).Where(t => t > 0)];

    private static void Append(string group, string file, int thread) => Write(group, file, string.Create(CultureInfo.InvariantCulture, $"{thread}\n"), append: true);

    /// <summary>What the kernel does not take shows when it is read back.</summary>
    private static void Write(string group, string file, string value, bool append = false)
    {
        try
        {
            if (append)
                File.AppendAllText(Path.Combine(group, file), value);
            else
                File.WriteAllText(Path.Combine(group, file), value);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }
}
