using System.Globalization;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Scores;

/// <summary>What separates the guest's CPUs from the host's.</summary>
internal static class CpuRules
{
    public static IReadOnlyList<ScoreRule> All { get; } =
    [
        new("accelerator", ScoreArea.Cpu, 20, Say.ScoreAcceleratorTitle, Accelerated),
        new("bare-host", ScoreArea.Cpu, 3, Say.ScoreNestedTitle, BareHost),
        new("cpu-model", ScoreArea.Cpu, 5, Say.ScoreModelTitle, Model) { Gain = new(4, 5, Say.GainModel) },
        new("pinning", ScoreArea.Cpu, 10, Say.ScorePinTitle, Pinning) { Gain = new(3, 3, Say.GainPin) },
        new("exclusive-cpus", ScoreArea.Cpu, 8, Say.ScoreExclusiveTitle, Exclusive),
        new("sibling-threads", ScoreArea.Cpu, 6, Say.ScoreNeighboursTitle, Neighbours) { Gain = new(0, 30, Say.GainThreads) },
        new("emulator-threads", ScoreArea.Cpu, 3, Say.ScoreEmulatorTitle, Emulator),
        new("cpu-quota", ScoreArea.Cpu, 2, Say.ScoreQuotaTitle, Quota),
        new("dedicated-hints", ScoreArea.Cpu, 2, Say.ScoreHintsTitle, Hints),
        new("guest-idle", ScoreArea.Cpu, 3, Say.ScoreIdleTitle, Idle),
        new("entry-flushes", ScoreArea.Cpu, 1, Say.ScoreFlushTitle, Flushes),
        new("watched", ScoreArea.Cpu, 1, Say.ScoreWatchTitle, Watched),
    ];

    private static Ruling Accelerated(ScoreInput input)
    {
        Evidence evidence = new("/dev/kvm", Short(input.Facts.Kvm.Evidence));
        if (!input.Emulated)
            return Ruling.InForce(Say.ScoreKvm, evidence);
        return input.Facts.Kvm.Verdict == KvmVerdict.Works
            ? Ruling.Missing(Say.ScoreTcgAsked, ScoreRule.Patch(Say.ScoreKvmChange, """{"accelerator":"auto"}"""), evidence)
            : Ruling.Impossible(Say.ScoreTcg(HostSentences.Read(input.Facts.Kvm.Evidence)), evidence);
    }

    private static Ruling BareHost(ScoreInput input)
    {
        var evidence = File("/proc/cpuinfo", input.Host.Cpu.HypervisorBelow ? "flags: … hypervisor …" : "flags: no hypervisor");
        return input.Host.Cpu.HypervisorBelow ? Ruling.Impossible(Say.ScoreNested, evidence) : Ruling.InForce(Say.ScoreNotNested, evidence);
    }

    private static Ruling Model(ScoreInput input)
    {
        var model = input.Spec?.Cpu.Model ?? input.Definition.Cpu.Model;
        Evidence evidence = new("QEMU", $"-cpu {After(input, "-cpu") ?? model}");
        if (input.Emulated)
            return Ruling.Impossible(Say.ScoreModelEmulated(model), evidence);
        return model is "host" or "max" || (model == "auto" && input.Spec is null) ? Ruling.InForce(Say.ScoreModelHost, evidence)
            : Ruling.Missing(Say.ScoreModelNamed(model), ScoreRule.Patch(Say.ScoreModelChange, """{"cpu":{"model":"host"}}"""), evidence);
    }

