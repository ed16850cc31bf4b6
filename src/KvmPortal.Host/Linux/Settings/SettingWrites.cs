using System.Globalization;
using System.Text;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Settings;

/// <summary>
/// Turns a setting into the files it is about, in order, with what they say now. Pure over a read of the host. Throws <see cref="HostException"/> for what this host does not
/// offer.
/// </summary>
internal static class SettingWrites
{
    private const string Cpu = "/sys/devices/system/cpu";
    private const string Irq = "/proc/irq";

    /// <summary>All files that the setting is about, also those that are as wanted already.</summary>
    public static IReadOnlyList<HostWrite> Targets(HostSetting setting, KernelFiles files) => setting switch
    {
        HugePagesSetting e => [One(files, PoolFile(e), Number(InRange(e.More ? (files.Number(PoolFile(e)) ?? 0) + e.Count : e.Count, KnownSettings.MostHugePages)), $"This host offers no huge pages of {Size(e.SizeKiB)}{(e.Node is { } node ? $" on node {node}" : "")}.")],
        TransparentHugePagesSetting e => [One(files, "/sys/kernel/mm/transparent_hugepage/enabled", Word(e.Mode, KnownSettings.ThpModes), "This host's kernel has no transparent huge pages.")],
        KsmSetting e => [One(files, "/sys/kernel/mm/ksm/run", Word(e.State, KnownSettings.KsmStates) switch { "on" => "1", "unmerge" => "2", _ => "0" }, "This host's kernel has no KSM.")],
        CpuGovernorSetting e => Governor(e, files),
        CpuLatencySetting e => [.. Present(e.Cpus, files).Select(cpu => One(files, $"{Cpu}/cpu{cpu}/power/pm_qos_resume_latency_us", Latency(e.MaxMicroseconds), "This host's kernel has no wake-up limits per CPU."))],
        NumaBalancingSetting e => [One(files, "/proc/sys/kernel/numa_balancing", e.Enabled ? "1" : "0", "This host's kernel does not balance memory between NUMA nodes.")],
        ModuleParameterSetting e => [Parameter(e, files)],
        IrqAffinitySetting e => Interrupts(e, files),
        IrqbalanceBanSetting e => [One(files, IrqbalanceFile.Paths.FirstOrDefault(p => files.Text(p) is not null) ?? IrqbalanceFile.Paths[0], Present(e.Cpus, files).ToString(), "irqbalance is not installed on this host.")],
        SysctlSetting e => [Sysctl(e, files)],
        _ => throw new InvalidOperationException($"No setting {setting.GetType().Name}."),
    };

    /// <summary>What is to be written: targets that are not as wanted.</summary>
    public static IReadOnlyList<HostWrite> Of(HostSetting setting, KernelFiles files) => [.. Targets(setting, files).Where(w => !KernelFiles.Same(w.Path, w.Now, w.Then))];

    public static string PoolFile(HugePagesSetting pages) => PoolFolder(pages) + "/nr_hugepages";

    public static string FreeFile(HugePagesSetting pages) => PoolFolder(pages) + "/free_hugepages";

    /// <summary>The kernel's word for a page size: 2M, 1G.</summary>
    public static string Size(long kib) => kib % (1 << 20) == 0 ? $"{kib >> 20}G" : kib % 1024 == 0 ? $"{kib >> 10}M" : $"{kib}K";

    /// <summary>What asks the kernel for the pool at boot. On hosts of several nodes the node is named (kernels from 5.16 on).</summary>
    public static string BootLine(HugePagesSetting pages, KernelFiles files) =>
        $"hugepagesz={Size(pages.SizeKiB)} hugepages={(pages.Node is { } node && files.Names("/sys/devices/system/node").Count(n => n.StartsWith("node", StringComparison.Ordinal)) > 1 ? $"{node}:" : "")}{pages.Count}";

    private static string PoolFolder(HugePagesSetting pages) => pages.Node is { } node ? $"/sys/devices/system/node/node{node}/hugepages/hugepages-{pages.SizeKiB}kB" : $"/sys/kernel/mm/hugepages/hugepages-{pages.SizeKiB}kB";

    private static HostWrite One(KernelFiles files, string path, string then, string without) => new(path, files.Value(path) ?? throw new HostException(HostError.Missing, without), then);

    private static List<HostWrite> Governor(CpuGovernorSetting setting, KernelFiles files)
    {
        var cpus = setting.Cpus is { IsEmpty: false } some ? Present(some, files) : Online(files);
        var writes = new List<HostWrite>();
        foreach (var cpu in cpus)
        {
            var folder = $"{Cpu}/cpu{cpu}/cpufreq";
            var write = One(files, $"{folder}/scaling_governor", setting.Governor, "This host's kernel does not set CPU frequencies.");
            if (files.Value($"{folder}/scaling_available_governors") is { } offered && !offered.Split(' ').Contains(setting.Governor))
                throw new HostException(HostError.Missing, $"CPU {cpu} offers these governors only: {offered}.");
            writes.Add(write);
        }

        return writes;
    }

