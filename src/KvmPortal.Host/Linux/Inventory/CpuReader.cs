using System.Globalization;
using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>
/// CPUs and what they share (Documentation/admin-guide/cputopology.rst, Documentation/ABI/testing/sysfs-devices-system-cpu). Everything is keyed on sets; a set that does not
/// hold its own CPU is not believed.
/// </summary>
internal static class CpuReader
{
    private const string Root = "/sys/devices/system/cpu";

    public static (CpuInventory Cpu, IReadOnlyList<LogicalCpu> Cpus) Read(HostTree tree, IReadOnlyList<NumaNode> nodes)
    {
        var info = CpuInfo(tree);
        var folders = CpuSet.Of(tree.Numbered(Root, "cpu").Where(id => id < CpuSet.MaxCpus));
        var present = tree.Cpus($"{Root}/present") is { IsEmpty: false } told ? told : folders.IsEmpty ? info.Processors : folders;
        var online = tree.Cpus($"{Root}/online") is { IsEmpty: false } on ? on & present
            : CpuSet.Of(present.Where(id => tree.Text($"{Root}/cpu{id}/online", 8) != "0"));
        var cpu = new CpuInventory(info.Vendor, info.Model, info.Architecture, info.Flags, info.VmxFlags, info.Microcode, tree.Text($"{Root}/smt/control", 64), tree.Flag($"{Root}/smt/active"),
            online, present, tree.Cpus($"{Root}/isolated") ?? default, tree.Cpus($"{Root}/nohz_full") ?? default, HypervisorBelow(tree, info.Flags));
        return (cpu, Threads(tree, present, online, nodes));
    }

    private static List<LogicalCpu> Threads(HostTree tree, CpuSet present, CpuSet online, IReadOnlyList<NumaNode> nodes)
    {
        var kinds = Kinds(tree, present);
        var core = Sharing.Agreed(present, online, id => tree.Cpus($"{Root}/cpu{id}/topology/core_cpus_list", $"{Root}/cpu{id}/topology/core_cpus") ?? tree.Cpus($"{Root}/cpu{id}/topology/thread_siblings_list", $"{Root}/cpu{id}/topology/thread_siblings"), alone: true);
        // Threads of one core share all of it: the first that can tell is asked.
        var told = core.Values.Distinct().ToDictionary(c => c.First, c => c.Select(id => Shared(tree, $"{Root}/cpu{id}")).FirstOrDefault(s => s != default));
        var cluster = Sharing.Agreed(present, online, id => told.TryGetValue(id, out var s) ? s.Cluster : null, alone: false);
        var l2 = Sharing.Agreed(present, online, id => told.TryGetValue(id, out var s) ? s.L2 : null, alone: false);
        var l3 = Sharing.Agreed(present, online, id => told.TryGetValue(id, out var s) ? s.L3 : null, alone: false);
        var nodeOf = new Dictionary<int, int>();
        foreach (var node in nodes)
            foreach (var id in node.Cpus)
                nodeOf.TryAdd(id, node.Id);
        return [.. WithKinds([.. present.Select(id =>
        {
            var folder = $"{Root}/cpu{id}";
            return new LogicalCpu(id, online.Contains(id), tree.Int($"{folder}/topology/physical_package_id") is { } package and >= 0 ? package : null, tree.Int($"{folder}/topology/die_id") is { } die and >= 0 ? die : null,
                core[id], cluster[id].Count > core[id].Count ? cluster[id] : default, l2[id], l3[id], nodeOf.GetValueOrDefault(id, -1), kinds.GetValueOrDefault(id),
                tree.Number($"{folder}/cpufreq/cpuinfo_max_freq") is { } khz and > 0 and < 100_000_000 ? (int)(khz / 1000) : null, tree.Text($"{folder}/cpufreq/scaling_governor", 64))
            {
                ResumeLatencyMicroseconds = Latency(tree.Text($"{folder}/power/pm_qos_resume_latency_us", 32)),
            };
        })])];
    }

    private static (CpuSet? Cluster, CpuSet? L2, CpuSet? L3) Shared(HostTree tree, string folder)
    {
        var (l2, l3) = Caches(tree, folder);
        return (tree.Cpus($"{folder}/topology/cluster_cpus_list", $"{folder}/topology/cluster_cpus"), l2, l3);
    }