    private static Ruling Pinning(ScoreInput input)
    {
        if (input.Report is { } report)
        {
            var vcpus = report.Threads.Where(t => t.Role == ThreadRole.Vcpu).ToList();
            Evidence evidence = new("/proc/PID/task/*/status: Cpus_allowed_list", Some(vcpus.Select(t => string.Create(CultureInfo.InvariantCulture, $"vCPU {t.Index}: {t.Actual}"))));
            if (input.Placement is null)
                return ScoreRule.NoPlace(input, Say.ScoreFloats, evidence);
            if (vcpus.Count(t => !t.Right) is var off and > 0)
                return Ruling.Missing(Say.ScoreDrifted(off), null, evidence);
            return vcpus.Count(t => t.Actual.Count != 1) is var wide and > 0 ? Ruling.Missing(Say.ScoreWide(wide), null, evidence) : Ruling.InForce(Say.ScorePinned(input.Cpus.ToString()), evidence);
        }

        return input.Placement is { } placement ? placement.Vcpus.Any(v => v.Count != 1) ? Ruling.Missing(Say.ScoreWide(placement.Vcpus.Count(v => v.Count != 1)), null) : Ruling.InForce(Say.ScorePinPlanned(input.Cpus.ToString()))
            : ScoreRule.NoPlace(input, Say.ScoreFloats);
    }

    private static Ruling Exclusive(ScoreInput input)
    {
        if (input.Placement is null)
            return ScoreRule.NoPlace(input, Say.ScoreSharedCpus, File("/sys/fs/cgroup/cgroup.controllers", input.Host.Kernel.CgroupVersion == "v2" ? string.Join(' ', input.Host.Kernel.CgroupControllers) : null));
        if (input.Confinement?.Measures.FirstOrDefault(m => m.Name == Measures.Exclusivity) is not { } measure)
            return new Ruling(ScoreState.Missing, 0.5, Say.ScoreSoftPlanned, []);
        Evidence evidence = new("cpuset.cpus.partition", Short(measure.Evidence));
        return measure.State == MeasureState.InForce ? Ruling.InForce(Say.ScoreExclusive, evidence)
            : new Ruling(ScoreState.Impossible, 0.5, Say.ScoreSoft(HostSentences.Read(measure.Evidence)), [evidence, File("/sys/fs/cgroup/cgroup.controllers", input.Host.Kernel.CgroupVersion == "v2" ? string.Join(' ', input.Host.Kernel.CgroupControllers) : null)]);
    }

    private static Ruling Neighbours(ScoreInput input)
    {
        var smt = File("/sys/devices/system/cpu/smt/active", input.Host.Cpu.SmtActive is { } active ? active ? "1" : "0" : null);
        if (input.Host.Cpus.Where(c => c.Online).All(c => (c.Core & input.Host.Cpu.Online).Count <= 1))
            return Ruling.InForce(Say.ScoreNoThreads, smt);
        if (input.Confinement?.Measures.FirstOrDefault(m => m.Name == Measures.CoreScheduling) is { State: MeasureState.InForce } cookie)
            return Ruling.InForce(Say.ScoreThreadsCookie, new Evidence("prctl(PR_SCHED_CORE)", Short(cookie.Evidence)));
        if (input.Placement is null)
            return ScoreRule.NoPlace(input, Say.ScoreThreadsShared, smt);
        var others = CpuSet.Union(input.Host.Cpus.Where(c => input.Cpus.Contains(c.Id)).Select(c => c.Core & input.Host.Cpu.Online)) - input.Cpus;
        var evidence = File("/sys/devices/system/cpu/cpu*/topology/thread_siblings_list", Some(input.Host.Cpus.Where(c => input.Cpus.Contains(c.Id)).Select(c => c.Core.ToString()).Distinct()));
        return others.IsEmpty ? Ruling.InForce(Say.ScoreThreadsOwn, evidence) : Ruling.InForce(Say.ScoreThreadsIdle(others.ToString()), evidence);
    }

    private static Ruling Emulator(ScoreInput input)
    {
        if (input.Placement is not { } placement)
            return ScoreRule.NoPlace(input, Say.ScoreEmulatorMixed);
        var elsewhere = CpuSet.Union([placement.Emulator, .. placement.IoThreads.Values]);
        IReadOnlyList<Evidence> evidence = input.Report is { } report
            ? [new("/proc/PID/task/*/status: Cpus_allowed_list", Some(report.Threads.Where(t => t.Role is ThreadRole.Emulator or ThreadRole.IoThread).Select(t => $"{Short(t.Name, 40)}: {t.Actual}").Distinct()))] : [];
        return elsewhere.Overlaps(input.Cpus) ? Ruling.Missing(Say.ScoreEmulatorMixed, null, evidence) : Ruling.InForce(Say.ScoreEmulatorApart(elsewhere.ToString()), evidence);
    }

