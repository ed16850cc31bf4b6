using System.Globalization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Scores;

/// <summary>What separates the guest's memory from the host's.</summary>
internal static class MemoryRules
{
    private const long Medium = 2048;

    public static IReadOnlyList<ScoreRule> All { get; } =
    [
        new("memory-node", ScoreArea.Memory, 9, Say.ScoreNumaTitle, Node) { Gain = new(4, 9, Say.GainPin) },
        new("huge-pages", ScoreArea.Memory, 7, Say.ScorePagesTitle, Pages),
        new("prealloc", ScoreArea.Memory, 2, Say.ScorePreallocTitle, Prealloc),
        new("locked", ScoreArea.Memory, 2, Say.ScoreLockTitle, Locked),
        new("no-balloon", ScoreArea.Memory, 1, Say.ScoreBalloonTitle, Balloon),
        new("no-merging", ScoreArea.Memory, 1, Say.ScoreMergeTitle, Merging) { Gain = new(0.9, 0.9, Say.GainPin) },
        new("no-balancing", ScoreArea.Memory, 2, Say.ScoreBalancingTitle, Balancing),
        new("whole-code-pages", ScoreArea.Memory, 1, Say.ScoreNxTitle, CodePages),
    ];

    private static Ruling Node(ScoreInput input)
    {
        if (!input.ManyNodes)
            return Ruling.InForce(Say.ScoreOneNode, File("/sys/devices/system/node/has_cpu", string.Join(',', input.Host.NumaNodes.Where(n => !n.Cpus.IsEmpty).Select(n => n.Id))));
        IReadOnlyList<Evidence> evidence = input.Report is { } report
            ? [new("/proc/PID/numa_maps", Some(report.Memory.Select(m => string.Create(CultureInfo.InvariantCulture, $"node {m.Node}: {m.Pages.Values.Sum()} MiB"))))]
            : [ScoreRule.Argument(input, "host-nodes")];
        if (input.Placement is not { } placement)
            return ScoreRule.NoPlace(input, Say.ScoreAnyNode, evidence);
        if (placement.Nodes.Any(n => n is not { Policy: MemoryPolicy.Bind, HostNode: not null }))
            return Ruling.Missing(Say.ScorePreferred, ScoreRule.Patch(Say.ScoreBindChange, """{"placement":{"knobs":{"memory":"bind"}}}"""), evidence);
        var nodes = placement.Nodes.Select(n => n.HostNode!.Value).Order().Distinct().ToList();
        var away = input.Report?.Memory.Where(m => !nodes.Contains(m.Node)).Sum(m => m.Pages.Values.Sum()) ?? 0;
        return away > 0 ? Ruling.Missing(Say.ScoreMisplaced(away), null, evidence) : Ruling.InForce(Say.ScoreBound(string.Join(", ", nodes)), evidence);
    }

    private static Ruling Pages(ScoreInput input)
    {
        var sizes = input.Placement is { } placement ? placement.Nodes.Select(n => n.HugePageKiB ?? 4).ToList() : [(long)(input.Spec?.Memory.PageSizeKiB ?? 4)];
        IReadOnlyList<Evidence> evidence = input.Report is { } report
            ? [new("/proc/PID/numa_maps", Some(report.Memory.SelectMany(m => m.Pages).GroupBy(p => p.Key).OrderBy(g => g.Key).Select(g => string.Create(CultureInfo.InvariantCulture, $"{g.Sum(p => p.Value)} MiB on {g.Key} KiB pages"))))]
            : [ScoreRule.Argument(input, "hugetlb")];
        if (sizes.All(s => s >= Medium))
            return Ruling.InForce(Say.ScorePagesHuge(sizes.Min() >= 1 << 20 ? "1 GiB" : "2 MiB"), evidence);
        var pools = input.Host.NumaNodes.SelectMany(n => n.HugePages.Where(p => p.SizeKiB == Medium).Select(p => (Node: n.Id, Pool: p))).ToList();
        if (pools.Count == 0)
            return Ruling.Impossible(Say.ScorePagesNone, File("/sys/kernel/mm/hugepages/hugepages-2048kB", null));
        evidence = [.. evidence, .. pools.Take(4).Select(p => File(string.Create(CultureInfo.InvariantCulture, $"/sys/devices/system/node/node{p.Node}/hugepages/hugepages-2048kB/free_hugepages"), p.Pool.Free))];
        var need = (input.Definition.Memory.SizeMiB + 1) / 2;
        var wanted = input.Placement is { Nodes: [var first, ..] } ? first.HostNode : null;
        var best = pools.Where(p => wanted is null || p.Node == wanted).DefaultIfEmpty(pools[0]).MaxBy(p => p.Pool.Free);
        var change = best.Pool.Free >= need
            ? ScoreRule.Patch(Say.ScorePagesChange, input.Placement is null ? $$$"""{"memory":{"pages":"{{{PortalJson.Text(Vms.PagesChoice.Huge2M)}}}","balloon":false}}""" : $$$$"""{"placement":{"knobs":{"pages":"{{{{PortalJson.Text(PageKind.Huge2M)}}}}"}}}""")
            : ScoreRule.Setting(Say.ScorePoolChange(best.Pool.Total - best.Pool.Free + need, best.Node), new HugePagesSetting(best.Node, Medium, best.Pool.Total - best.Pool.Free + need));
        // Without a pool of their own, pages may still be merged into huge ones.
        var merged = input.Host.Kernel.TransparentHugePages == "always" || (input.Host.Kernel.TransparentHugePages == "madvise" && input.Placement is not null);
        return Ruling.Missing(merged ? Say.ScorePagesThp : Say.ScorePagesSmall, change, [.. evidence, File("/sys/kernel/mm/transparent_hugepage/enabled", input.Host.Kernel.TransparentHugePages)]) with { Earned = merged ? 0.5 : 0 };
    }

