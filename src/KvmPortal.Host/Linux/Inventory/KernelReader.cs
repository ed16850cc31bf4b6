using System.Text.RegularExpressions;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>The kernel's version and settings.</summary>
internal static partial class KernelReader
{
    private static readonly string[] TimeServices = ["chronyd", "systemd-timesyn", "systemd-timesyncd", "ntpd", "openntpd", "ptp4l", "phc2sys"];

    public static KernelInventory Read(HostTree tree)
    {
        var idle = FirstWith(tree, "cpuidle");
        var (version, controllers) = Cgroup(tree);
        var running = Running(tree);
        return new KernelInventory
        {
            Version = tree.Text("/proc/sys/kernel/osrelease", 256) ?? (tree.Text("/proc/version", 1024)?.Split(' ') is [_, _, var release, ..] ? release : null),
            CommandLine = tree.Text("/proc/cmdline", 16 * 1024) is { } line ? Clean(line) : null,
            TransparentHugePages = tree.Choice("/sys/kernel/mm/transparent_hugepage/enabled"),
            TransparentHugePageDefrag = tree.Choice("/sys/kernel/mm/transparent_hugepage/defrag"),
            Ksm = tree.Int("/sys/kernel/mm/ksm/run"),
            NumaBalancing = tree.Int("/proc/sys/kernel/numa_balancing") is { } balancing ? balancing != 0 : null,
            Swap = [.. tree.Lines("/proc/swaps", 64 * 1024).Skip(1).Select(l => l.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)).Where(f => f.Length > 2).Take(64).Select(f => new SwapArea(f[0], long.TryParse(f[2], out var kib) ? kib / 1024 : 0, Encrypted(tree, f[0])))],
            ClockSource = tree.Text("/sys/devices/system/clocksource/clocksource0/current_clocksource", 64),
            ClockSources = tree.Text("/sys/devices/system/clocksource/clocksource0/available_clocksource", 256)?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [],
            IdleDriver = tree.Text("/sys/devices/system/cpu/cpuidle/current_driver", 64),
            IdleStates = idle is null ? [] : [.. tree.Numbered(idle, "state").Take(32).Select(i => new IdleState(tree.Text($"{idle}/state{i}/name", 64) ?? $"state{i}", tree.Int($"{idle}/state{i}/latency") ?? 0, tree.Flag($"{idle}/state{i}/disable") == true))],
            FrequencyDriver = FirstWith(tree, "cpufreq") is { } cpufreq ? tree.Text($"{cpufreq}/scaling_driver", 64) : null,
            Vulnerabilities = new SortedDictionary<string, string>(tree.Names("/sys/devices/system/cpu/vulnerabilities").Take(64).Select(n => (Name: n, Text: tree.Text($"/sys/devices/system/cpu/vulnerabilities/{n}", 512))).Where(v => v.Text is not null).ToDictionary(v => v.Name, v => v.Text!), StringComparer.Ordinal),
            SecurityModules = tree.Text("/sys/kernel/security/lsm", 512)?.Split(',', StringSplitOptions.RemoveEmptyEntries) ?? [],
            CgroupVersion = version,
            CgroupControllers = controllers,
            Systemd = tree.IsFolder("/run/systemd/system") || tree.Text("/proc/1/comm", 64) == "systemd",
            Realtime = tree.Text("/sys/kernel/realtime", 8) == "1",
            Resctrl = tree.IsFolder("/sys/fs/resctrl"),
            Irqbalance = running?.Contains("irqbalance"),
            TimeService = running is null ? null : TimeServices.FirstOrDefault(running.Contains),
            OvercommitMemory = tree.Int("/proc/sys/vm/overcommit_memory"),
        };
    }

    /// <summary>The folder of that name of the first CPU that has one.</summary>
    private static string? FirstWith(HostTree tree, string name) =>
        tree.Numbered("/sys/devices/system/cpu", "cpu").Take(64).Select(id => $"/sys/devices/system/cpu/cpu{id}/{name}").FirstOrDefault(tree.IsFolder);

    /// <summary>cgroups(7): a mount of cgroup2 at the top is v2; below `unified` beside v1's controllers it is hybrid.</summary>
    private static (string Version, IReadOnlyList<string> Controllers) Cgroup(HostTree tree)
    {
        const string Top = "/sys/fs/cgroup";
        var mounts = tree.Lines("/proc/mounts").Select(l => l.Split(' ')).Where(f => f.Length > 2).ToList();
        string[] Controllers(string folder) => tree.Text($"{folder}/cgroup.controllers", 1024)?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
        if (mounts.Any(f => f[1] == Top && f[2] == "cgroup2") || tree.Exists($"{Top}/cgroup.controllers"))
            return ("v2", Controllers(Top));
        var old = mounts.Any(f => f[2] == "cgroup") || tree.IsFolder($"{Top}/cpuset") || tree.IsFolder($"{Top}/memory");
        if (mounts.FirstOrDefault(f => f[2] == "cgroup2") is { } unified)
            return (old ? "hybrid" : "v2", Controllers(unified[1]));
        return tree.IsFolder($"{Top}/unified") ? ("hybrid", Controllers($"{Top}/unified")) : (old ? "v1" : "none", []);
    }

    /// <summary>Programs whose running matters; a capture tells of no others.</summary>
    public static IReadOnlySet<string> Telling { get; } = new HashSet<string>(TimeServices.Append("irqbalance"));

    /// <summary>Names of processes; null where none show but the first (a captured tree without processes).</summary>
    private static HashSet<string>? Running(HostTree tree)
    {
        if (tree.Numbered("/proc", "").All(pid => pid == 1))
            return null;
        var names = tree.Numbered("/proc", "").Take(32_768).Select(pid => tree.Text($"/proc/{pid}/comm", 64)).OfType<string>().ToHashSet();
        return names.Count > 0 ? names : null;
    }

    /// <summary>zram lies in memory; dm-crypt says so in its device's uuid.</summary>
    private static bool Encrypted(HostTree tree, string device)
    {
        var name = device.Split('/')[^1];
        if (name.StartsWith("zram", StringComparison.Ordinal))
            return true;
        var block = tree.Resolve(device)?.Split('/')[^1] ?? name;
        return tree.Text($"/sys/block/{block}/dm/uuid", 256)?.StartsWith("CRYPT-", StringComparison.Ordinal) == true;
    }

    /// <summary>A command line without what has no place in a report that is sent around: secrets, addresses, identities of file systems.</summary>
    public static string Clean(string commandLine) => Identity().Replace(Secret().Replace(commandLine, "$1=…"), "…");

    [GeneratedRegex(@"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b", RegexOptions.CultureInvariant)]
    private static partial Regex Identity();

    [GeneratedRegex(@"(?<![\w.-])([\w.-]*(?:passw|passphrase|secret|token|credential|hostname)[\w.-]*|rd\.luks\.key|ip|ifname|nfsroot|nfsaddrs|netroot|BOOTIF|[\w.-]*iscsi[\w.-]*|[\w.-]*nameserver)=\S+", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Secret();
}
