using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Settings;

namespace KvmPortal.Host.Tests.Linux.Settings;

/// <summary>A tree of kernel files in a folder of its own, and the steps over it. What the kernel would do with a write can be replaced.</summary>
internal sealed class KernelScene : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("kvmportal-kernel-").FullName;

    public KernelScene()
    {
        Put("/sys/devices/system/cpu/online", "0-7");
        for (var cpu = 0; cpu < 8; cpu++)
        {
            Put($"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", cpu == 3 ? "performance" : "powersave");
            Put($"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_available_governors", "performance powersave");
            Put($"/sys/devices/system/cpu/cpu{cpu}/power/pm_qos_resume_latency_us", "0");
        }

        Pool("/sys/devices/system/node/node0/hugepages/hugepages-2048kB", 4);
        Pool("/sys/devices/system/node/node1/hugepages/hugepages-2048kB", 0);
        Pool("/sys/kernel/mm/hugepages/hugepages-1048576kB", 0);
        Put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
        Put("/sys/kernel/mm/ksm/run", "1");
        Put("/proc/sys/kernel/numa_balancing", "1");
        Put("/sys/module/kvm/parameters/halt_poll_ns", "200000");
        Put("/sys/module/kvm/parameters/ignore_msrs", "N");
        Put("/proc/sys/vm/swappiness", "60");
        Put("/proc/sys/vm/dirty_background_ratio", "10");
        Put("/proc/sys/vm/dirty_background_bytes", "0");
        Put("/proc/irq/default_smp_affinity", "ff");
        Put("/proc/irq/24/smp_affinity_list", "0-7");
        Put("/proc/irq/24/effective_affinity_list", "5");
        Put("/proc/irq/25/smp_affinity_list", "4");
        Put("/proc/irq/26/smp_affinity_list", "0-7");
        Put("/proc/irq/26/effective_affinity_list", "1");
        Put("/etc/default/irqbalance", "# what irqbalance gets\nIRQBALANCE_ARGS=\"--deepestcache=2\"\n#IRQBALANCE_BANNED_CPULIST=");
        Behave((_, _) => false);
    }

    public string Root => Path.Combine(folder, "root");

    public string JournalFolder => Path.Combine(folder, "journals");

    public KernelFiles Files { get; private set; } = null!;

    public SettingSteps Steps { get; private set; } = null!;

    public string BootId { get; set; } = "boot-1";

    public void Put(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Root + path)!);
        File.WriteAllText(Root + path, text + "\n");
    }

    private void Pool(string path, int pages)
    {
        Put($"{path}/nr_hugepages", $"{pages}");
        Put($"{path}/free_hugepages", $"{pages}");
    }

    public string Text(string path) => File.ReadAllText(Root + path).TrimEnd();

    /// <summary>The portal was started again.</summary>
    public SettingSteps New() => Steps = new SettingSteps(Files, SettingJournals.In(JournalFolder), () => BootId);

    /// <summary>A kernel that treats writes in its own way: true when it has.</summary>
    public void Behave(Func<string, string, bool> write)
    {
        var plain = KernelFiles.Of(Root);
        Files = new KernelFiles(plain.Text, plain.Names, (path, text) =>
        {
            if (write(path, text))
                return;
            // As in a kernel: new pages are free, and free ones go.
            var free = path.Replace("/nr_hugepages", "/free_hugepages", StringComparison.Ordinal);
            if (free != path)
                Put(free, $"{plain.Number(free) + long.Parse(text, System.Globalization.CultureInfo.InvariantCulture) - plain.Number(path)}");
            // It edits the file itself.
            plain.Write(path, IrqbalanceFile.Is(path) ? IrqbalanceFile.Value(text) : text);
        });
        New();
    }

    public SortedDictionary<string, string> Snapshot() =>
        new(Directory.EnumerateFiles(Root, "*", SearchOption.AllDirectories).Where(f => !f.EndsWith("/free_hugepages", StringComparison.Ordinal)).ToDictionary(f => f[Root.Length..], f => Files.Value(f[Root.Length..]) ?? ""), StringComparer.Ordinal);

    public Task<(SettingOutcome Outcome, bool Changed, List<string> Log)> ApplyAsync(Guid id, HostSetting setting) => EndAsync(Steps.ApplyAsync(id, setting, TestContext.Current.CancellationToken));

    public Task<(SettingOutcome Outcome, bool Changed, List<string> Log)> RestoreAsync(Guid id, HostSetting setting) => EndAsync(Steps.RestoreAsync(id, setting, TestContext.Current.CancellationToken));

    private static async Task<(SettingOutcome, bool, List<string>)> EndAsync(IAsyncEnumerable<StepReport> reports)
    {
        StepDone? done = null;
        var log = new List<string>();
        await foreach (var report in reports)
        {
            Assert.Null(done);
            if (report is StepLog line)
                log.Add(line.Text);
            done = report as StepDone;
        }

        return (done!.Setting!, done.Changed, log);
    }

    public string[] Journals => Directory.Exists(JournalFolder) ? Directory.GetFiles(JournalFolder) : [];

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
