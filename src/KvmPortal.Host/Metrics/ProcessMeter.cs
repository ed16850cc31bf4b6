using System.Buffers.Text;
using KvmPortal.Host.Linux;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Metrics;

/// <summary>
/// Reads one process's CPU time and memory, and its vCPU threads', from files that stay open: a reading is a few pread(2) into one buffer, because a hundred
/// machines are read every second. Not thread-safe.
/// </summary>
internal sealed class ProcessMeter : IDisposable
{
    private static readonly long PageSize = Environment.SystemPageSize;
    private readonly byte[] buffer = new byte[1024];
    private readonly SafeFileHandle cpu;
    private readonly SafeFileHandle memory;
    private readonly SafeFileHandle[] threads;
    private readonly bool scheduler;

    private ProcessMeter(SafeFileHandle cpu, SafeFileHandle memory, SafeFileHandle[] threads, bool scheduler)
    {
        (this.cpu, this.memory, this.threads, this.scheduler) = (cpu, memory, threads, scheduler);
    }

    /// <summary>Null when the process, or one of the threads, is gone.</summary>
    public static ProcessMeter? Open(int pid, IReadOnlyList<int> vcpuThreads) => Open(new HostPaths(), pid, vcpuThreads);

    public static ProcessMeter? Open(HostPaths paths, int pid, IReadOnlyList<int> vcpuThreads)
    {
        // A kernel without CONFIG_SCHED_INFO has no schedstat: then threads are read in ticks, too.
        var scheduler = File.Exists(paths.Proc($"{pid}/schedstat"));
        var opened = new List<SafeFileHandle>(vcpuThreads.Count + 2);
        try
        {
            opened.Add(Handle(paths.Proc($"{pid}/stat")));
            opened.Add(Handle(paths.Proc($"{pid}/statm")));
            foreach (var thread in vcpuThreads)
                opened.Add(Handle(paths.Proc($"{pid}/task/{thread}/{(scheduler ? "schedstat" : "stat")}")));
            return new ProcessMeter(opened[0], opened[1], [.. opened.Skip(2)], scheduler);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            opened.ForEach(h => h.Dispose());
            return null;
        }
    }

    /// <summary>CPU time of all threads in nanoseconds, resident bytes, and CPU time per vCPU; false when the process is gone.</summary>
    public bool TryRead(out long cpuNanoseconds, out long residentBytes, long[] vcpuNanoseconds)
    {
        (cpuNanoseconds, residentBytes) = (0, 0);
        try
        {
            var stat = Text(cpu);
            // A process that ended has an empty file or, while nobody has waited for it, the state Z.
            if (!stat.Contains((byte)')') || AfterName(stat)[0] is (byte)'Z' or (byte)'X')
                return false;
            cpuNanoseconds = Ticks(stat);
            residentBytes = Field(Text(memory), 1) * PageSize;
            for (var i = 0; i < threads.Length && i < vcpuNanoseconds.Length; i++)
                vcpuNanoseconds[i] = scheduler ? Field(Text(threads[i]), 0) : Ticks(Text(threads[i]));
            return true;
        }
        catch (Exception e) when (e is IOException or ArgumentOutOfRangeException or IndexOutOfRangeException)
        {
            return false;
        }
    }

    public void Dispose()
    {
        cpu.Dispose();
        memory.Dispose();
        foreach (var thread in threads)
            thread.Dispose();
    }

    private static SafeFileHandle Handle(string path) => File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);

    private ReadOnlySpan<byte> Text(SafeFileHandle file) => buffer.AsSpan(0, RandomAccess.Read(file, buffer, 0));

    /// <summary>What follows the process name, which stands in parentheses and may contain anything, parentheses and spaces too.</summary>
    private static ReadOnlySpan<byte> AfterName(ReadOnlySpan<byte> stat) => stat[(stat.LastIndexOf((byte)')') + 2)..];

    /// <summary>utime and stime, fields 14 and 15 of stat, in clock ticks of 10 ms (proc(5)), as nanoseconds.</summary>
    private static long Ticks(ReadOnlySpan<byte> stat)
    {
        var rest = AfterName(stat);
        return (Field(rest, 11) + Field(rest, 12)) * 10_000_000;
    }

    private static long Field(ReadOnlySpan<byte> text, int index)
    {
        for (; index > 0; index--)
            text = text[(text.IndexOf((byte)' ') + 1)..];
        return Utf8Parser.TryParse(text, out long value, out _) ? value : 0;
    }
}
