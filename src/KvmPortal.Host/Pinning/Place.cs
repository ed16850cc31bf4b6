using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Pinning;

/// <summary>What is known of a running machine's threads: QEMU's words, to be checked against /proc.</summary>
/// <param name="Vcpus">In vCPU order.</param>
internal sealed record MachineThreads(int Pid, IReadOnlyList<int> Vcpus, IReadOnlyList<(string Id, int ThreadId)> IoThreads, int? CompanionPid);

/// <summary>One thread and where it belongs.</summary>
/// <param name="Pid">The process that it is a thread of.</param>
/// <param name="Wanted">Empty: nowhere in particular.</param>
internal sealed record Place(int Pid, int ThreadId, string Name, ThreadRole Role, int? Index, CpuSet Wanted)
{
    /// <summary>How it is called in sentences.</summary>
    public string Who => Role switch
    {
        ThreadRole.Vcpu => string.Create(CultureInfo.InvariantCulture, $"vCPU {Index} (thread {ThreadId})"),
        ThreadRole.IoThread => string.Create(CultureInfo.InvariantCulture, $"I/O thread {Name} (thread {ThreadId})"),
        ThreadRole.Vhost => string.Create(CultureInfo.InvariantCulture, $"vhost thread {ThreadId}"),
        ThreadRole.Companion => string.Create(CultureInfo.InvariantCulture, $"TPM thread {ThreadId}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"QEMU's thread {ThreadId}"),
    };
}

/// <summary>Finds each thread's place.</summary>
internal static class Places
{
    /// <summary>
    /// All threads of a machine, QEMU's main thread first (new ones inherit from it), its I/O threads and vCPUs last. A thread id that QEMU names counts only when the thread is
    /// QEMU's own: a guest that has taken QEMU over must not make the portal move anybody else.
    /// </summary>
    public static List<Place> Find(ThreadTree tree, MachineThreads machine, MachinePlacement? placement, bool vhost = true)
    {
        var special = new Dictionary<int, Place>();
        foreach (var (id, thread) in machine.IoThreads)
            if (tree.Has(machine.Pid, thread))
                special[thread] = new Place(machine.Pid, thread, id, ThreadRole.IoThread, null, placement is null ? CpuSet.Empty : placement.IoThreads.GetValueOrDefault(id, placement.Emulator));
        for (var i = 0; i < machine.Vcpus.Count; i++)
        {
            if (!tree.Has(machine.Pid, machine.Vcpus[i]))
                continue;
            var wanted = placement is null ? CpuSet.Empty : i < placement.Vcpus.Count ? placement.Vcpus[i] : placement.Emulator;
            // One thread for several vCPUs: emulation without threads of its own.
            special[machine.Vcpus[i]] = special.TryGetValue(machine.Vcpus[i], out var first) && first.Role == ThreadRole.Vcpu ? first with { Wanted = first.Wanted | wanted }
                : new Place(machine.Pid, machine.Vcpus[i], tree.Name(machine.Pid, machine.Vcpus[i]), ThreadRole.Vcpu, i, wanted);
        }

        var found = new List<Place>();
        foreach (var thread in tree.Of(machine.Pid))
            if (!special.ContainsKey(thread))
                found.Add(Other(tree, machine.Pid, thread, ThreadRole.Emulator, placement));
        if (machine.CompanionPid is { } companion)
            foreach (var thread in tree.Of(companion))
                found.Add(Other(tree, companion, thread, ThreadRole.Companion, placement));
        if (vhost)
            foreach (var thread in tree.VhostOf(machine.Pid))
                found.Add(Other(tree, thread, thread, ThreadRole.Vhost, placement));
        found.AddRange(special.Values.OrderBy(p => p.Role == ThreadRole.Vcpu).ThenBy(p => p.Index ?? -1).ThenBy(p => p.ThreadId));
        return found;
    }

    public static Place Other(ThreadTree tree, int pid, int thread, ThreadRole role, MachinePlacement? placement)
    {
        var name = tree.Name(pid, thread);
        if (role == ThreadRole.Emulator && name.StartsWith("vhost-", StringComparison.Ordinal))
            role = ThreadRole.Vhost;
        var wanted = placement is null || !tree.Movable(pid, thread) ? CpuSet.Empty : role == ThreadRole.Vhost && !placement.Vhost.IsEmpty ? placement.Vhost : placement.Emulator;
        return new Place(pid, thread, name, role, null, wanted);
    }
}