    // The kernel's 0 means "no limit", and n/a "no sleep at all" (Documentation/ABI/testing/sysfs-devices-power).
    private static string Latency(int microseconds) => microseconds == 0 ? "n/a" : Number(InRange(microseconds, KnownSettings.MostLatencyMicroseconds));

    private static HostWrite Parameter(ModuleParameterSetting setting, KernelFiles files)
    {
        if (!KnownSettings.ModuleParameters.TryGetValue($"{setting.Module}.{setting.Name}", out var range) || !range.Contains(setting.Value))
            throw NotKnown($"{setting.Module}.{setting.Name}");
        return One(files, $"/sys/module/{setting.Module}/parameters/{setting.Name}", setting.Value, $"The module {setting.Module} is not loaded, or has no parameter {setting.Name}.");
    }

    private static HostWrite Sysctl(SysctlSetting setting, KernelFiles files)
    {
        if (!KnownSettings.Sysctls.TryGetValue(setting.Name, out var range) || !range.Contains(setting.Value))
            throw NotKnown(setting.Name);
        // The kernel keeps one of ratio and bytes and clears the other, which could not be given back.
        if (setting.Name.EndsWith("_ratio", StringComparison.Ordinal) && files.Number(Path(setting.Name.Replace("_ratio", "_bytes", StringComparison.Ordinal))) > 0)
            throw new HostException(HostError.WrongState, $"This host sets {setting.Name.Replace("_ratio", "_bytes", StringComparison.Ordinal)} instead of {setting.Name}.");
        return One(files, Path(setting.Name), setting.Value, $"This host's kernel has no {setting.Name}.");

        static string Path(string name) => "/proc/sys/" + name.Replace('.', '/');
    }

    private static List<HostWrite> Interrupts(IrqAffinitySetting setting, KernelFiles files)
    {
        var away = Present(setting.AwayFrom, files);
        var others = Online(files) - away;
        if (others.IsEmpty)
            throw new HostException(HostError.NotAllowed, "At least one CPU must be left for interrupts.");
        if (setting.To - away is { IsEmpty: false } named && (named & others) is { IsEmpty: false } there)
            others = there;
        var writes = new List<HostWrite>();
        if (files.Text($"{Irq}/default_smp_affinity") is { } mask && CpuSet.TryParseMask(mask, out var usual) && usual.Overlaps(away))
            writes.Add(new HostWrite($"{Irq}/default_smp_affinity", mask, Mask((usual - away).IsEmpty ? others : usual - away, mask)));
        foreach (var number in files.Names(Irq).Select(n => int.TryParse(n, NumberStyles.None, CultureInfo.InvariantCulture, out var irq) ? irq : -1).Where(n => n >= 0).Order())
        {
            var path = $"{Irq}/{number}/smp_affinity_list";
            if (files.Cpus(path) is not { } allowed)
                continue;
            var effective = files.Cpus($"{Irq}/{number}/effective_affinity_list") is { IsEmpty: false } told ? told : allowed;
            if (effective.Overlaps(away))
                writes.Add(new HostWrite(path, allowed.ToString(), ((allowed - away) & Online(files)) is { IsEmpty: false } rest ? rest.ToString() : others.ToString()));
        }

        return writes;
    }

    /// <summary>The kernel's mask format with as many groups as the text that it replaces.</summary>
    private static string Mask(CpuSet cpus, string like)
    {
        var text = new StringBuilder();
        for (var group = like.Split(',').Length - 1; group >= 0; group--)
        {
            uint bits = 0;
            for (var bit = 0; bit < 32; bit++)
                bits |= cpus.Contains((group * 32) + bit) ? 1u << bit : 0;
            text.Append(text.Length > 0 ? "," : "").Append(text.Length > 0 ? bits.ToString("x8", CultureInfo.InvariantCulture) : bits.ToString("x", CultureInfo.InvariantCulture));
        }

        return text.ToString();
    }

    private static CpuSet Online(KernelFiles files) => files.Cpus($"{Cpu}/online") is { IsEmpty: false } online ? online : throw new HostException(HostError.Missing, "This host does not say which CPUs it has.");

    private static CpuSet Present(CpuSet cpus, KernelFiles files)
    {
        var missing = cpus - Online(files);
        return missing.IsEmpty && !cpus.IsEmpty ? cpus : throw new HostException(HostError.NotFound, $"This host has no CPU {missing} that is online.");
    }

    private static string Word(string word, IReadOnlyList<string> known) => known.Contains(word) ? word : throw NotKnown(word);

    private static long InRange(long number, long most) => number >= 0 && number <= most ? number : throw NotKnown(Number(number));

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static HostException NotKnown(string what) => new(HostError.NotAllowed, $"\"{what}\" is none of the settings that a portal may change.");
}
