using System.Globalization;
using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>How much memory there is, how good it is, and how it is given out.</summary>
internal static class MemoryChecks
{
    private const long GiB = 1024;
    private const long GigaPage = 1 << 20;

    public static IReadOnlyList<Check> All { get; } =
    [
        new("memory-size", Say.MemorySizeTitle, Say.MemorySizeMeaning, Size)
        {
            MattersFor = [Audience.EveryVm],
            RequiredFor = [Purpose.BareMetal],
            HelpsFor = [Purpose.OrdinaryVms],
        },
        new("ecc", Say.EccTitle, Say.EccMeaning, Ecc)
        {
            MattersFor = [Audience.BareMetalClass, Audience.Isolation, Audience.Mlps],
            HelpsFor = [Purpose.BareMetal, Purpose.ConfidentialVms],
        },
        new("huge-pages", Say.HugePagesTitle, Say.HugePagesMeaning, HugePages)
        {
            MattersFor = [Audience.BareMetalClass, Audience.LowLatency, Audience.Gpu],
            RequiredFor = [Purpose.Dpdk],
            HelpsFor = [Purpose.BareMetal, Purpose.GpuPassthrough],
        },
        new("giant-pages", Say.GigaPagesTitle, Say.GigaPagesMeaning, GiantPages)
        {
            MattersFor = [Audience.BareMetalClass, Audience.Gpu],
            HelpsFor = [Purpose.BareMetal, Purpose.GpuPassthrough],
        },
        new("transparent-huge-pages", Say.ThpTitle, Say.ThpMeaning, Thp) { MattersFor = [Audience.EveryVm, Audience.LowLatency], HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal] },
        new("ksm", Say.KsmTitle, Say.KsmMeaning, Ksm) { MattersFor = [Audience.Isolation, Audience.LowLatency, Audience.Mlps], HelpsFor = [Purpose.BareMetal, Purpose.ConfidentialVms] },
        new("numa-balancing", Say.NumaBalancingTitle, Say.NumaBalancingMeaning, NumaBalancing) { MattersFor = [Audience.BareMetalClass, Audience.LowLatency], HelpsFor = [Purpose.BareMetal] },
        new("swap", Say.SwapTitle, Say.SwapMeaning, Swap) { MattersFor = [Audience.BareMetalClass, Audience.Isolation, Audience.Mlps], HelpsFor = [Purpose.BareMetal, Purpose.ConfidentialVms] },
    ];

    private static string Whole(long mib) => (mib / (double)GiB).ToString("0.#", CultureInfo.InvariantCulture);

    private static Finding Size(ReadinessInput input)
    {
        var total = input.Inventory.Memory.TotalMiB;
        var evidence = File("/proc/meminfo", total == 0 ? null : $"MemTotal: {total} MiB");
        // Firmware and kernel keep some of what was bought.
        return total == 0 ? Unknown(Say.CannotBeTold, evidence)
            : total >= 8 * GiB * 15 / 16 ? Ready(Say.MemorySizeIs(Whole(total)), evidence)
            : Missing(Say.MemorySizeSmall(Whole(total)), [Purchase(Say.MemorySizeFix)], evidence);
    }

    private static Finding Ecc(ReadinessInput input)
    {
        var memory = input.Inventory.Memory;
        var evidence = new Evidence(memory.EccEvidence is { } told ? Short(told) : "/sys/devices/system/edac/mc", memory.Ecc switch
        {
            EccState.Present => string.Join(", ", memory.DimmTypes.Distinct().Take(4)) is { Length: > 0 } types ? types : "ECC",
            EccState.Absent => "no ECC",
            EccState.Unknown => "(absent)",
        });
        if (memory.Ecc == EccState.Present && memory.UncorrectedErrors > 0)
            return But(Say.EccErrors($"{memory.UncorrectedErrors}"), [Purchase(Say.EccReplace)], evidence, File("/sys/devices/system/edac/mc/mc*/ue_count", $"{memory.UncorrectedErrors}"));
        return memory.Ecc switch
        {
            EccState.Present => Ready(Say.EccPresent, evidence),
            EccState.Absent => Missing(Say.EccAbsent, [Purchase(Say.EccFix)], evidence),
            EccState.Unknown => Unknown(Say.EccUnknown, evidence),
        };
    }

    private static string Word(long sizeKiB) => sizeKiB >= GigaPage ? $"{sizeKiB / GigaPage} GiB" : sizeKiB >= 1024 ? $"{sizeKiB / 1024} MiB" : $"{sizeKiB} KiB";

    private static string Path(NumaNode node, HugePagePool pool) => $"/sys/devices/system/node/node{node.Id}/hugepages/hugepages-{pool.SizeKiB}kB/nr_hugepages";

    private static Finding HugePages(ReadinessInput input)
    {
        var pools = input.Inventory.NumaNodes.SelectMany(n => n.HugePages.Select(p => (Node: n, Pool: p))).ToList();
        var evidence = pools.Where(p => p.Pool.SizeKiB is 2048 or GigaPage || p.Pool.Total > 0).Take(16).Select(p => File(Path(p.Node, p.Pool), p.Pool.Total)).ToList();
        if (pools.Count == 0)
            return Missing(Say.HugePagesNoSupport, [], File("/sys/devices/system/node/node*/hugepages", null));
        if (pools.Any(p => p.Pool.Total > 0))
            return Ready(Say.HugePagesThere(string.Join(", ", pools.GroupBy(p => p.Pool.SizeKiB).Where(g => g.Any(p => p.Pool.Total > 0)).OrderBy(g => g.Key).Select(g => $"{g.Sum(p => p.Pool.Total)} × {Word(g.Key)}"))), evidence);
        var fixes = new List<Fix>();
        foreach (var node in input.Inventory.NumaNodes.Where(n => !n.Cpus.IsEmpty).Take(8))
        {
            // A quarter of the node, and never more than half of what is free: the host must live.
            var pages = Math.Min((node.MemoryMiB ?? 0) / 4, (node.FreeMiB ?? node.MemoryMiB ?? 0) / 2) / 2;
            if (node.HugePages.Any(p => p.SizeKiB == 2048) && pages > 0)
                fixes.Add(Now(Say.HugePagesFixNow($"{pages}", Word(2048), $"{node.Id}"), new HugePagesSetting(node.Id, 2048, pages)));
        }

        fixes.Add(Boot(Say.HugePagesBoot, BootPages(input.Inventory)));
        return Missing(Say.HugePagesNone, fixes, evidence);
    }

    private static string BootPages(HostInventory host)
    {
        var half = host.Memory.TotalMiB / 2;
        return half >= 8 * GiB && HasGiantPages(host) ? $"default_hugepagesz=1G hugepagesz=1G hugepages={half / GiB}" : $"hugepagesz=2M hugepages={half / 2}";
    }

    private static bool HasGiantPages(HostInventory host) => host.Cpu.Flags.Contains("pdpe1gb") || host.NumaNodes.Any(n => n.HugePages.Any(p => p.SizeKiB == GigaPage));

    private static Finding GiantPages(ReadinessInput input)
    {
        var host = input.Inventory;
        var pools = host.NumaNodes.SelectMany(n => n.HugePages.Where(p => p.SizeKiB == GigaPage).Select(p => (Node: n, Pool: p))).ToList();
        var total = pools.Sum(p => p.Pool.Total);
        IReadOnlyList<Evidence> evidence = [File("/proc/cpuinfo", host.Cpu.Flags.Contains("pdpe1gb") ? "… pdpe1gb …" : host.Cpu.Architecture == "x86_64" ? "no pdpe1gb" : null), .. pools.Take(8).Select(p => File(Path(p.Node, p.Pool), p.Pool.Total))];
        return total > 0 ? Ready(Say.GigaPagesThere($"{total}"), evidence)
            : !HasGiantPages(host) ? Missing(Say.GigaPagesNo, [], evidence)
            : But(Say.GigaPagesCould, [Boot(Say.HugePagesBoot, $"hugepagesz=1G hugepages={Math.Max(1, host.Memory.TotalMiB / 2 / GiB)}")], evidence);
    }

    private static Finding Thp(ReadinessInput input)
    {
        var mode = input.Inventory.Kernel.TransparentHugePages;
        var evidence = File("/sys/kernel/mm/transparent_hugepage/enabled", mode);
        Fix[] fix = [Now(Say.ThpFix, new TransparentHugePagesSetting("madvise"))];
        return mode switch
        {
            "madvise" => Ready(Say.ThpIs(mode), evidence),
            "always" => But(Say.ThpAlways, fix, evidence),
            "never" => But(Say.ThpNever, fix, evidence),
            _ => Unknown(Say.CannotBeTold, evidence),
        };
    }

    private static Finding Ksm(ReadinessInput input)
    {
        var run = input.Inventory.Kernel.Ksm;
        var evidence = File("/sys/kernel/mm/ksm/run", run);
        // Kernels without KSM have no such file.
        return run is 1 ? But(Say.KsmOn, [Now(Say.KsmFix, new KsmSetting("unmerge"))], evidence) : Ready(Say.KsmOff, evidence);
    }

    private static Finding NumaBalancing(ReadinessInput input)
    {
        var nodes = input.Inventory.NumaNodes.Count(n => !n.Cpus.IsEmpty);
        var evidence = File("/proc/sys/kernel/numa_balancing", input.Inventory.Kernel.NumaBalancing is { } on ? on ? "1" : "0" : null);
        return nodes < 2 ? Ready(Say.NumaBalancingOneNode, evidence)
            : input.Inventory.Kernel.NumaBalancing == true ? But(Say.NumaBalancingOn(nodes), [Now(Say.NumaBalancingFix, new NumaBalancingSetting(false))], evidence)
            : Ready(Say.NumaBalancingOff, evidence);
    }

    private static Finding Swap(ReadinessInput input)
    {
        var areas = input.Inventory.Kernel.Swap;
        var clear = areas.Where(a => !a.Encrypted).Select(a => a.Name).ToList();
        var evidence = File("/proc/swaps", areas.Count == 0 ? "" : Some(areas.Select(a => $"{a.Name} {a.SizeMiB} MiB")));
        return areas.Count == 0 ? Ready(Say.SwapNone, evidence)
            : clear.Count == 0 ? Ready(Say.SwapEncrypted, evidence)
            : But(Say.SwapClear(Some(clear)), [Command(Say.SwapFix)], evidence);
    }
}
