using System.Text.RegularExpressions;

namespace KvmPortal.Engine;

// What hosts say of a machine's threads and memory.
public static partial class HostSentences
{
    private static readonly (Regex Shape, Func<Match, Sentence> Made)[] ShapesOfPinning =
    [
        (ThreadsMoved(), m => Say.ThreadsMoved(Read(m.Groups[1].Value), m.Groups[2].Value)),
        (ThreadMoved(), m => Say.ThreadMoved(Thread(m.Groups[1].Value), m.Groups[2].Value, m.Groups[3].Value)),
        (ThreadPutBack(), m => Say.ThreadPutBack(Thread(m.Groups[1].Value), m.Groups[2].Value)),
        (ThreadsPutBack(), m => Say.ThreadsPutBack(m.Groups[1].Value)),
        (ThreadCpusOffline(), m => Say.ThreadCpusOffline(Thread(m.Groups[1].Value), m.Groups[2].Value)),
        (ThreadRefused(), m => Say.ThreadRefused(Thread(m.Groups[1].Value), m.Groups[2].Value, m.Groups[3].Value)),
        (ThreadElsewhere(), m => Say.ThreadElsewhere(Thread(m.Groups[1].Value), m.Groups[2].Value, m.Groups[3].Value)),
        (ThreadHasEnded(), m => Say.ThreadHasEnded(Thread(m.Groups[1].Value), m.Groups[2].Value)),
        (PlacementCpusOffline(), m => Say.PlacementCpusOffline(m.Groups[1].Value)),
        (VcpuThreadsMissing(), m => Say.VcpuThreadsMissing(m.Groups[1].Value, m.Groups[2].Value)),
        (MemoryElsewhere(), m => Say.MemoryElsewhere(m.Groups[1].Value, m.Groups[2].Value, m.Groups[3].Value)),
        (HugeMemoryMissing(), m => Say.HugeMemoryMissing(m.Groups[1].Value, m.Groups[2].Value, m.Groups[3].Value)),
        (VcpuNotOwn(), m => Say.VcpuNotOwn(m.Groups[1].Value, m.Groups[2].Value)),
        (MemlockLimited(), m => Say.MemlockLimited(m.Groups[1].Value)),
        (KernelOfPartition(), m => Say.KernelOfPartition(m.Groups[1].Value)),
        (CoreCookie(), m => Say.CoreCookie(m.Groups[1].Value)),
        (CpusIsolated(), m => Say.CpusIsolated(m.Groups[1].Value)),
        (PartitionLost(), m => Say.PartitionLost(m.Groups[1].Value)),
    ];

    private static readonly (Regex Shape, Func<Match, Sentence> Made)[] ShapesOfThreads =
    [
        (VcpuThread(), m => Say.VcpuThread(m.Groups[1].Value, m.Groups[2].Value)),
        (IoThreadOf(), m => Say.IoThreadOf(m.Groups[1].Value, m.Groups[2].Value)),
        (VhostThread(), m => Say.VhostThread(m.Groups[1].Value)),
        (TpmThread(), m => Say.TpmThread(m.Groups[1].Value)),
        (QemuThread(), m => Say.QemuThread(m.Groups[1].Value)),
    ];

    /// <summary>How hosts call a thread.</summary>
    private static Sentence Thread(string who)
    {
        foreach (var (shape, made) in ShapesOfThreads)
            if (shape.Match(who) is { Success: true } match)
                return made(match);
        return who;
    }

    [GeneratedRegex(@"^(.{1,300}?\.) (\d+) more threads are out of place\.\z")]
    private static partial Regex ThreadsMoved();

    [GeneratedRegex(@"^(.{1,80}?) may run on the CPUs ([\d,-]*); its place is ([\d,-]+)\.\z")]
    private static partial Regex ThreadMoved();

    [GeneratedRegex(@"^(.{1,80}?) was put back on the CPUs ([\d,-]+)\.\z")]
    private static partial Regex ThreadPutBack();

    [GeneratedRegex(@"^(\d+) threads were put back where they belong\.\z")]
    private static partial Regex ThreadsPutBack();

    [GeneratedRegex(@"^(.{1,80}?) cannot be put on the CPUs ([\d,-]+): none of them is online\.\z")]
    private static partial Regex ThreadCpusOffline();

    [GeneratedRegex(@"^(.{1,80}?) cannot be put on the CPUs ([\d,-]+): ([^.]{1,100})\.\z")]
    private static partial Regex ThreadRefused();

    [GeneratedRegex(@"^(.{1,80}?) was to be put on the CPUs ([\d,-]+), but may run on ([\d,-]+)\.\z")]
    private static partial Regex ThreadElsewhere();

    [GeneratedRegex(@"^(.{1,80}?) was to be put on the CPUs ([\d,-]+), but has ended\.\z")]
    private static partial Regex ThreadHasEnded();

    [GeneratedRegex(@"^The host's CPUs ([\d,-]+), which this machine's placement uses, are offline\.\z")]
    private static partial Regex PlacementCpusOffline();

    [GeneratedRegex(@"^Only (\d+) of (\d+) vCPU threads are there\.\z")]
    private static partial Regex VcpuThreadsMissing();

    [GeneratedRegex(@"^(\d+) MiB of the guest's memory lie on node (\d+); their place is node ([\d, ]+)\.\z")]
    private static partial Regex MemoryElsewhere();

    [GeneratedRegex(@"^Only ([\d,-]*) of ([\d,-]+) MiB of the guest's memory are on pages of (\d+ \w+)\.\z")]
    private static partial Regex HugeMemoryMissing();

    [GeneratedRegex(@"^QEMU says that vCPU (-?\d+) is thread (-?\d+), which is none of its own\.\z")]
    private static partial Regex VcpuNotOwn();

    [GeneratedRegex(@"^The portal may lock (\d+) MiB of memory only, and may not raise that limit\.\z")]
    private static partial Regex MemlockLimited();

    [GeneratedRegex(@"^vCPU (-?\d+) \(thread (-?\d+)\)\z")]
    private static partial Regex VcpuThread();

    [GeneratedRegex(@"^I/O thread (.{1,40}?) \(thread (-?\d+)\)\z")]
    private static partial Regex IoThreadOf();

    [GeneratedRegex(@"^vhost thread (-?\d+)\z")]
    private static partial Regex VhostThread();

    [GeneratedRegex(@"^TPM thread (-?\d+)\z")]
    private static partial Regex TpmThread();

    [GeneratedRegex(@"^QEMU's thread (-?\d+)\z")]
    private static partial Regex QemuThread();

    [GeneratedRegex(@"^The kernel says of the partition: (.{1,160})\.\z")]
    private static partial Regex KernelOfPartition();

    [GeneratedRegex(@"^CPUs ([\d,-]+) in an isolated partition of their own\z")]
    private static partial Regex CpusIsolated();

    [GeneratedRegex(@"^The partition of the vCPUs' CPUs is not in force any more: (.{1,160})\.\z")]
    private static partial Regex PartitionLost();

    [GeneratedRegex(@"^cookie ([0-9a-f]{1,16}): nobody else runs beside it on a core\z")]
    private static partial Regex CoreCookie();
}
