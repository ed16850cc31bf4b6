using System.Text.RegularExpressions;

namespace KvmPortal.Engine;

// What hosts say when vCPUs and memory come and go.
public static partial class HostSentences
{
    private static readonly (Regex Shape, Func<Match, Sentence> Made)[] ShapesOfPlugging =
    [
        (VcpuRoom(), m => Say.VcpuRoom(m.Groups[1].Value)),
        (MemoryRoom(), m => Say.MemoryRoom(m.Groups[1].Value)),
        (VcpuHeld(), m => Say.VcpuHeld(m.Groups[1].Value, m.Groups[2].Value)),
        (VcpuTooEarly(), m => Say.VcpuTooEarly(m.Groups[1].Value)),
        (VcpuLateGone(), m => Say.VcpuLateGone(m.Groups[1].Value)),
        (MemoryTookLess(), m => Say.MemoryTookLess(m.Groups[1].Value, m.Groups[2].Value)),
        (MemoryGaveLess(), m => Say.MemoryGaveLess(m.Groups[1].Value, m.Groups[2].Value)),
    ];

    [GeneratedRegex(@"^The machine was started with room for (\d{1,9}) vCPUs\.\z")]
    private static partial Regex VcpuRoom();

    [GeneratedRegex(@"^The machine was started with room for (\d{1,9}) MiB\.\z")]
    private static partial Regex MemoryRoom();

    [GeneratedRegex(@"^The guest did not let go of vCPU (\d{1,9}) within (\d{1,9}) s; it may still do so later\.\z")]
    private static partial Regex VcpuHeld();

    [GeneratedRegex(@"^The guest cannot let go of vCPU (\d{1,9}): it has not come up far enough\.\z")]
    private static partial Regex VcpuTooEarly();

    [GeneratedRegex(@"^The guest has let go of a vCPU after its time had passed; it has (\d{1,9}) now\.\z")]
    private static partial Regex VcpuLateGone();

    [GeneratedRegex(@"^The guest took only (\d{1,9}) of (\d{1,9}) MiB; it keeps the memory that it had\.\z")]
    private static partial Regex MemoryTookLess();

    [GeneratedRegex(@"^The guest gave back only (\d{1,9}) of (\d{1,9}) MiB; it keeps the memory that it had\.\z")]
    private static partial Regex MemoryGaveLess();
}
