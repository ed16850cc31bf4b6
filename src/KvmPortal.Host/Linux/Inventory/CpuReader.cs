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
        var done = new Dictionary<int, (CpuSet Core, CpuSet Cluster, CpuSet L2, CpuSet L3)>();
        var cpus = new List<LogicalCpu>(present.Count);
        foreach (var id in present)
        {
            var folder = $"{Root}/cpu{id}";
            if (!done.TryGetValue(id, out var shared))
            {
                var core = Own(tree.Cpus($"{folder}/topology/core_cpus_list", $"{folder}/topology/core_cpus") ?? tree.Cpus($"{folder}/topology/thread_siblings_list", $"{folder}/topology/thread_siblings"), id, online) ?? CpuSet.Of(id);
                var cluster = Own(tree.Cpus($"{folder}/topology/cluster_cpus_list", $"{folder}/topology/cluster_cpus"), id, online) ?? default;
                var (l2, l3) = Caches(tree, folder, id, online);
                shared = (core, cluster.Count > core.Count ? cluster : default, l2, l3);
                // Threads of one core share all of it: they need not be asked.
                foreach (var sibling in core)
                    done.TryAdd(sibling, shared);
            }

            cpus.Add(new LogicalCpu(id, online.Contains(id), tree.Int($"{folder}/topology/physical_package_id"), tree.Int($"{folder}/topology/die_id") is { } die and >= 0 ? die : null,
                shared.Core, shared.Cluster, shared.L2, shared.L3, nodes.FirstOrDefault(n => n.Cpus.Contains(id))?.Id ?? -1, kinds.GetValueOrDefault(id),
                tree.Number($"{folder}/cpufreq/cpuinfo_max_freq") is { } khz and > 0 and < 100_000_000 ? (int)(khz / 1000) : null, tree.Text($"{folder}/cpufreq/scaling_governor", 64))
            {
                ResumeLatencyMicroseconds = Latency(tree.Text($"{folder}/power/pm_qos_resume_latency_us", 32)),
            });
        }

        return cpus;
    }

    private static CpuSet? Own(CpuSet? told, int id, CpuSet online) => told is { } set && set.Contains(id) ? (set & online) | CpuSet.Of(id) : null;

    // "n/a" is the kernel's word for "no latency at all is allowed".
    private static int? Latency(string? text) => text is null ? null : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var us) ? us : 0;

    /// <summary>Indexes are in no order: each says its level and type.</summary>
    private static (CpuSet L2, CpuSet L3) Caches(HostTree tree, string folder, int id, CpuSet online)
    {
        CpuSet l2 = default, l3 = default;
        foreach (var index in tree.Numbered($"{folder}/cache", "index").Take(16))
        {
            var cache = $"{folder}/cache/index{index}";
            if (tree.Int($"{cache}/level") is not (2 or 3) || tree.Text($"{cache}/type", 32) == "Instruction")
                continue;
            var shared = Own(tree.Cpus($"{cache}/shared_cpu_list", $"{cache}/shared_cpu_map"), id, online) ?? default;
            switch (tree.Int($"{cache}/level"))
            {
                case 2:
                    l2 = shared;
                    break;
                case 3:
                    l3 = shared;
                    break;
            }
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

        var capacities = present.Select(id => (Id: id, Capacity: tree.Int($"{Root}/cpu{id}/cpu_capacity"))).ToList();
        if (capacities.Any(c => c.Capacity is null) || capacities.Select(c => c.Capacity).Distinct().Count() < 2)
            return kinds;
        var most = capacities.Max(c => c.Capacity);
        foreach (var (id, capacity) in capacities)
            kinds[id] = capacity == most ? CpuKind.Performance : CpuKind.Efficiency;
        return kinds;
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
        var architecture = Of("CPU implementer") is not null ? "aarch64"
            : Of("vendor_id") == "IBM/S390" ? "s390x"
            : Of("flags") is not null ? "x86_64"
            : Of("cpu")?.StartsWith("POWER", StringComparison.Ordinal) == true ? "ppc64le"
            : Of("isa") is not null ? "riscv64"
            : tree.IsThisHost ? RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "aarch64" : "x86_64" : "unknown";
        var (vendor, model) = architecture == "aarch64" ? ArmNames.Of(Of("CPU implementer"), Of("CPU part")) : (Of("vendor_id"), Of("model name") ?? Of("cpu") ?? Of("uarch"));
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
