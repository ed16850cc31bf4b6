using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Preparations;

/// <summary>What is wrong with a setting by itself, whatever the host. Pure.</summary>
internal static class SettingRules
{
    public const int MostSettings = 64;

    /// <param name="at">JSON pointer of the setting.</param>
    public static IEnumerable<Problem> Check(HostSetting setting, string at) => setting switch
    {
        HugePagesSetting e => Pages(e, at),
        TransparentHugePagesSetting e => OneOf(e.Mode, KnownSettings.ThpModes, $"{at}/mode"),
        KsmSetting e => OneOf(e.State, KnownSettings.KsmStates, $"{at}/state"),
        CpuGovernorSetting e => IsWord(e.Governor) ? [] : [new Problem($"{at}/governor", "invalid", Say.GovernorRule)],
        CpuLatencySetting e => [.. Cpus(e.Cpus, $"{at}/cpus"), .. InRange(e.MaxMicroseconds, 0, KnownSettings.MostLatencyMicroseconds, $"{at}/maxMicroseconds")],
        NumaBalancingSetting => [],
        ModuleParameterSetting e => Known($"{e.Module}.{e.Name}", e.Value, KnownSettings.ModuleParameters, $"{at}/name", $"{at}/value"),
        IrqAffinitySetting e => Cpus(e.AwayFrom, $"{at}/awayFrom"),
        IrqbalanceBanSetting e => Cpus(e.Cpus, $"{at}/cpus"),
        SysctlSetting e => Known(e.Name, e.Value, KnownSettings.Sysctls, $"{at}/name", $"{at}/value"),
        _ => throw new InvalidOperationException($"No setting {setting.GetType().Name}."),
    };

    /// <summary>CPUs that a setting names, with their member; the empty set for none.</summary>
    public static (CpuSet Cpus, string Member) CpusOf(HostSetting setting) => setting switch
    {
        CpuGovernorSetting { Cpus: { } cpus } => (cpus, "cpus"),
        CpuLatencySetting e => (e.Cpus, "cpus"),
        IrqAffinitySetting e => (e.AwayFrom, "awayFrom"),
        IrqbalanceBanSetting e => (e.Cpus, "cpus"),
        _ => (CpuSet.Empty, ""),
    };

    /// <summary>Whether two settings are about the same thing: a pool of the whole host is the pools of its nodes, too.</summary>
    public static bool Exclude(HostSetting a, HostSetting b) =>
        a.Key == b.Key || (a is HugePagesSetting one && b is HugePagesSetting other && one.SizeKiB == other.SizeKiB && (one.Node is null || other.Node is null));

    private static IEnumerable<Problem> Pages(HugePagesSetting e, string at)
    {
        if (e.Node is < 0 or > 1023)
            yield return new Problem($"{at}/node", "out-of-range", Say.NumberFromTo(0, 1023));
        if (!KnownSettings.HugePageSizes.Contains(e.SizeKiB))
            yield return new Problem($"{at}/sizeKiB", "unknown", Say.OneOfThese(string.Join(", ", KnownSettings.HugePageSizes)));
        foreach (var problem in InRange(e.Count, 0, KnownSettings.MostHugePages, $"{at}/count"))
            yield return problem;
    }

    private static IEnumerable<Problem> InRange(long value, long least, long most, string at) =>
        value >= least && value <= most ? [] : [new Problem(at, "out-of-range", Say.NumberFromTo(least, most)).WithFit(Math.Clamp(value, least, most))];

    private static IEnumerable<Problem> OneOf(string value, IReadOnlyList<string> words, string at) =>
        words.Contains(value) ? [] : [new Problem(at, "unknown", Say.OneOfThese(string.Join(", ", words)))];

    private static IEnumerable<Problem> Cpus(CpuSet cpus, string at) => cpus.IsEmpty ? [new Problem(at, "required", Say.NameCpus)] : [];

    private static IEnumerable<Problem> Known(string name, string value, IReadOnlyDictionary<string, SettingRange> known, string nameAt, string valueAt)
    {
        if (!known.TryGetValue(name, out var range))
            return [new Problem(nameAt, "unknown", Say.OneOfThese(string.Join(", ", known.Keys)))];
        return range.Contains(value) ? [] : [new Problem(valueAt, "out-of-range", Say.ValueOf(name, range.ToString()))];
    }

    private static bool IsWord(string text) => text.Length is > 0 and <= 32 && text.All(c => char.IsAsciiLetterLower(c) || c == '_');
}
