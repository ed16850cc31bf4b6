using System.Buffers.Text;
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

    private ProcessMeter(SafeFileHandle cpu, SafeFileHandle memory, SafeFileHandle[] threads)
    {
        (this.cpu, this.memory, this.threads) = (cpu, memory, threads);
    }

    /// <summary>Null when the process is gone.</summary>
    public static ProcessMeter? Open(int pid, IReadOnlyList<int> vcpuThreads)
    {
        try
        {
            return new ProcessMeter(Handle($"/proc/{pid}/stat"), Handle($"/proc/{pid}/statm"), [.. vcpuThreads.Select(t => Handle($"/proc/{pid}/task/{t}/schedstat"))]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>CPU time of all threads in nanoseconds, resident bytes, and CPU time per vCPU; false when the process is gone.</summary>
    public bool TryRead(out long cpuNanoseconds, out long residentBytes, long[] vcpuNanoseconds)
    {
        (cpuNanoseconds, residentBytes) = (0, 0);
        try
        {
            // utime and stime, fields 14 and 15, in clock ticks of 10 ms (proc(5)); counted from the last parenthesis.
            var stat = Text(cpu);
            var rest = stat[(stat.LastIndexOf((byte)')') + 2)..];
            cpuNanoseconds = (Field(rest, 11) + Field(rest, 12)) * 10_000_000;
            residentBytes = Field(Text(memory), 1) * PageSize;
            for (var i = 0; i < threads.Length && i < vcpuNanoseconds.Length; i++)
                vcpuNanoseconds[i] = Field(Text(threads[i]), 0);
            return true;
        }
        catch (Exception e) when (e is IOException or ArgumentOutOfRangeException)
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

    private static long Field(ReadOnlySpan<byte> text, int index)
    {
        for (; index > 0; index--)
            text = text[(text.IndexOf((byte)' ') + 1)..];
        return Utf8Parser.TryParse(text, out long value, out _) ? value : 0;
    }
}
