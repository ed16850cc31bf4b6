using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Pinning;

/// <summary>What a look at a machine found worth telling.</summary>
/// <param name="Repaired">True: put back; false: out of place.</param>
internal sealed record PlacementFinding(bool Repaired, string Text);

/// <summary>
/// Compares one machine's threads with their places, again and again: one system call per thread. New threads, which QEMU makes as it needs them, are looked for at every fifth look
/// and put where they belong without a word; a thread that was in its place and is not any more was moved by somebody.
/// </summary>
internal sealed class WatchedMachine
{
    private const int ListEvery = 5;
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(1);
    private readonly ThreadTree tree;
    private readonly IAffinity affinity;
    private readonly Pins pins;
    private readonly TimeProvider time;
    private readonly MachineThreads machine;
    private readonly Func<bool> alive;
    private readonly List<Watched> threads = [];
    private readonly HashSet<int> known = [];
    private readonly ulong[] actual = new ulong[CpuMask.Words];
    private readonly ulong[] anywhere;
    private CpuSet online;
    private int looks;
    private bool begun;

    /// <param name="of">Its threads, and whether the process is still the one that was pinned, which is asked before anything is moved.</param>
    public WatchedMachine(ThreadTree tree, IAffinity affinity, TimeProvider time, (MachineThreads Threads, Func<bool> Alive) of, MachinePlacement placement)
    {
        (this.tree, this.affinity, pins, this.time, machine, alive, Placement) = (tree, affinity, new Pins(tree, affinity), time, of.Threads, of.Alive, placement);
        // Not all machines list their threads at the same look.
        looks = machine.Pid % ListEvery;
        anywhere = CpuMask.Of(CpuSet.Union([.. placement.Vcpus, .. placement.IoThreads.Values, placement.Emulator, placement.Vhost]));
        foreach (var place in Places.Find(tree, machine, placement))
            Know(place);
    }

    private sealed class Watched(Place place)
    {
        public Place Place { get; } = place;
        public ulong[] Wanted { get; } = CpuMask.Of(place.Wanted);
        public bool Off { get; set; }
        public bool Refused { get; set; }
        /// <summary>When it was last told of; somebody who moves it again and again is not told of each time.</summary>
        public long? ToldAt { get; set; }
    }

    public MachinePlacement Placement { get; }

    /// <param name="now">CPUs that are online.</param>
    public List<PlacementFinding> Look(CpuSet now)
    {
        var found = new List<PlacementFinding>();
        var plugged = now != online;
        if (plugged && !now.IsEmpty && CpuSet.Union(threads.Select(t => t.Place.Wanted)) is var used && used - now is { IsEmpty: false } missing && !(begun && used - online == missing))
            found.Add(new(false, $"The host's CPUs {missing}, which this machine's placement uses, are offline."));
        online = now;
        if (++looks % ListEvery == 0)
            List();
        List<(Watched Thread, CpuSet Actual)> moved = [];
        List<Watched> back = [];
        List<string> refused = [];
        for (var i = threads.Count - 1; i >= 0; i--)
        {
            var thread = threads[i];
            if (!affinity.TryGet(thread.Place.ThreadId, actual))
            {
                known.Remove(thread.Place.ThreadId);
                threads.RemoveAt(i);
                continue;
            }

            if (CpuMask.Inside(actual, thread.Wanted))
            {
                thread.Off = thread.Refused = false;
                // A CPU that came back is the thread's again.
                if (plugged && Placement.Repair && !actual.AsSpan().SequenceEqual(thread.Wanted))
                    PutBack(thread.Place);
                continue;
            }

            // Made by an I/O thread while nobody looked, and its heir.
            if (!begun && thread.Place is { Role: ThreadRole.Emulator } && thread.Place.ThreadId != machine.Pid && CpuMask.Inside(actual, anywhere))
            {
                if (Placement.Repair)
                    PutBack(thread.Place);
                continue;
            }

            var tell = !thread.Off && (thread.ToldAt is not { } told || time.GetElapsedTime(told) >= Quiet);
            if (tell)
            {
                moved.Insert(0, (thread, CpuMask.SetOf(actual)));
                thread.ToldAt = time.GetTimestamp();
            }

            thread.Off = true;
            if (!Placement.Repair)
                continue;
            if (PutBack(thread.Place) is { } why)
            {
                if (!thread.Refused)
                    refused.Add(why);
                thread.Refused = true;
            }
            else if (affinity.TryGet(thread.Place.ThreadId, actual) && CpuMask.Inside(actual, thread.Wanted))
            {
                if (tell || thread.Refused)
                    back.Insert(0, thread);
                thread.Off = thread.Refused = false;
            }
        }

        begun = true;
        if (moved.Count > 0)
            found.Add(new(false, Sentences.Moved(moved[0].Thread.Place, moved[0].Actual) + (moved.Count > 1 ? $" {moved.Count - 1} more threads are out of place." : "")));
        if (refused.Count > 0)
            found.Add(new(false, refused[^1]));
        if (back.Count > 0)
            found.Add(new(true, back.Count == 1 ? $"{back[0].Place.Who} was put back on the CPUs {back[0].Place.Wanted}." : $"{back.Count} threads were put back where they belong."));
        return found;
    }

    private string? PutBack(Place place) => alive() ? pins.PutBack(place) : null;

    private void List()
    {
        Adopt(machine.Pid, ThreadRole.Emulator);
        if (machine.CompanionPid is { } companion)
            Adopt(companion, ThreadRole.Companion);
    }

    private void Adopt(int pid, ThreadRole role)
    {
        foreach (var thread in tree.Of(pid))
            if (!known.Contains(thread))
            {
                var place = Places.Other(tree, pid, thread, role, Placement);
                Know(place);
                if (!place.Wanted.IsEmpty && Placement.Repair)
                    PutBack(place);
            }
    }

    private void Know(Place place)
    {
        known.Add(place.ThreadId);
        if (!place.Wanted.IsEmpty)
            threads.Add(new Watched(place));
    }
}

/// <summary>What is said of threads out of place; the same words in reports and in notices.</summary>
internal static class Sentences
{
    public static string Moved(Place place, CpuSet actual) => $"{place.Who} may run on the CPUs {actual}; its place is {place.Wanted}.";
}