    // "n/a" is the kernel's word for "no latency at all is allowed".
    private static int? Latency(string? text) => text is null ? null : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var us) ? us : 0;

    /// <summary>Indexes are in no order: each says its level and type.</summary>
    private static (CpuSet? L2, CpuSet? L3) Caches(HostTree tree, string folder)
    {
        CpuSet? l2 = null, l3 = null;
        foreach (var index in tree.Numbered($"{folder}/cache", "index").Take(16))
        {
            var cache = $"{folder}/cache/index{index}";
            var level = tree.Int($"{cache}/level");
            if (level is not (2 or 3) || tree.Text($"{cache}/type", 32) == "Instruction")
                continue;
            var shared = tree.Cpus($"{cache}/shared_cpu_list", $"{cache}/shared_cpu_map");
            if (level == 2)
                l2 = shared;
            else
                l3 = shared;
        }

        return (l2, l3);
    }

    /// <summary>Hybrid x86 names both kinds; on arm64 capacities differ.</summary>
    private static Dictionary<int, CpuKind> Kinds(HostTree tree, CpuSet present)
    {
        var kinds = new Dictionary<int, CpuKind>();
        var (fast, slow) = (tree.Cpus("/sys/devices/cpu_core/cpus") ?? default, (tree.Cpus("/sys/devices/cpu_atom/cpus") ?? default) | (tree.Cpus("/sys/devices/cpu_lowpower/cpus") ?? default));
        if (!fast.IsEmpty && !slow.IsEmpty)
        {
            foreach (var id in fast & present)
                kinds[id] = CpuKind.Performance;
            foreach (var id in (slow - fast) & present)
                kinds[id] = CpuKind.Efficiency;
            return kinds;
        }

        var capacities = present.Select(id => (Id: id, Capacity: tree.Int($"{Root}/cpu{id}/cpu_capacity"))).Where(c => c.Capacity is > 0).ToDictionary(c => c.Id, c => c.Capacity!.Value);
        if (capacities.Count == 0 || capacities.Values.Min() >= capacities.Values.Max() * AlikeShare)
            return kinds;
        foreach (var (id, capacity) in capacities)
            kinds[id] = capacity >= capacities.Values.Max() * AlikeShare ? CpuKind.Performance : CpuKind.Efficiency;
        return kinds;
    }

    // Cores of one kind differ by a little: the best of a die are let run a little faster.
    private const double AlikeShare = 0.85;

    /// <summary>
    /// Hybrid x86 under kernels that do not name the kinds: small cores share an L2 among several, big ones have their own. Old processors did so, too: small ones are also slower,
    /// or, where no speed is told, have one thread where the big ones have two.
    /// </summary>
    private static IEnumerable<LogicalCpu> WithKinds(List<LogicalCpu> cpus)
    {
        bool Small(LogicalCpu cpu) => cpu.L2.Count > cpu.Core.Count;
        var known = cpus.Where(c => !c.L2.IsEmpty).ToList();
        var (big, small) = (known.Where(c => !Small(c)).ToList(), known.Where(Small).ToList());
        if (cpus.Any(c => c.Kind != CpuKind.Unknown) || big.Count == 0 || small.Count == 0)
            return cpus;
        var differ = known.All(c => c.MaxMHz is not null) ? small.Max(c => c.MaxMHz) < big.Min(c => c.MaxMHz) : big.All(c => c.Core.Count > 1) && small.All(c => c.Core.Count == 1);
        return differ ? cpus.Select(c => c.L2.IsEmpty ? c : c with { Kind = Small(c) ? CpuKind.Efficiency : CpuKind.Performance }) : cpus;
    }

    private static bool HypervisorBelow(HostTree tree, IReadOnlyList<string> flags) =>
        flags.Contains("hypervisor") || tree.Exists("/sys/hypervisor/type")
        || tree.Text("/sys/class/dmi/id/sys_vendor", 256) is { } vendor && (vendor.Contains("QEMU", StringComparison.Ordinal) || vendor.Contains("VMware", StringComparison.Ordinal) || vendor.Contains("innotek", StringComparison.Ordinal) || vendor.Contains("Xen", StringComparison.Ordinal));

    private sealed record Info(string? Vendor, string? Model, string Architecture, IReadOnlyList<string> Flags, IReadOnlyList<string> VmxFlags, string? Microcode, CpuSet Processors);

    private static Info CpuInfo(HostTree tree)
    {
        var first = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        var processors = new List<int>();
        foreach (var line in tree.Lines("/proc/cpuinfo"))
        {
            var colon = line.IndexOf(':');
            if (colon < 0)
                continue;
            var (key, value) = (line[..colon].Trim(), line[(colon + 1)..].Trim());
            if (key == "processor" && int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var id) && id < CpuSet.MaxCpus)
                processors.Add(id);
            else if (value.Length > 0)
                first.TryAdd(key, value);
        }

        string? Of(string key) => first.GetValueOrDefault(key);
        IReadOnlyList<string> Words(string? text) => text is null ? [] : [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Distinct().Order(StringComparer.Ordinal)];
        var architecture = Of("CPU implementer") is not null ? Of("CPU architecture") is "7" or "6" or "5TEJ" ? "arm" : "aarch64"
            : Of("vendor_id") == "IBM/S390" ? "s390x"
            : Of("flags") is not null ? "x86_64"
            : Of("cpu")?.StartsWith("POWER", StringComparison.Ordinal) == true ? "ppc64le"
            : Of("cpu")?.Contains("altivec", StringComparison.Ordinal) == true ? "ppc64"
            : Of("arch") == "IA-64" ? "ia64"
            : Of("isa") is not null ? "riscv64"
            : tree.IsThisHost ? RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "aarch64" : "x86_64" : "unknown";
        var (vendor, model) = architecture is "aarch64" or "arm" ? ArmNames.Of(Of("CPU implementer"), Of("CPU part")) : (Of("vendor_id") ?? (architecture == "ppc64le" ? "IBM" : null), Of("model name") ?? Of("cpu") ?? Of("uarch"));
        return new Info(vendor, model ?? Of("model name"), architecture, Words(Of("flags") ?? Of("Features") ?? Of("features")), Words(Of("vmx flags")), Of("microcode"), CpuSet.Of(processors));
    }
}

