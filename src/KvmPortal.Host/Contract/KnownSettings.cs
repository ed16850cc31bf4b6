using System.Globalization;

namespace KvmPortal.Host.Contract;

/// <summary>Which values something takes: whole numbers of a range, or one of some words.</summary>
/// <param name="Words">Null for numbers.</param>
public sealed record SettingRange(long Least, long Most, IReadOnlyList<string>? Words = null)
{
    public bool Contains(string? value) => Words is not null ? Words.Contains(value)
        : long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= Least && number <= Most && value == number.ToString(CultureInfo.InvariantCulture);

    /// <summary>For people: `0 to 200`, `Y, N`.</summary>
    public override string ToString() => Words is not null ? string.Join(", ", Words) : string.Create(CultureInfo.InvariantCulture, $"{Least} to {Most}");
}

/// <summary>
/// What may be set where a setting names a kernel parameter: only what machines gain from, only what takes effect at once, and nothing that opens the host. Documentation:
/// admin-guide/sysctl and virt/kvm of the kernel, and the modules' own sources for what they let one write.
/// </summary>
public static class KnownSettings
{
    private static readonly SettingRange Flag = new(0, 1, ["Y", "N"]);

    public static IReadOnlyList<string> ThpModes { get; } = ["always", "madvise", "never"];

    public static IReadOnlyList<string> KsmStates { get; } = ["off", "on", "unmerge"];

    /// <summary>Page sizes that kernels offer, KiB.</summary>
    public static IReadOnlyList<long> HugePageSizes { get; } = [64, 512, 1024, 2048, 16_384, 32_768, 524_288, 1_048_576, 2_097_152, 16_777_216];

    public const long MostHugePages = 1L << 32;

    /// <summary>Longest wake-up time that can be asked for, microseconds.</summary>
    public const int MostLatencyMicroseconds = 1_000_000;

    /// <summary>By name.</summary>
    public static IReadOnlyDictionary<string, SettingRange> Sysctls { get; } = new SortedDictionary<string, SettingRange>(StringComparer.Ordinal)
    {
        ["vm.overcommit_memory"] = new(0, 2),
        ["vm.swappiness"] = new(0, 200),
        ["vm.dirty_background_ratio"] = new(0, 100),
        ["vm.dirty_ratio"] = new(0, 100),
        ["vm.max_map_count"] = new(65_530, int.MaxValue),
        ["vm.stat_interval"] = new(1, 3600),
        ["vm.zone_reclaim_mode"] = new(0, 7),
        ["vm.nr_overcommit_hugepages"] = new(0, 1L << 32),
        ["kernel.sched_rt_runtime_us"] = new(-1, 1_000_000),
        ["kernel.timer_migration"] = new(0, 1),
        ["kernel.nmi_watchdog"] = new(0, 1),
        ["net.core.busy_poll"] = new(0, 1000),
        ["net.core.busy_read"] = new(0, 1000),
        ["net.core.netdev_max_backlog"] = new(1000, 1_000_000),
        ["net.core.netdev_budget"] = new(1, 100_000),
        ["net.core.somaxconn"] = new(128, 65_535),
        ["net.core.rmem_max"] = new(4096, int.MaxValue),
        ["net.core.wmem_max"] = new(4096, int.MaxValue),
        ["fs.aio-max-nr"] = new(65_536, int.MaxValue),
    };

    /// <summary>By `module.parameter`.</summary>
    public static IReadOnlyDictionary<string, SettingRange> ModuleParameters { get; } = new SortedDictionary<string, SettingRange>(StringComparer.Ordinal)
    {
        ["kvm.halt_poll_ns"] = new(0, 10_000_000),
        ["kvm.halt_poll_ns_grow"] = new(0, 100),
        ["kvm.halt_poll_ns_grow_start"] = new(0, 10_000_000),
        ["kvm.halt_poll_ns_shrink"] = new(0, 100),
        ["kvm.min_timer_period_us"] = new(100, 100_000),
        ["kvm.tsc_tolerance_ppm"] = new(0, 10_000),
        ["kvm.ignore_msrs"] = Flag,
        ["kvm.report_ignored_msrs"] = Flag,
        ["kvm.nx_huge_pages"] = Flag,
        ["kvm.nx_huge_pages_recovery_ratio"] = new(0, 1_000_000),
        ["kvm.nx_huge_pages_recovery_period_ms"] = new(0, 3_600_000),
        ["kvm_intel.dump_invalid_vmcs"] = Flag,
        ["kvm_amd.dump_invalid_vmcb"] = Flag,
        ["vfio_iommu_type1.disable_hugepages"] = Flag,
        ["vfio_iommu_type1.dma_entry_limit"] = new(1024, int.MaxValue),
    };
}
