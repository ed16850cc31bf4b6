using KvmPortal.Host.Contract;

namespace KvmPortal.Faults.Tests;

/// <summary>A host's kernel files that jobs may set: below the run's own folder, never this machine's.</summary>
internal static class KernelTree
{
    private const string Pages = "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages";
    private const string Thp = "sys/kernel/mm/transparent_hugepage/enabled";
    private const string Ksm = "sys/kernel/mm/ksm/run";
    private const string Irqbalance = "etc/default/irqbalance";

    /// <summary>More than is added at one go.</summary>
    public static readonly HostSetting HugePages = new HugePagesSetting(0, 2048, 1200);
    public static readonly HostSetting NoThp = new TransparentHugePagesSetting("never");
    public static readonly HostSetting NoKsm = new KsmSetting("off");
    public static readonly HostSetting Ban = new IrqbalanceBanSetting(CpuSet.Of(2, 3));

    private static readonly Dictionary<string, string> Original = new()
    {
        [Pages] = "8",
        [Thp] = "madvise",
        [Ksm] = "1",
        [Irqbalance] = "# irqbalance\nIRQBALANCE_ARGS=",
        ["sys/devices/system/cpu/online"] = "0-3",
        ["sys/devices/system/cpu/present"] = "0-3",
        ["sys/devices/system/cpu/cpu0/topology/thread_siblings_list"] = "0",
        ["sys/devices/system/cpu/cpu1/topology/thread_siblings_list"] = "1",
        ["sys/devices/system/cpu/cpu2/topology/thread_siblings_list"] = "2",
        ["sys/devices/system/cpu/cpu3/topology/thread_siblings_list"] = "3",
        ["sys/devices/system/node/node0/cpulist"] = "0-3",
        ["sys/devices/system/node/online"] = "0",
        ["sys/devices/system/node/node0/meminfo"] = "Node 0 MemTotal: 16777216 kB\nNode 0 MemFree: 12582912 kB",
        ["proc/cmdline"] = "root=/dev/vda1 ro",
    };

    public static void Make(string root)
    {
        foreach (var (path, text) in Original)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(root, path))!);
            File.WriteAllText(Path.Combine(root, path), text + "\n");
        }
    }

    public static IReadOnlyDictionary<string, string> Read(string root) => Original.Keys.ToDictionary(p => p, p => File.ReadAllText(Path.Combine(root, p)).TrimEnd());

    /// <summary>What the files must say when these settings are in force.</summary>
    public static IReadOnlyDictionary<string, string> With(IEnumerable<HostSetting> settings)
    {
        var files = new Dictionary<string, string>(Original);
        foreach (var setting in settings)
            (files[Pages], files[Thp], files[Ksm], files[Irqbalance]) = (setting == HugePages ? "1200" : files[Pages], setting == NoThp ? "never" : files[Thp], setting == NoKsm ? "0" : files[Ksm],
                setting == Ban ? files[Irqbalance] + "\nIRQBALANCE_BANNED_CPULIST=2-3" : files[Irqbalance]);
        return files;
    }

    /// <summary>From now on the kernel refuses to change KSM: what is needed to replace the file is taken.</summary>
    public static void RefuseKsm(string root) => Directory.CreateDirectory(Path.Combine(root, "sys/kernel/mm/ksm/.run.kvmportal"));
}