/// <summary>Names behind the numbers of MIDR_EL1 (Arm's and the vendors' technical reference manuals).</summary>
internal static class ArmNames
{
    public static (string? Vendor, string? Model) Of(string? implementer, string? part) => (implementer switch
    {
        "0x41" => "ARM",
        "0x42" => "Broadcom",
        "0x43" => "Cavium",
        "0x46" => "Fujitsu",
        "0x48" => "HiSilicon",
        "0x4e" => "NVIDIA",
        "0x50" => "APM",
        "0x51" => "Qualcomm",
        "0x61" => "Apple",
        "0x6d" => "Microsoft",
        "0x70" => "Phytium",
        "0xc0" => "Ampere",
        null => null,
        _ => $"implementer {implementer}",
    }, (implementer, part) switch
    {
        ("0x41", "0xd03") => "Cortex-A53",
        ("0x41", "0xd08") => "Cortex-A72",
        ("0x41", "0xd0b") => "Cortex-A76",
        ("0x41", "0xd0c") => "Neoverse-N1",
        ("0x41", "0xd40") => "Neoverse-V1",
        ("0x41", "0xd49") => "Neoverse-N2",
        ("0x41", "0xd4f") => "Neoverse-V2",
        ("0x43", "0x0a1") => "ThunderX",
        ("0x43", "0x0af") => "ThunderX2",
        ("0x46", "0x001") => "A64FX",
        ("0x48", "0xd01") => "Kunpeng-920",
        ("0x48", "0xd02") => "Kunpeng-930",
        ("0x70", "0x662") => "FT-2000+",
        ("0x70", "0x663") => "S2500",
        ("0xc0", "0xac3") => "Ampere-1",
        ("0xc0", "0xac4") => "Ampere-1a",
        (_, null) => null,
        _ => $"part {part}",
    });
}
