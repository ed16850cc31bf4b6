using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Linux.Fixtures;

/// <summary>Builds the files of one host from its description, in the layout that sysfs has: devices under their bridges, classes and buses as links.</summary>
public sealed partial class FixtureHost(Renaming ids)
{
    private const string CpuRoot = "/sys/devices/system/cpu";
    private readonly SortedDictionary<int, FixtureCpu> cpus = [];
    private readonly Dictionary<string, string> pci = [];
    private readonly List<string> interrupts = [];

    public HostTreeFiles Files { get; } = new();
    public Renaming Ids => ids;

    /// <summary>The ids that this host has now, for tests that ask what became of a CPU.</summary>
    public IEnumerable<(int Before, int Now)> Cpus => cpus.Keys.Select(id => (id, ids.Cpu(id)));

    public FixtureHost File(string path, string text)
    {
        Files.File(path, text);
        return this;
    }

    /// <summary>Several files below one folder.</summary>
    public FixtureHost In(string folder, params (string Name, string Text)[] files)
    {
        foreach (var (name, text) in files)
            Files.File($"{folder}/{name}", text);
        return this;
    }

    /// <summary>One hardware thread with its topology, caches and frequency files.</summary>
    public FixtureHost Cpu(int id, FixtureCpu cpu)
    {
        cpus[id] = cpu;
        var now = ids.Cpu(id);
        var folder = $"{CpuRoot}/cpu{now}";
        if (id != 0)
            Files.File($"{folder}/online", cpu.Online ? "1" : "0");
        if (!cpu.Online)
            return this;
        In($"{folder}/topology", ("physical_package_id", $"{ids.Other("package", cpu.Package)}"), ("core_id", $"{ids.Other("core", cpu.Core)}"), ("thread_siblings_list", ids.List(cpu.Threads)));
        if (cpu.Modern)
            In($"{folder}/topology", ("core_cpus_list", ids.List(cpu.Threads)), ("die_id", $"{cpu.Die}"));
        if (cpu.Cluster is { } cluster)
            In($"{folder}/topology", ("cluster_cpus_list", ids.List(cluster)), ("cluster_id", $"{cpu.ClusterId}"));
        var index = 0;
        foreach (var (level, type, kib, shared) in cpu.Caches)
            In($"{folder}/cache/index{index++}", ("level", $"{level}"), ("type", type), ("size", $"{kib}K"), ("shared_cpu_list", ids.List(shared)));
        if (cpu.MaxKHz is { } khz)
            In($"{folder}/cpufreq", ("cpuinfo_max_freq", $"{khz}"), ("scaling_governor", cpu.Governor), ("scaling_driver", cpu.FrequencyDriver));
        if (cpu.Capacity is { } capacity)
            Files.File($"{folder}/cpu_capacity", $"{capacity}");
        Files.File($"{folder}/power/pm_qos_resume_latency_us", "0");
        return this;
    }

    /// <summary>The lists over all CPUs; to be called after the last <see cref="Cpu"/>.</summary>
    public FixtureHost CpuLists(string? possible = null, string? smt = null, string? smtActive = null, string? nohzFull = "")
    {
        var online = ids.Set(CpuSet.Of(cpus.Where(c => c.Value.Online).Select(c => c.Key)));
        var present = ids.Set(CpuSet.Of(cpus.Keys));
        In(CpuRoot, ("online", $"{online}"), ("present", $"{present}"), ("possible", possible is null || ids != Renaming.None ? $"{present}" : possible), ("isolated", ""), ("offline", $"{present - online}"));
        if (nohzFull is not null)
            Files.File($"{CpuRoot}/nohz_full", nohzFull);
        if (smt is not null)
            Files.File($"{CpuRoot}/smt/control", smt);
        if (smtActive is not null)
            Files.File($"{CpuRoot}/smt/active", smtActive);
        return this;
    }