    private static Ruling Quota(ScoreInput input) => input.Definition.Limits.CpuPercent is { } percent
        ? Ruling.Missing(Say.ScoreQuota(percent), ScoreRule.Patch(Say.ScoreQuotaChange, """{"limits":{"cpuPercent":null}}"""), new Evidence("cpu.max", string.Create(CultureInfo.InvariantCulture, $"{percent} %")))
        : Ruling.InForce(Say.ScoreQuotaNone);

    private static Ruling Hints(ScoreInput input)
    {
        Evidence evidence = new("QEMU", $"-cpu {After(input, "-cpu") ?? "(none)"}");
        if (input.Emulated)
            return Ruling.Impossible(Say.ScoreNeedsKvm, evidence);
        if (input.Argument("kvm-hint-dedicated=on") is not null)
            return Ruling.InForce(Say.ScoreHints, evidence);
        return input.Placement is null ? ScoreRule.NoPlace(input, Say.ScoreHintsShared, evidence) : Ruling.Missing(Say.ScoreHintsNone, null, evidence);
    }

    private static Ruling Idle(ScoreInput input)
    {
        var evidence = ScoreRule.Argument(input, "cpu-pm");
        if (input.Emulated)
            return Ruling.Impossible(Say.ScoreNeedsKvm, evidence);
        if (input.Placement?.CpuPowerManagement == true)
            return Ruling.InForce(Say.ScoreIdleInGuest, evidence);
        var polling = File("/sys/module/kvm/parameters/halt_poll_ns", input.Host.Kvm.Parameters.GetValueOrDefault("kvm.halt_poll_ns"));
        return input.Placement is null ? ScoreRule.NoPlace(input, Say.ScoreIdleLeaves, evidence, polling)
            : Ruling.Missing(Say.ScoreIdleLeaves, ScoreRule.Patch(Say.ScoreIdleChange, """{"placement":{"knobs":{"cpuPowerManagement":true}}}"""), evidence, polling);
    }

    private static Ruling Flushes(ScoreInput input)
    {
        if (input.Emulated)
            return Ruling.Impossible(Say.ScoreNeedsKvm);
        var flaws = input.Host.Kernel.Vulnerabilities.Where(v => v.Key is "l1tf" or "mds" or "mmio_stale_data" && v.Value.StartsWith("Mitigation", StringComparison.Ordinal)).OrderBy(v => v.Key, StringComparer.Ordinal).ToList();
        IReadOnlyList<Evidence> evidence = [.. flaws.Select(v => File($"/sys/devices/system/cpu/vulnerabilities/{v.Key}", Short(v.Value)))];
        return flaws.Count == 0 ? Ruling.InForce(Say.ScoreFlushNone, File("/sys/devices/system/cpu/vulnerabilities/l1tf", input.Host.Kernel.Vulnerabilities.GetValueOrDefault("l1tf"))) : Ruling.Impossible(Say.ScoreFlush, evidence);
    }

    private static Ruling Watched(ScoreInput input)
    {
        if (input.Placement is null)
            return ScoreRule.NoPlace(input, Say.ScoreWatchNone);
        if (input.Report is { Drifts.Count: > 0 } report)
            return Ruling.Missing(Say.ScoreWatchDrift(report.Drifts.Count), null, [.. report.Drifts.Take(4).Select(d => new Evidence("/proc", Short(d)))]);
        return input.Placement.Repair ? Ruling.InForce(Say.ScoreWatched)
            : new Ruling(ScoreState.Missing, 0.5, Say.ScoreWatchTold, []) { Change = ScoreRule.Patch(Say.ScoreWatchChange, """{"placement":{"repair":true}}""") };
    }

    private static string? After(ScoreInput input, string option) => input.Argv.SkipWhile(a => a != option).Skip(1).FirstOrDefault() is { } value ? Short(value) : null;
}
