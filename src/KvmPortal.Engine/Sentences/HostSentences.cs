using System.Text.RegularExpressions;

namespace KvmPortal.Engine;

/// <summary>Recognises what hosts say often, so that it can be said in other languages; anything else stays in the host's own words.</summary>
public static partial class HostSentences
{
    private static readonly Dictionary<string, Sentence> Fixed = new Sentence[]
    {
        Say.GuestPoweredOff, Say.WasStopped, Say.StateWasSaved, Say.EndedBySignal, Say.QemuDied, Say.EndNotKnown, Say.KernelPanicked, Say.GuestRestarted, Say.GuestRebooted,
        Say.ViewerConnected, Say.ViewerLeft, Say.AgentAsked, Say.AcpiPressed, Say.KvmUntried, Say.KvmWorks, Say.KvmAbsent, Say.SimulatedWorks, Say.SimulatedUntried, Say.CrashedResetOrStop, Say.NotRunning,
        Say.HostRestarted, Say.EndedBySignalUnwatched, Say.QemuDiedUnwatched, Say.Unreachable, Say.ConnectionLost, Say.AnswersAgain, Say.TpmLost,
        Say.NotRootOwnUser, Say.NotRootNoViews, Say.NoUidReserved, Say.UsesHostNetwork, Say.NoCompanion, Say.KvmRootOnly, Say.DisksOnNoDevice, Say.NoCgroup2,
        Say.QemuNotStarted, Say.QemuEndedEarly, Say.SwtpmNotStarted, Say.SwtpmHint, Say.QemuClosedEarly, Say.NotQmp, Say.MemlockHint,
        Say.VcpusShareCpus, Say.NoOwnControlGroup, Say.NoCpuPartitions, Say.NotTakenIntoPartition, Say.NoCoreScheduling, Say.NoRealtimeKernel, Say.RealtimeNeedsOwnCpus, Say.OneThreadCores, Say.NoCookie,
        Say.VcpuRoomHint, Say.MemoryRoomHint, Say.VcpuHeldHint, Say.MemoryHint, Say.GuestStill, Say.GuestStillHint,
    }.ToDictionary(s => s.Text);

    private static readonly (Regex Shape, Func<Match, Sentence> Made)[] Shapes =
    [
        (Killed(), m => Say.QemuKilled(m.Groups[1].Value)),
        (Exited(), m => Say.QemuExited(m.Groups[1].Value)),
        (Watchdog(), m => Say.WatchdogExpired(m.Groups[1].Value)),
        (Full(), m => Say.DiskFull(m.Groups[1].Value)),
        (Broken(), m => Say.DiskError(m.Groups[1].Value, m.Groups[2].Value)),
        (Balloon(), m => Say.GuestMemoryNow(m.Groups[1].Value)),
        (RunsOn(), m => Say.NotOffRunsOn(m.Groups[1].Value)),
        (Ended(), m => Say.NotOffEnded(m.Groups[1].Value)),
        (Stuck(), m => Say.KvmStuck(m.Groups[1].Value)),
        (FailedCode(), m => Say.KvmFailedCode(m.Groups[1].Value)),
        (NotStartedCode(), m => Say.QemuNotStartedCode(m.Groups[1].Value, m.Groups[2].Value)),
        (NotStarted(), m => Say.QemuNotStartedWords(m.Groups[1].Value)),
        (Refused(), m => Say.QemuRefused(m.Groups[1].Value)),
        (OnV1(), m => Say.ControllerOnV1(m.Groups[1].Value)),
        (Failed(), m => Say.KvmFailed(m.Groups[1].Value)),
    ];

    /// <summary>The sentence for a host's words; the words themselves when they are not known.</summary>
    public static Sentence Read(string text)
    {
        if (Fixed.TryGetValue(text, out var known) || OfPreparations.TryGetValue(text, out known))
            return known;
        foreach (var (shape, made) in Shapes.Concat(ShapesOfPreparations).Concat(ShapesOfPinning).Concat(ShapesOfPlugging))
            if (shape.Match(text) is { Success: true } match)
                return made(match);
        return text;
    }

    [GeneratedRegex(@"^The host's cgroup v2 at (\S+) does not have this controller; it is probably bound to cgroup v1\. The boot parameter systemd\.unified_cgroup_hierarchy=1 gives all of them to version 2\.$")]
    private static partial Regex OnV1();

    [GeneratedRegex(@"^Its QEMU was killed by signal (\d+)\.\z")]
    private static partial Regex Killed();

    [GeneratedRegex(@"^Its QEMU ended with exit code (\d+)\.\z")]
    private static partial Regex Exited();

    [GeneratedRegex(@"^The guest's watchdog expired \(action ([a-z-]*)\)\.\z")]
    private static partial Regex Watchdog();

    [GeneratedRegex(@"^Disk ([^:]{1,64}): no space left on the host\.\z")]
    private static partial Regex Full();

    [GeneratedRegex(@"^Disk ([^:]{1,64}): ([\w/]{1,16}) error on the host\.\z")]
    private static partial Regex Broken();

    [GeneratedRegex(@"^The guest has (\d+) MiB of memory now\.\z")]
    private static partial Regex Balloon();

    [GeneratedRegex(@"^The guest did not power off within (\d+) s; it runs on\.\z")]
    private static partial Regex RunsOn();

    [GeneratedRegex(@"^The guest did not power off within (\d+) s; it is ended\.\z")]
    private static partial Regex Ended();

    [GeneratedRegex(@"^/dev/kvm opens, but a tiny test guest did not finish on it within (\d+) s\.\z")]
    private static partial Regex Stuck();

    [GeneratedRegex(@"^/dev/kvm is there, but a tiny test guest failed on it \(exit code (-?\d+)\)\.\z")]
    private static partial Regex FailedCode();

    [GeneratedRegex(@"^QEMU did not start ([\w.-]{1,63}): exit code (-?\d+)\.\z")]
    private static partial Regex NotStartedCode();

    [GeneratedRegex(@"^QEMU did not start: (.+)\z", RegexOptions.Singleline)]
    private static partial Regex NotStarted();

    [GeneratedRegex(@"^QEMU refused: (.+)\z", RegexOptions.Singleline)]
    private static partial Regex Refused();

    [GeneratedRegex(@"^/dev/kvm is there, but a tiny test guest failed on it: (.{1,200})\.\z")]
    private static partial Regex Failed();
}
