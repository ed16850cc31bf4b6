using System.Text.RegularExpressions;

namespace KvmPortal.Engine;

// What hosts say of settings.
public static partial class HostSentences
{
    private static readonly Dictionary<string, Sentence> OfPreparations = new Sentence[]
    {
        Say.NotWritableHint, Say.NoThpHere, Say.NoKsmHere, Say.NoCpuLatencyHere, Say.NoNumaBalancingHere, Say.NoFrequenciesHere, Say.NoIrqbalanceHere, Say.CpusLeftForIrqs, Say.IrqbalanceRestarted,
        Say.RestartIrqbalance, Say.JournalLost, Say.IrqPlaced,
    }.ToDictionary(s => s.Text);

    private static readonly (Regex Shape, Func<Match, Sentence> Made)[] ShapesOfPreparations =
    [
        (LeftOut(), m => Say.LeftOut(Read(m.Groups[1].Value))),
        (PagesShort(), m => Say.PagesShort(m.Groups[1].Value, m.Groups[2].Value, m.Groups[3].Value)),
        (PagesShortHint(), m => Say.PagesShortHint(m.Groups[1].Value)),
        (PagesFewer(), m => Say.PagesFewer(m.Groups[1].Value, m.Groups[2].Value)),
        (PagesLeft(), m => Say.PagesLeft(m.Groups[1].Value)),
        (PagesNotReturned(), m => Say.PagesNotReturned(m.Groups[1].Value, m.Groups[2].Value)),
        (IrqsStay(), m => Say.IrqsStay(m.Groups[1].Value, m.Groups[2].Value)),
        (ChangedSince(), m => Say.ChangedSince(m.Groups[1].Value, m.Groups[2].Value)),
        (KernelRefused(), m => Say.KernelRefused(m.Groups[1].Value, m.Groups[2].Value, m.Groups[3].Value)),
        (NotWritable(), m => Say.NotWritable(m.Groups[1].Value)),
        (NoHugePagesOnNode(), m => Say.NoHugePagesOnNode(m.Groups[1].Value, m.Groups[2].Value)),
        (NoHugePages(), m => Say.NoHugePagesOf(m.Groups[1].Value)),
        (NoParameter(), m => Say.NoModuleParameterHere(m.Groups[1].Value, m.Groups[2].Value)),
        (NoSysctl(), m => Say.NoSysctlHere(m.Groups[1].Value)),
        (Governors(), m => Say.GovernorsHere(m.Groups[1].Value, m.Groups[2].Value)),
    ];

    [GeneratedRegex(@"^Only (\d+) of (\d+) huge pages of (\w+) could be had; they were given back\.\z")]
    private static partial Regex PagesShort();

    [GeneratedRegex(@"^Memory is in too many pieces by now\. At boot it is not: add (.{1,100}) to the kernel's command line, or take fewer pages\.\z")]
    private static partial Regex PagesShortHint();

    [GeneratedRegex(@"^Only (\d+) of (\d+) pages could be had\.\z")]
    private static partial Regex PagesFewer();

    [GeneratedRegex(@"^(\d+) pages are left: the others are in use\.\z")]
    private static partial Regex PagesLeft();

    [GeneratedRegex(@"^(/\S{1,200}): (\d+) pages are left: they are in use, or not to be had any more\.\z")]
    private static partial Regex PagesNotReturned();

    [GeneratedRegex(@"^(\d+) of (\d+) interrupts stay where they are: the kernel places them itself\.\z")]
    private static partial Regex IrqsStay();

    [GeneratedRegex(@"^(/\S{1,200}): Somebody has changed it to ""([^""]{0,200})"" since; it is left so\.\z")]
    private static partial Regex ChangedSince();

    [GeneratedRegex(@"^The kernel refused ""([^""]{0,200})"" for (/\S{1,200}): ([^.]{1,100})\.\z")]
    private static partial Regex KernelRefused();

    [GeneratedRegex(@"^The portal may not write (/\S{1,200})\.\z")]
    private static partial Regex NotWritable();

    [GeneratedRegex(@"^This host offers no huge pages of (\w+) on node (\d+)\.\z")]
    private static partial Regex NoHugePagesOnNode();

    [GeneratedRegex(@"^This host offers no huge pages of (\w+)\.\z")]
    private static partial Regex NoHugePages();

    [GeneratedRegex(@"^The module (\w+) is not loaded, or has no parameter (\w+)\.\z")]
    private static partial Regex NoParameter();

    [GeneratedRegex(@"^This host's kernel has no ([\w.-]+)\.\z")]
    private static partial Regex NoSysctl();

    [GeneratedRegex(@"^CPU (\d+) offers these governors only: ([\w ]{1,200})\.\z")]
    private static partial Regex Governors();

    [GeneratedRegex(@"^Left out: (.{1,2000})\z", RegexOptions.Singleline)]
    private static partial Regex LeftOut();
}