    /// <summary>/proc/cpuinfo: one block for each online CPU, in the order of their ids.</summary>
    public FixtureHost CpuInfo(Func<FixtureCpu, string> block)
    {
        Files.File("/proc/cpuinfo", string.Concat(cpus.Where(c => c.Value.Online).Select(c => (Id: ids.Cpu(c.Key), c.Value)).OrderBy(c => c.Id).Select(c => $"processor\t: {c.Id}\n{block(c.Value).ReplaceLineEndings("\n").TrimEnd()}\n\n")));
        return this;
    }

    /// <summary>A NUMA node; pools are pages by size in KiB.</summary>
    public FixtureHost Node(int id, string cpulist, string distance, long memoryKiB, params (long SizeKiB, long Pages)[] pools)
    {
        var folder = $"/sys/devices/system/node/node{id}";
        In(folder, ("cpulist", ids.List(cpulist)), ("distance", distance), ("meminfo", $"Node {id} MemTotal:       {memoryKiB} kB\nNode {id} MemFree:        {memoryKiB / 2} kB\nNode {id} MemUsed:        {memoryKiB / 2} kB"));
        Pools($"{folder}/hugepages", pools);
        return this;
    }

    public FixtureHost Pools(string folder, params (long SizeKiB, long Pages)[] pools)
    {
        foreach (var (size, pages) in pools)
            In($"{folder}/hugepages-{size}kB", ("nr_hugepages", $"{pages}"), ("free_hugepages", $"{pages}"), ("surplus_hugepages", "0"));
        return this;
    }

    public FixtureHost Memory(long totalKiB) =>
        File("/proc/meminfo", $"MemTotal:       {totalKiB} kB\nMemFree:        {totalKiB / 2} kB\nMemAvailable:   {totalKiB / 4 * 3} kB\nHugepagesize:       2048 kB");

    /// <summary>Interrupts follow those that are there; each is raised by a PCI function if the name says so.</summary>
    public FixtureHost Irq(int number, string name, string affinity, string? effective, string? function = null)
    {
        interrupts.Add($"{number,4}:          1          0  IR-PCI-MSI 0-edge      {name}");
        Files.Folder($"/proc/irq/{number}/{name.Replace('/', '!')}");
        In($"/proc/irq/{number}", ("smp_affinity_list", ids.List(affinity)));
        if (effective is not null)
            Files.File($"/proc/irq/{number}/effective_affinity_list", ids.List(effective));
        if (function is not null)
            Files.File($"{pci[function]}/msi_irqs/{number}", "msix");
        Files.File("/proc/interrupts", "            CPU0       CPU1\n" + string.Join('\n', interrupts) + "\nNMI:          0          0   Non-maskable interrupts\nLOC:     100000     100000   Local timer interrupts\nERR:          0");
        return this;
    }

    /// <summary>Modules that are loaded, each with its parameters.</summary>
    public FixtureHost Module(string name, params (string Name, string Text)[] parameters)
    {
        Files.Folder($"/sys/module/{name}");
        return In($"/sys/module/{name}/parameters", parameters);
    }
}

/// <param name="Threads">All threads of its core.</param>
/// <param name="Caches">In the kernel's order, which is not that of the levels everywhere.</param>
public sealed record FixtureCpu(int Package, int Core, string Threads, params (int Level, string Type, int KiB, string Shared)[] Caches)
{
    public int Die { get; init; }
    public string? Cluster { get; init; }
    public int ClusterId { get; init; }
    public bool Online { get; init; } = true;
    /// <summary>Has the files of kernel 5.2 and newer.</summary>
    public bool Modern { get; init; } = true;
    public long? MaxKHz { get; init; }
    public string Governor { get; init; } = "performance";
    public string FrequencyDriver { get; init; } = "acpi-cpufreq";
    public int? Capacity { get; init; }

    /// <summary>The usual three levels.</summary>
    public static (int, string, int, string)[] Levels(int l1d, int l1i, int l2, int l3, string l1, string l2Shared, string l3Shared) =>
        [(1, "Data", l1d, l1), (1, "Instruction", l1i, l1), (2, "Unified", l2, l2Shared), (3, "Unified", l3, l3Shared)];
}
