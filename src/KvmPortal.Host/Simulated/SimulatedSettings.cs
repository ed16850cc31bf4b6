using System.Collections.Concurrent;
using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Settings;

namespace KvmPortal.Host.Simulated;

/// <summary>
/// The kernel's files of the simulated host, in memory: settings are applied to them by the same code as on a real host. As on a real one, no more giant pages are to be had
/// than memory in one piece is left (half of a node), and some interrupts cannot be moved.
/// </summary>
internal sealed class SimulatedSettings
{
    private const int MostGiantPages = 32;
    private const int GiantKiB = 1 << 20;
    private readonly string fixedIrq;
    private readonly ConcurrentDictionary<string, string> files = new(StringComparer.Ordinal);

    public SimulatedSettings(string bootId, HostInventory host)
    {
        files["/sys/devices/system/cpu/online"] = host.Cpu.Online.ToString();
        foreach (var cpu in host.Cpus)
        {
            files[$"/sys/devices/system/cpu/cpu{cpu.Id}/cpufreq/scaling_governor"] = cpu.Governor ?? "performance";
            files[$"/sys/devices/system/cpu/cpu{cpu.Id}/cpufreq/scaling_available_governors"] = "performance powersave schedutil";
            files[$"/sys/devices/system/cpu/cpu{cpu.Id}/power/pm_qos_resume_latency_us"] = "0";
        }

        foreach (var pool in host.NumaNodes.SelectMany(n => n.HugePages.Select(p => (Folder: $"/sys/devices/system/node/node{n.Id}", p.SizeKiB, p.Total)))
            .Concat(host.NumaNodes.SelectMany(n => n.HugePages).GroupBy(p => p.SizeKiB).Select(g => (Folder: "/sys/kernel/mm", SizeKiB: g.Key, Total: g.Sum(p => p.Total)))))
            foreach (var name in (string[])["nr_hugepages", "free_hugepages"])
                files[$"{pool.Folder}/hugepages/hugepages-{pool.SizeKiB}kB/{name}"] = Text(pool.Total);
        foreach (var irq in host.Irqs)
            files[$"/proc/irq/{irq.Number}/smp_affinity_list"] = irq.Affinity.ToString();
        // As the queues of an NVMe disk: placed by the kernel itself.
        fixedIrq = host.Irqs.Count > 0 ? $"/proc/irq/{host.Irqs[^1].Number}/smp_affinity_list" : "";
        foreach (var (path, text) in ((string, string)[])[
            ("/sys/kernel/mm/transparent_hugepage/enabled", "madvise"), ("/sys/kernel/mm/ksm/run", "0"), ("/proc/sys/kernel/numa_balancing", "1"), ("/etc/default/irqbalance", "# irqbalance"),
            ("/sys/module/kvm/parameters/halt_poll_ns", "200000"), ("/sys/module/kvm/parameters/nx_huge_pages", "N"), ("/sys/module/kvm/parameters/ignore_msrs", "N"),
            ("/proc/sys/vm/swappiness", "60"), ("/proc/sys/vm/overcommit_memory", "0"), ("/proc/sys/vm/max_map_count", "65530"), ("/proc/sys/vm/dirty_background_ratio", "10"),
            ("/proc/sys/vm/dirty_background_bytes", "0"), ("/proc/sys/vm/stat_interval", "1"), ("/proc/sys/kernel/sched_rt_runtime_us", "950000"), ("/proc/sys/net/core/busy_poll", "0")])
            files[path] = text;
        Files = new KernelFiles(files.GetValueOrDefault, Names, Write);
        Steps = new SettingSteps(Files, SettingJournals.InMemory(), () => bootId, _ => Task.FromResult<string?>(null));
    }

    public KernelFiles Files { get; }

    public SettingSteps Steps { get; }

    /// <summary>An inventory as it reads after what was set.</summary>
    public HostInventory Over(HostInventory host) => host with
    {
        NumaNodes = [.. host.NumaNodes.Select(n => n with { HugePages = [.. n.HugePages.Select(p => Pool(n.Id, p))] })],
        Cpus = [.. host.Cpus.Select(c => c with { Governor = Files.Value($"/sys/devices/system/cpu/cpu{c.Id}/cpufreq/scaling_governor") ?? c.Governor })],
        Kernel = host.Kernel with
        {
            TransparentHugePages = Files.Value("/sys/kernel/mm/transparent_hugepage/enabled"),
            Ksm = (int?)Files.Number("/sys/kernel/mm/ksm/run"),
            NumaBalancing = Files.Value("/proc/sys/kernel/numa_balancing") == "1",
        },
    };

    private HugePagePool Pool(int node, HugePagePool pool)
    {
        var folder = $"/sys/devices/system/node/node{node}/hugepages/hugepages-{pool.SizeKiB}kB";
        return pool with { Total = Files.Number($"{folder}/nr_hugepages") ?? pool.Total, Free = Files.Number($"{folder}/free_hugepages") ?? pool.Free };
    }

    private IReadOnlyList<string> Names(string folder) =>
        [.. files.Keys.Where(k => k.StartsWith(folder + "/", StringComparison.Ordinal)).Select(k => k[(folder.Length + 1)..].Split('/')[0]).Distinct().Order(StringComparer.Ordinal)];

    private void Write(string path, string text)
    {
        if (!files.ContainsKey(path))
            throw new FileNotFoundException(path);
        if (path == fixedIrq)
            throw new IOException("Input/output error", 5);
        if (path.EndsWith("/nr_hugepages", StringComparison.Ordinal))
        {
            var asked = long.Parse(text, CultureInfo.InvariantCulture);
            text = Text(path.Contains($"hugepages-{GiantKiB}kB", StringComparison.Ordinal) ? Math.Min(asked, MostGiantPages) : asked);
            files[path.Replace("/nr_", "/free_", StringComparison.Ordinal)] = text;
        }

        files[path] = text;
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
