using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Pinning;

/// <summary>Which CPUs a thread may run on (sched_setaffinity(2)). Masks are of <see cref="CpuMask.Words"/> words, CPU 0 is the lowest bit of the first.</summary>
internal interface IAffinity
{
    /// <summary>False when there is no such thread.</summary>
    bool TryGet(int threadId, Span<ulong> mask);

    /// <returns>0, or an errno: <see cref="CpuMask.NoSuchThread"/>, <see cref="CpuMask.Invalid"/> …</returns>
    int Set(int threadId, ReadOnlySpan<ulong> mask);
}

/// <summary>Sets of CPUs as the kernel takes them.</summary>
internal static class CpuMask
{
    public const int Words = CpuSet.MaxCpus / 64;
    /// <summary>ESRCH.</summary>
    public const int NoSuchThread = 3;
    /// <summary>EINVAL: none of the CPUs is there, or the kernel moves this thread itself.</summary>
    public const int Invalid = 22;

    public static ulong[] Of(CpuSet set)
    {
        var mask = new ulong[Words];
        foreach (var cpu in set)
            mask[cpu / 64] |= 1UL << (cpu % 64);
        return mask;
    }

    public static CpuSet SetOf(ReadOnlySpan<ulong> mask)
    {
        var cpus = new List<int>();
        for (var cpu = 0; cpu < mask.Length * 64; cpu++)
            if ((mask[cpu / 64] & (1UL << (cpu % 64))) != 0)
                cpus.Add(cpu);
        return CpuSet.Of(cpus);
    }

    /// <summary>Whether <paramref name="actual"/> has no CPU that <paramref name="wanted"/> has not.</summary>
    public static bool Inside(ReadOnlySpan<ulong> actual, ReadOnlySpan<ulong> wanted)
    {
        for (var i = 0; i < Words; i++)
            if ((actual[i] & ~wanted[i]) != 0)
                return false;
        return true;
    }
}

/// <summary>Asks the kernel. One system call each and no allocation: a watch compares thousands of threads.</summary>
internal sealed partial class KernelAffinity : IAffinity
{
    private const nuint Bytes = CpuMask.Words * 8;

    public bool TryGet(int threadId, Span<ulong> mask)
    {
        // The kernel writes as many words as it has CPUs; the C library does not always clear the rest.
        mask.Clear();
        return GetAffinity(threadId, Bytes, ref MemoryMarshal.GetReference(mask)) == 0;
    }

    public int Set(int threadId, ReadOnlySpan<ulong> mask) =>
        SetAffinity(threadId, Bytes, in MemoryMarshal.GetReference(mask)) == 0 ? 0 : Marshal.GetLastPInvokeError();

    [LibraryImport("libc", EntryPoint = "sched_getaffinity")]
    private static partial int GetAffinity(int threadId, nuint bytes, ref ulong mask);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SetAffinity(int threadId, nuint bytes, in ulong mask);
}
