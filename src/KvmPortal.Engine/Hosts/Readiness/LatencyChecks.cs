using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>What makes a machine wait: frequency, sleep, clocks, and the kernel's own work.</summary>
internal static class LatencyChecks
{
    /// <summary>An idle state that takes longer is felt by a low-latency machine.</summary>
    private const int DeepMicroseconds = 50;

    public static IReadOnlyList<Check> All { get; } =
    [
        new("governor", Say.GovernorTitle, Say.GovernorMeaning, Governor) { MattersFor = [Audience.BareMetalClass, Audience.LowLatency], HelpsFor = [Purpose.BareMetal] },
        new("idle-states", Say.IdleTitle, Say.IdleMeaning, Idle) { MattersFor = [Audience.LowLatency], HelpsFor = [Purpose.Dpdk] },
        new("clock-source", Say.ClockTitle, Say.ClockMeaning, Clock) { MattersFor = [Audience.EveryVm, Audience.LowLatency, Audience.Migration], HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal, Purpose.EncryptedMigration] },
        new("isolation-parameters", Say.IsolationTitle, Say.IsolationMeaning, Isolation) { MattersFor = [Audience.LowLatency], HelpsFor = [Purpose.Dpdk] },
        new("irqbalance", Say.IrqbalanceTitle, Say.IrqbalanceMeaning, Irqbalance) { MattersFor = [Audience.BareMetalClass, Audience.LowLatency], HelpsFor = [Purpose.BareMetal] },
    ];

    private static Finding Governor(ReadinessInput input)
    {
        var cpus = input.Inventory.Cpus.Where(c => c.Online && c.Governor is not null).ToList();
        var evidence = cpus.GroupBy(c => c.Governor!).OrderBy(g => g.Key, StringComparer.Ordinal).Take(4).Select(g => File($"/sys/devices/system/cpu/cpu{g.First().Id}/cpufreq/scaling_governor", Short(g.Key, 40))).ToList();
        if (cpus.Count == 0)
            return Unknown(Say.GovernorNone, File("/sys/devices/system/cpu/cpu0/cpufreq", null));
        var others = cpus.Where(c => c.Governor != "performance").GroupBy(c => c.Governor!).OrderBy(g => g.Key, StringComparer.Ordinal).ToList();
        return others.Count == 0 ? Ready(Say.GovernorPerformance, evidence)
            : But(Say.GovernorOther(Some(others.Select(g => $"{Short(g.Key, 40)}: {CpuSet.Of(g.Select(c => c.Id))}"))), [Now(Say.GovernorFix, new CpuGovernorSetting("performance"))], evidence);
    }

    private static Finding Idle(ReadinessInput input)
    {
        var states = input.Inventory.Kernel.IdleStates.Where(s => !s.Disabled).ToList();
        if (states.Count == 0)
            return Unknown(Say.IdleNone, File("/sys/devices/system/cpu/cpu0/cpuidle", null));
        var deepest = states.MaxBy(s => s.LatencyMicroseconds)!;
        var evidence = File("/sys/devices/system/cpu/cpu0/cpuidle/state*/latency", Some(states.Select(s => $"{Short(s.Name, 20)} {s.LatencyMicroseconds} µs"), 12));
        return deepest.LatencyMicroseconds <= DeepMicroseconds ? Ready(Say.IdleShallow(Short(deepest.Name, 20), deepest.LatencyMicroseconds), evidence)
            : But(Say.IdleDeep(Short(deepest.Name, 20), deepest.LatencyMicroseconds), [], evidence);
    }

    private static Finding Clock(ReadinessInput input)
    {
        var name = input.Inventory.Kernel.ClockSource;
        var evidence = File("/sys/devices/system/clocksource/clocksource0/current_clocksource", name);
        return name switch
        {
            null or "" => Unknown(Say.ClockUnknown, evidence),
            "tsc" or "arch_sys_counter" or "timebase" => Ready(Say.ClockGood(name), evidence),
            "kvm-clock" or "hyperv_clocksource_tsc_page" or "xen" => But(Say.ClockOther(name), [], evidence),
            _ => But(Say.ClockBad(Short(name, 40)), [Firmware(Say.ClockFix)], evidence),
        };
    }

    private static Finding Isolation(ReadinessInput input)
    {
        var host = input.Inventory;
        IReadOnlyList<Evidence> evidence = [File("/sys/devices/system/cpu/nohz_full", host.Cpu.NohzFull), File("/sys/devices/system/cpu/isolated", host.Cpu.Isolated), File("/proc/cmdline", Short(host.Kernel.CommandLine))];
        if (!host.Cpu.NohzFull.IsEmpty)
            return Ready(Say.IsolationThere(host.Cpu.NohzFull.ToString()), evidence);
        var (keep, free) = Split(host);
        return free.IsEmpty ? But(Say.IsolationFew, [], evidence)
            : But(Say.IsolationNone, [Boot(Say.IsolationBoot, $"nohz_full={free} rcu_nocbs={free} irqaffinity={keep} isolcpus=managed_irq,domain,{free}")], evidence);
    }

    /// <summary>The host keeps the first core of each node; the rest can be kept free.</summary>
    private static (CpuSet Keep, CpuSet Free) Split(HostInventory host)
    {
        var online = host.Cpu.Online;
        var keep = CpuSet.Empty;
        foreach (var node in host.NumaNodes.Select(n => n.Cpus & online).Where(c => !c.IsEmpty))
            keep |= host.Cpus.FirstOrDefault(c => c.Id == node.First) is { Core.IsEmpty: false } first ? first.Core & online : CpuSet.Of(node.First);
        var free = online - keep;
        return keep.IsEmpty || free.Count < 4 ? (online, CpuSet.Empty) : (keep, free);
    }

    private static Finding Irqbalance(ReadinessInput input)
    {
        var host = input.Inventory;
        var evidence = new Evidence("/proc/*/comm", host.Kernel.Irqbalance == true ? "irqbalance" : "no irqbalance");
        if (host.Kernel.Irqbalance is null)
            return Unknown(Say.DoctorNotHere, evidence);
        if (host.Kernel.Irqbalance == false)
            return Ready(Say.IrqbalanceNone, evidence);
        var (_, free) = Split(host);
        return But(Say.IrqbalanceRuns, free.IsEmpty ? [] : [Now(Say.IrqbalanceFix(free.ToString()), new IrqbalanceBanSetting(free))], evidence);
    }
}
