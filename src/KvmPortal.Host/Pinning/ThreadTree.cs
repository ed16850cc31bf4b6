using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Pinning;

/// <summary>Threads and processes as /proc shows them (proc(5)); below a root of a test's own.</summary>
internal sealed class ThreadTree(HostPaths paths)
{
    private const int MostThreads = 8192;
    private const long KernelThread = 0x00200000, NoAffinity = 0x04000000;

    /// <summary>CPUs that are online now; empty where the kernel does not say.</summary>
    public CpuSet Online() => CpuSet.TryParse(HostPaths.Read(paths.Sys("devices/system/cpu/online")), out var set) ? set : CpuSet.Empty;

    /// <summary>Thread ids of a process in ascending order, its main thread first; none when it has ended.</summary>
    public List<int> Of(int pid)
    {
        try
        {
            var threads = new List<int>();
            foreach (var folder in Directory.EnumerateDirectories(paths.Proc($"{pid}/task")).Take(MostThreads))
                if (int.TryParse(Path.GetFileName(folder.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var thread))
                    threads.Add(thread);
            threads.Sort((a, b) => a == pid ? -1 : b == pid ? 1 : a.CompareTo(b));
            return threads;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    public bool Has(int pid, int thread) => thread > 0 && Directory.Exists(paths.Proc($"{pid}/task/{thread}"));

    /// <summary>Its name, which the process itself gives; short and printable.</summary>
    public string Name(int pid, int thread) => PeerText.Clean(HostPaths.Read(paths.Proc($"{pid}/task/{thread}/comm")) ?? "", 32);

    /// <summary>Whether affinity can be set at all: workers that the kernel makes for io_uring stay where it puts them (PF_NO_SETAFFINITY).</summary>
    public bool Movable(int pid, int thread) => (Flags(paths.Proc($"{pid}/task/{thread}/stat")) & NoAffinity) == 0;

    /// <summary>Kernel threads that serve this process's network cards (`vhost-PID`); from Linux 6.4 on they are threads of the process itself instead.</summary>
    public IEnumerable<int> VhostOf(int pid)
    {
        var name = $"vhost-{pid}";
        foreach (var folder in Directory.EnumerateDirectories(paths.Proc("")))
            if (int.TryParse(Path.GetFileName(folder.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var thread)
                && HostPaths.Read(Path.Combine(folder, "comm")) == name && IsKernelThread(thread))
                yield return thread;
    }

    /// <summary>Anybody may call a process `vhost-…`; only the kernel can make a kernel thread.</summary>
    public bool IsKernelThread(int thread) => (Flags(paths.Proc($"{thread}/stat")) & KernelThread) != 0;

    public string? Text(int pid, int thread, string file) => HostPaths.Read(paths.Proc($"{pid}/task/{thread}/{file}"));

    /// <summary>Field 9 of stat, counted from the last parenthesis because the name may contain anything.</summary>
    private static long Flags(string file)
    {
        if (HostPaths.Read(file) is not { } stat || stat.LastIndexOf(')') is not (> 0 and var end))
            return 0;
        var fields = stat[(end + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 6 && long.TryParse(fields[6], NumberStyles.None, CultureInfo.InvariantCulture, out var flags) ? flags : 0;
    }
}
