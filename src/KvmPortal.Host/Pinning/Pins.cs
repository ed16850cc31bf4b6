using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Pinning;

/// <summary>Puts all threads of one machine where they belong, or all of them back.</summary>
internal sealed class Pins(ThreadTree tree, IAffinity affinity)
{
    private const int MostRounds = 8;

    /// <summary>
    /// Sets what is not set yet and reads it back. QEMU makes threads when it likes: it is looked again until there are no new ones.
    /// Throws what the kernel refuses, naming the thread; everything is then as it was before.
    /// </summary>
    /// <returns>Whether anything changed.</returns>
    public bool Apply(MachineThreads machine, MachinePlacement placement)
    {
        Require(machine, placement);
        var before = new Dictionary<int, ulong[]>();
        try
        {
            var seen = new HashSet<int>();
            var changed = false;
            for (var round = 0; round < MostRounds; round++)
            {
                // Those that stay are looked at in the last round, too: a thread that was just made may have been between two masks.
                var places = Places.Find(tree, machine, placement, vhost: round == 0).Where(p => !p.Wanted.IsEmpty).ToList();
                var fresh = places.Where(p => seen.Add(p.ThreadId)).ToList();
                if (fresh.Count == 0)
                    break;
                foreach (var place in fresh)
                    changed |= Put(place, before);
            }

            return changed;
        }
        catch
        {
            foreach (var (thread, mask) in before)
                affinity.Set(thread, mask);
            throw;
        }
    }

    /// <summary>Every thread may run on every CPU that is online again.</summary>
    public void Release(MachineThreads machine)
    {
        var everywhere = CpuMask.Of(tree.Online());
        foreach (var place in Places.Find(tree, machine, null))
            if (tree.Movable(place.Pid, place.ThreadId))
                affinity.Set(place.ThreadId, everywhere);
    }

    /// <summary>Puts one thread back. Null when it is there, or the sentence why not.</summary>
    public string? PutBack(Place place)
    {
        // The thread may have ended meanwhile, and its number may be another's.
        if (!Owns(place))
            return null;
        return affinity.Set(place.ThreadId, CpuMask.Of(place.Wanted)) is not 0 and not CpuMask.NoSuchThread and var error ? Refusal(place, error) : null;
    }

    private bool Owns(Place place) => place is { Role: ThreadRole.Vhost } && place.Pid == place.ThreadId ? tree.IsKernelThread(place.Pid) : tree.Has(place.Pid, place.ThreadId);

    private bool Put(Place place, Dictionary<int, ulong[]> before)
    {
        var (actual, wanted) = (new ulong[CpuMask.Words], CpuMask.Of(place.Wanted));
        if (!affinity.TryGet(place.ThreadId, actual))
            return Gone(place);
        if (actual.AsSpan().SequenceEqual(wanted))
            return false;
        if (!Owns(place))
            return Gone(place);
        var was = actual.AsSpan().ToArray();
        before.TryAdd(place.ThreadId, was);
        switch (affinity.Set(place.ThreadId, wanted))
        {
            case 0:
                break;
            case CpuMask.NoSuchThread:
                return Gone(place);
            case var error:
                throw new HostException(error == CpuMask.Invalid ? HostError.WrongState : HostError.NotAllowed, Refusal(place, error));
        }

        if (!affinity.TryGet(place.ThreadId, actual))
            return Gone(place);
        if (!CpuMask.Inside(actual, wanted))
            throw new HostException(HostError.WrongState, $"{place.Who} was to be put on the CPUs {place.Wanted}, but may run on {CpuMask.SetOf(actual)}.");
        return !actual.AsSpan().SequenceEqual(was);
    }

    /// <summary>Worker threads come and go; a vCPU's does not.</summary>
    private static bool Gone(Place place) => place.Role == ThreadRole.Vcpu
        ? throw new HostException(HostError.WrongState, $"{place.Who} was to be put on the CPUs {place.Wanted}, but has ended.") : false;

    private string Refusal(Place place, int error) => error == CpuMask.Invalid && !place.Wanted.Overlaps(tree.Online())
        ? $"{place.Who} cannot be put on the CPUs {place.Wanted}: none of them is online."
        : $"{place.Who} cannot be put on the CPUs {place.Wanted}: {Marshal.GetPInvokeErrorMessage(error)}.";

    /// <summary>Refuses a placement that leaves a thread nowhere, and a QEMU that names threads of others.</summary>
    public void Require(MachineThreads machine, MachinePlacement placement)
    {
        if (placement.Emulator.IsEmpty || placement.Vcpus.Any(v => v.IsEmpty) || placement.IoThreads.Values.Any(v => v.IsEmpty))
            throw new HostException(HostError.NotAllowed, "The placement leaves a thread without a CPU.");
        if (machine.Vcpus.Count == 0)
            throw new HostException(HostError.WrongState, "QEMU names no thread of a vCPU.");
        for (var i = 0; i < machine.Vcpus.Count; i++)
            if (!tree.Has(machine.Pid, machine.Vcpus[i]))
                throw new HostException(HostError.WrongState, $"QEMU says that vCPU {i} is thread {machine.Vcpus[i]}, which is none of its own.");
        foreach (var (id, thread) in machine.IoThreads)
            if (!tree.Has(machine.Pid, thread))
                throw new HostException(HostError.WrongState, $"QEMU says that I/O thread {Qmp.PeerText.Clean(id, 32)} is thread {thread}, which is none of its own.");
    }
}
