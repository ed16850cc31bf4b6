using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Preparations;

/// <summary>What each setting does, and why one wants it.</summary>
internal static class PreparationSentences
{
    public static Sentence Of(HostSetting setting) => setting switch
    {
        HugePagesSetting { Node: { } node } e => Say.SetHugePagesOnNode(e.Count, Size(e.SizeKiB), node),
        HugePagesSetting e => Say.SetHugePages(e.Count, Size(e.SizeKiB)),
        TransparentHugePagesSetting e => Say.SetTransparentHugePages(e.Mode),
        KsmSetting e => e.State switch { "on" => Say.SetKsmOn, "off" => Say.SetKsmOff, _ => Say.SetKsmUnmerge },
        CpuGovernorSetting { Cpus: { } cpus } e => Say.SetGovernorOf(e.Governor, cpus.ToString()),
        CpuGovernorSetting e => Say.SetGovernor(e.Governor),
        CpuLatencySetting e => Say.SetCpuLatency(e.Cpus.ToString(), e.MaxMicroseconds),
        NumaBalancingSetting e => e.Enabled ? Say.SetNumaBalancingOn : Say.SetNumaBalancingOff,
        ModuleParameterSetting e => Say.SetModuleParameter(e.Module, e.Name, e.Value),
        IrqAffinitySetting e => Say.SetIrqAffinity(e.AwayFrom.ToString()),
        IrqbalanceBanSetting e => Say.SetIrqbalanceBan(e.Cpus.ToString()),
        SysctlSetting e => Say.SetSysctl(e.Name, e.Value),
        _ => setting.Key,
    };

    public static Sentence? Why(HostSetting setting) => setting switch
    {
        HugePagesSetting e => e.AcceptFewer ? Say.FewerPagesAreKept : Say.FewerPagesGoBack,
        IrqAffinitySetting => Say.SomeIrqsStay,
        KsmSetting { State: "unmerge" } => Say.UnmergeWhy,
        _ => null,
    };

    /// <summary>2 MiB, 1 GiB.</summary>
    public static string Size(long kib) => kib % (1 << 20) == 0 ? $"{kib >> 20} GiB" : kib % 1024 == 0 ? $"{kib >> 10} MiB" : $"{kib} KiB";
}
