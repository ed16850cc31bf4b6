using System.Globalization;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Scores;

/// <summary>What makes a guest wait that would not wait on bare metal.</summary>
internal static class TimeRules
{
    /// <summary>Wake-ups up to this are not felt by anything but polling loads; tuned's virtual-host caps at the same.</summary>
    private const int ShortMicroseconds = 70;

    public static IReadOnlyList<ScoreRule> All { get; } =
    [
        new("interrupts", ScoreArea.Time, 4, Say.ScoreInterruptsTitle, Interrupts),
        new("tick", ScoreArea.Time, 3, Say.ScoreTickTitle, Tick),
        new("governor", ScoreArea.Time, 3, Say.ScoreGovernorTitle, Governor),
        new("wake-up", ScoreArea.Time, 3, Say.ScoreWakeTitle, WakeUp),
        new("clock", ScoreArea.Time, 3, Say.ScoreClockTitle, Clock),
    ];

    private static Ruling Interrupts(ScoreInput input)
    {
        if (input.Placement is null)
            return ScoreRule.NoPlace(input, Say.ScoreInterruptsShared);
        var here = input.Host.Irqs.Where(i => (i.Effective.IsEmpty ? i.Affinity : i.Effective).Overlaps(input.Cpus)).ToList();
        IReadOnlyList<Evidence> evidence = [.. here.Take(4).Select(i => File(string.Create(CultureInfo.InvariantCulture, $"/proc/irq/{i.Number}/{(i.Effective.IsEmpty ? "smp" : "effective")}_affinity_list"), $"{(i.Effective.IsEmpty ? i.Affinity : i.Effective)} ({Short(i.Name, 60)})"))];
        if (here.Count == 0)
            return Ruling.InForce(Say.ScoreInterruptsAway, File("/proc/irq/*/effective_affinity_list", string.Create(CultureInfo.InvariantCulture, $"{input.Host.Irqs.Count} interrupts, none on {input.Cpus}")));
        return here.All(i => i.Managed == true) ? Ruling.Impossible(Say.ScoreInterruptsManaged(here.Count), evidence)
            : Ruling.Missing(Say.ScoreInterruptsHere(here.Count), ScoreRule.Setting(Say.ScoreInterruptsChange, new IrqAffinitySetting(input.Cpus)), evidence);
    }

    private static Ruling Tick(ScoreInput input)
    {
        var evidence = File("/sys/devices/system/cpu/nohz_full", input.Host.Cpu.NohzFull);
        if (input.Placement is null)
            return ScoreRule.NoPlace(input, Say.ScoreTicks, evidence);
        return input.Cpus.IsSubsetOf(input.Host.Cpu.NohzFull) ? Ruling.InForce(Say.ScoreTickless(input.Cpus.ToString()), evidence)
            : Ruling.Missing(Say.ScoreTicks, new ScoreChange(Say.ScoreTickChange) { BootLine = $"nohz_full={input.Cpus} rcu_nocbs={input.Cpus}" }, evidence);
    }

    private static Ruling Governor(ScoreInput input)
    {
        var cpus = input.Host.Cpus.Where(c => c.Online && input.Used.Contains(c.Id)).ToList();
        var groups = cpus.Where(c => c.Governor is not null).GroupBy(c => c.Governor!).OrderBy(g => g.Key, StringComparer.Ordinal).ToList();
        if (groups.Count == 0)
            return Ruling.Impossible(Say.ScoreGovernorNone, File("/sys/devices/system/cpu/cpu0/cpufreq", null));
        IReadOnlyList<Evidence> evidence = [.. groups.Take(4).Select(g => File(string.Create(CultureInfo.InvariantCulture, $"/sys/devices/system/cpu/cpu{g.First().Id}/cpufreq/scaling_governor"), Short(g.Key, 40)))];
        return groups.All(g => g.Key == "performance") ? Ruling.InForce(Say.ScoreGovernorFull, evidence)
            : Ruling.Missing(Say.ScoreGovernorOther(Some(groups.Select(g => Short(g.Key, 40)))), ScoreRule.Setting(Say.ScoreGovernorChange, new CpuGovernorSetting("performance", input.Placement is null ? null : input.Cpus)), evidence);
    }

    private static Ruling WakeUp(ScoreInput input)
    {
        var states = input.Host.Kernel.IdleStates.Where(s => !s.Disabled).ToList();
        var limits = input.Host.Cpus.Where(c => c.Online && input.Used.Contains(c.Id)).Select(c => c.ResumeLatencyMicroseconds).ToList();
        IReadOnlyList<Evidence> evidence =
        [
            File("/sys/devices/system/cpu/cpu0/cpuidle/state*/latency", states.Count == 0 ? null : Some(states.Select(s => string.Create(CultureInfo.InvariantCulture, $"{Short(s.Name, 20)} {s.LatencyMicroseconds} µs")), 12)),
            File(string.Create(CultureInfo.InvariantCulture, $"/sys/devices/system/cpu/cpu{input.Used.First}/power/pm_qos_resume_latency_us"), limits.FirstOrDefault()),
        ];
        if (states.Count == 0)
            return Ruling.Impossible(Say.ScoreWakeNone, evidence);
        // 0 is no limit; then the deepest state decides.
        var deepest = states.Max(s => s.LatencyMicroseconds);
        var longest = limits.Select(l => l is > 0 ? Math.Min(l.Value, deepest) : deepest).DefaultIfEmpty(deepest).Max();
        if (longest <= ShortMicroseconds)
            return Ruling.InForce(Say.ScoreWakeShort(longest), evidence);
        if (limits.Any(l => l is null))
            return Ruling.Impossible(Say.ScoreWakeLong(longest), evidence);
        return input.Placement is null ? ScoreRule.NoPlace(input, Say.ScoreWakeLong(longest), evidence)
            : Ruling.Missing(Say.ScoreWakeLong(longest), ScoreRule.Setting(Say.ScoreWakeChange(ShortMicroseconds), new CpuLatencySetting(input.Cpus, ShortMicroseconds)), evidence);
    }

    private static Ruling Clock(ScoreInput input)
    {
        var name = input.Host.Kernel.ClockSource;
        var evidence = File("/sys/devices/system/clocksource/clocksource0/current_clocksource", name);
        if (input.Emulated)
            return Ruling.Impossible(Say.ScoreClockEmulated, evidence);
        return name is "tsc" or "arch_sys_counter" or "timebase" ? Ruling.InForce(Say.ScoreClockTsc, evidence)
            : Ruling.Impossible(name is null or "" ? Say.ScoreUnknown : Say.ScoreClockOther(Short(name, 40)), evidence);
    }
}