    private static Ruling Prealloc(ScoreInput input)
    {
        var evidence = ScoreRule.Argument(input, "\"prealloc\"");
        if (input.Placement is { } placement ? placement.Nodes.All(n => n.PreallocThreads > 0 || n.HugePageKiB is not null) : input.Spec?.Memory.PageSizeKiB > 4)
            return Ruling.InForce(Say.ScorePrealloc, evidence);
        return input.Placement is null ? ScoreRule.NoPlace(input, Say.ScoreNoPrealloc, evidence)
            : Ruling.Missing(Say.ScoreNoPrealloc, ScoreRule.Patch(Say.ScorePreallocChange, """{"placement":{"knobs":{"prealloc":true}}}"""), evidence);
    }

    private static Ruling Locked(ScoreInput input)
    {
        var swap = File("/proc/swaps", Some(input.Host.Kernel.Swap.Select(s => Short(s.Name, 60))));
        if (input.Placement is { } placement ? placement.Locked || placement.Nodes.All(n => n.HugePageKiB is not null) : input.Spec?.Memory.PageSizeKiB > 4)
            return Ruling.InForce(Say.ScoreLocked, ScoreRule.Argument(input, input.Placement?.Locked == true ? "mem-lock=on" : "\"hugetlb\":true"));
        if (input.Host.Kernel.Swap.Count == 0)
            return Ruling.InForce(Say.ScoreNoSwap, swap);
        return input.Placement is null ? ScoreRule.NoPlace(input, Say.ScoreUnlocked, swap)
            : Ruling.Missing(Say.ScoreUnlocked, ScoreRule.Patch(Say.ScoreLockChange, """{"placement":{"knobs":{"lockMemory":true}}}"""), swap);
    }

    private static Ruling Balloon(ScoreInput input) => input.Spec?.Balloon ?? input.Definition.Memory.Balloon
        ? Ruling.Missing(Say.ScoreBalloonThere, ScoreRule.Patch(Say.ScoreBalloonChange, """{"memory":{"balloon":false}}"""), ScoreRule.Argument(input, "virtio-balloon"))
        : Ruling.InForce(Say.ScoreBalloonNone, ScoreRule.Argument(input, "virtio-balloon"));

    private static Ruling Merging(ScoreInput input)
    {
        var evidence = File("/sys/kernel/mm/ksm/run", input.Host.Kernel.Ksm);
        if (input.Host.Kernel.Ksm != 1)
            return Ruling.InForce(Say.ScoreMergeOff, evidence);
        return input.Placement is not null ? Ruling.InForce(Say.ScoreMergeOff, ScoreRule.Argument(input, "\"merge\":false"))
            : Ruling.Missing(Say.ScoreMergeOn, ScoreRule.Setting(Say.ScoreMergeChange, new KsmSetting("off")), evidence);
    }

    private static Ruling Balancing(ScoreInput input)
    {
        var evidence = File("/proc/sys/kernel/numa_balancing", input.Host.Kernel.NumaBalancing is { } on ? on ? "1" : "0" : null);
        return input.Host.Kernel.NumaBalancing == true && input.ManyNodes
            ? Ruling.Missing(Say.ScoreBalancingOn, ScoreRule.Setting(Say.ScoreBalancingChange, new NumaBalancingSetting(false)), evidence)
            : Ruling.InForce(Say.ScoreBalancingOff, evidence);
    }

    private static Ruling CodePages(ScoreInput input)
    {
        if (input.Emulated)
            return Ruling.Impossible(Say.ScoreNeedsKvm);
        var (value, flaw) = (input.Host.Kvm.Parameters.GetValueOrDefault("kvm.nx_huge_pages"), input.Host.Kernel.Vulnerabilities.GetValueOrDefault("itlb_multihit"));
        IReadOnlyList<Evidence> evidence = [File("/sys/module/kvm/parameters/nx_huge_pages", value), File("/sys/devices/system/cpu/vulnerabilities/itlb_multihit", Short(flaw))];
        if (value is not ("Y" or "1"))
            return Ruling.InForce(Say.ScoreNxOff, evidence);
        return flaw == "Not affected" ? Ruling.Missing(Say.ScoreNxOn, ScoreRule.Setting(Say.ScoreNxChange, new ModuleParameterSetting("kvm", "nx_huge_pages", "N")), evidence) : Ruling.Impossible(Say.ScoreNxNeeded, evidence);
    }
}
