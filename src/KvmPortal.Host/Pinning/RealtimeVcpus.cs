using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Pinning;

/// <summary>
/// Puts vCPUs into the real-time class (sched(7)), where nothing ordinary takes their CPU. That is safe only on a real-time kernel, whose own work can still interrupt them, and only on
/// CPUs that nobody else has: anywhere else a busy guest would stop the host.
/// </summary>
/// <param name="paths">Where the kernel's files are.</param>
/// <param name="set">sched_setscheduler(2): thread, class, priority; 0 or an errno.</param>
internal sealed partial class RealtimeVcpus(HostPaths paths, Func<int, int, int, int>? set = null)
{
    private const int Other = 0, Fifo = 1, Lowest = 1;
    private readonly Func<int, int, int, int> set = set ?? Kernel;

    /// <summary>All of them or none. Throws NotAllowed with what is missing.</summary>
    public void Apply(MachinePlacement placement, IReadOnlyList<int> threads)
    {
        if (HostPaths.Read(paths.Sys("kernel/realtime"))?.Trim() != "1")
            throw new HostException(HostError.NotAllowed, "This kernel is not a real-time kernel: vCPUs in the real-time class could stop the host.");
        if (CpuPartitions.Dedicated(placement).IsEmpty)
            throw new HostException(HostError.NotAllowed, "vCPUs run in the real-time class only where each has a CPU of its own.");
        for (var i = 0; i < threads.Count; i++)
        {
            if (set(threads[i], Fifo, Lowest) is not 0 and not CpuMask.NoSuchThread and var error)
            {
                Release(threads);
                throw new HostException(HostError.NotAllowed, $"vCPU {i} cannot be put into the real-time class: {Marshal.GetPInvokeErrorMessage(error)}.");
            }
        }
    }

    /// <summary>Back into the ordinary class.</summary>
    public void Release(IReadOnlyList<int> threads)
    {
        foreach (var thread in threads)
            set(thread, Other, 0);
    }

    private static int Kernel(int thread, int policy, int priority) => SetScheduler(thread, policy, in priority) == 0 ? 0 : Marshal.GetLastPInvokeError();

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    private static partial int SetScheduler(int threadId, int policy, in int priority);
}
