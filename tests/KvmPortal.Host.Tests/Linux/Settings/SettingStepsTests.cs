using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Settings;

namespace KvmPortal.Host.Tests.Linux.Settings;

public sealed class SettingStepsTests : IDisposable
{
    private const string Pool0 = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB";
    private readonly KernelScene scene = new();
    private readonly Guid id = Guid.NewGuid();

    public void Dispose() => scene.Dispose();

    public static TheoryData<HostSetting, string[]> Settings() => new()
    {
        { new HugePagesSetting(0, 2048, 64), [$"{Pool0}/nr_hugepages: 4 -> 64"] },
        { new HugePagesSetting(null, 1 << 20, 2), ["/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages: 0 -> 2"] },
        { new TransparentHugePagesSetting("never"), ["/sys/kernel/mm/transparent_hugepage/enabled: madvise -> never"] },
        { new KsmSetting("unmerge"), ["/sys/kernel/mm/ksm/run: 1 -> 2"] },
        { new CpuGovernorSetting("performance", CpuSet.Parse("2-4")), ["/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor: powersave -> performance", "/sys/devices/system/cpu/cpu4/cpufreq/scaling_governor: powersave -> performance"] },
        { new CpuLatencySetting(CpuSet.Parse("6"), 1), ["/sys/devices/system/cpu/cpu6/power/pm_qos_resume_latency_us: 0 -> 1"] },
        { new CpuLatencySetting(CpuSet.Parse("6"), 0), ["/sys/devices/system/cpu/cpu6/power/pm_qos_resume_latency_us: 0 -> n/a"] },
        { new NumaBalancingSetting(false), ["/proc/sys/kernel/numa_balancing: 1 -> 0"] },
        { new ModuleParameterSetting("kvm", "halt_poll_ns", "0"), ["/sys/module/kvm/parameters/halt_poll_ns: 200000 -> 0"] },
        { new ModuleParameterSetting("kvm", "ignore_msrs", "N"), [] },
        { new IrqAffinitySetting(CpuSet.Parse("4-7")), ["/proc/irq/default_smp_affinity: ff -> f", "/proc/irq/24/smp_affinity_list: 0-7 -> 0-3", "/proc/irq/25/smp_affinity_list: 4 -> 0-3"] },
        { new IrqbalanceBanSetting(CpuSet.Parse("4-7")), ["/etc/default/irqbalance:  -> 4-7"] },
        { new SysctlSetting("vm.swappiness", "1"), ["/proc/sys/vm/swappiness: 60 -> 1"] },
        { new SysctlSetting("vm.dirty_background_ratio", "5"), ["/proc/sys/vm/dirty_background_ratio: 10 -> 5"] },
    };

    [Theory]
    [MemberData(nameof(Settings), DisableDiscoveryEnumeration = true)]
    public async Task What_is_shown_is_what_is_written_and_undo_leaves_no_trace(HostSetting setting, string[] expected)
    {
        var before = scene.Snapshot();
        var look = scene.Steps.Look(setting, null);
        Assert.Null(look.Refusal);
        Assert.Equal(expected, look.Writes.Select(w => $"{w.Path}: {w.Now} -> {w.Then}"));
        Assert.Equal(before, scene.Snapshot());

        var (outcome, changed, _) = await scene.ApplyAsync(id, setting);
        Assert.Equal(expected.Length > 0, changed);
        Assert.True(outcome.Complete);
        var after = scene.Snapshot();
        Assert.Equal(look.Writes.ToDictionary(w => w.Path, w => w.Then), after.Where(f => f.Value != before[f.Key]).ToDictionary());
        Assert.True(scene.Steps.Look(setting, id).InForce);
        Assert.Equal(expected.Length > 0 ? 1 : 0, scene.Journals.Length);

        // Again, by a portal that was started anew: nothing more, and what was before is not forgotten.
        scene.New();
        Assert.False((await scene.ApplyAsync(id, setting)).Changed);
        Assert.Equal(after, scene.Snapshot());

        var (restored, gaveBack, _) = await scene.RestoreAsync(id, setting);
        Assert.Equal(expected.Length > 0, gaveBack);
        Assert.True(restored is { Complete: true, Restored: true, Note: null });
        Assert.Equal(before, scene.Snapshot());
        Assert.Empty(scene.Journals);
        Assert.False((await scene.RestoreAsync(id, setting)).Changed);
    }

    [Fact]
    public async Task The_rest_of_a_file_in_etc_stays()
    {
        var before = scene.Text("/etc/default/irqbalance");
        File.SetUnixFileMode(scene.Root + "/etc/default/irqbalance", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        var (_, _, log) = await scene.ApplyAsync(id, new IrqbalanceBanSetting(CpuSet.Parse("2,3")));
        Assert.Equal(before + "\nIRQBALANCE_BANNED_CPULIST=2-3", scene.Text("/etc/default/irqbalance"));
        Assert.Contains(log, l => l.Contains("Restart irqbalance", StringComparison.Ordinal));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(scene.Root + "/etc/default/irqbalance"));
        // Somebody else's change of another line is kept.
        scene.Put("/etc/default/irqbalance", scene.Text("/etc/default/irqbalance").Replace("=2\"", "=3\"", StringComparison.Ordinal));
        await scene.RestoreAsync(id, new IrqbalanceBanSetting(CpuSet.Parse("2,3")));
        Assert.Equal(before.Replace("=2\"", "=3\"", StringComparison.Ordinal), scene.Text("/etc/default/irqbalance"));
    }

    [Fact]
    public async Task Pages_that_are_not_to_be_had_are_all_given_back_and_the_boot_line_is_told()
    {
        scene.Behave(Fragmented(40));
        var setting = new HugePagesSetting(0, 2048, 64);
        var failed = await Assert.ThrowsAsync<HostException>(() => scene.ApplyAsync(id, setting));
        Assert.Equal(HostError.NoRoom, failed.Error);
        Assert.Equal("Only 40 of 64 huge pages of 2M could be had; they were given back.", failed.Message);
        Assert.Contains("hugepagesz=2M hugepages=0:64", failed.Hint, StringComparison.Ordinal);
        Assert.Equal("4", scene.Text($"{Pool0}/nr_hugepages"));
        Assert.Empty(scene.Journals);

        var giant = await Assert.ThrowsAsync<HostException>(() => scene.ApplyAsync(id, new HugePagesSetting(null, 1 << 20, 64)));
        Assert.Contains("hugepagesz=1G hugepages=64 ", giant.Hint, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fewer_pages_are_kept_where_that_is_wanted()
    {
        scene.Behave(Fragmented(40));
        var setting = new HugePagesSetting(0, 2048, 64, AcceptFewer: true);
        var (outcome, _, log) = await scene.ApplyAsync(id, setting);
        Assert.False(outcome.Complete);
        Assert.Equal("Only 40 of 64 pages could be had.", outcome.Note);
        Assert.Equal(outcome.Note, Assert.Single(log));
        Assert.Equal(new SettingValue($"{Pool0}/nr_hugepages", "4", "64", "40") { Problem = outcome.Note }, Assert.Single(outcome.Values));
        Assert.True(scene.Steps.Look(setting, id).InForce);
        await scene.RestoreAsync(id, setting);
        Assert.Equal("4", scene.Text($"{Pool0}/nr_hugepages"));
    }

    [Fact]
    public async Task Pages_in_use_stay_until_they_are_free()
    {
        var setting = new HugePagesSetting(0, 2048, 64);
        await scene.ApplyAsync(id, setting);
        scene.Put($"{Pool0}/free_hugepages", "34");
        var (outcome, changed, log) = await scene.RestoreAsync(id, setting);
        Assert.True(changed);
        Assert.False(outcome.Complete);
        Assert.Equal("30", scene.Text($"{Pool0}/nr_hugepages"));
        Assert.Contains("30 pages are left: they are in use", Assert.Single(log), StringComparison.Ordinal);
        Assert.Equal("0", scene.Text($"{Pool0}/free_hugepages"));
        scene.Put($"{Pool0}/free_hugepages", "30");
        Assert.True((await scene.RestoreAsync(id, setting)).Outcome.Complete);
        Assert.Equal("4", scene.Text($"{Pool0}/nr_hugepages"));
        Assert.Empty(scene.Journals);
    }

    [Fact]
    public async Task Interrupts_that_the_kernel_places_are_told_and_not_undone()
    {
        scene.Behave((path, _) => path == "/proc/irq/24/smp_affinity_list" ? throw new IOException("Input/output error", 5) : false);
        var setting = new IrqAffinitySetting(CpuSet.Parse("4-7"));
        var (outcome, changed, _) = await scene.ApplyAsync(id, setting);
        Assert.True(changed && outcome.Complete);
        Assert.Equal("1 of 3 interrupts stay where they are: the kernel places them itself.", outcome.Note);
        Assert.Equal("The kernel places this interrupt itself.", outcome.Values[0].Problem);
        Assert.Equal(("0-7", "0-3"), (scene.Text("/proc/irq/24/smp_affinity_list"), scene.Text("/proc/irq/25/smp_affinity_list")));
        Assert.True(scene.Steps.Look(setting, id).InForce);
        Assert.True((await scene.RestoreAsync(id, setting)).Outcome.Complete);
        Assert.Equal("4", scene.Text("/proc/irq/25/smp_affinity_list"));
    }

    [Fact]
    public async Task A_refusal_in_the_middle_leaves_nothing_changed()
    {
        scene.Behave((path, _) => path.Contains("cpu5", StringComparison.Ordinal) ? throw new IOException("Invalid argument", 22) : false);
        var before = scene.Snapshot();
        var failed = await Assert.ThrowsAsync<HostException>(() => scene.ApplyAsync(id, new CpuGovernorSetting("performance")));
        Assert.Equal("The kernel refused \"performance\" for /sys/devices/system/cpu/cpu5/cpufreq/scaling_governor: invalid argument.", failed.Message);
        Assert.Equal(before, scene.Snapshot());
        Assert.Empty(scene.Journals);
    }

    [Fact]
    public async Task A_value_that_the_kernel_swallows_is_noticed()
    {
        scene.Behave((path, _) => path.EndsWith("swappiness", StringComparison.Ordinal));
        var failed = await Assert.ThrowsAsync<HostException>(() => scene.ApplyAsync(id, new SysctlSetting("vm.swappiness", "10")));
        Assert.Equal("The kernel did not take \"10\" for /proc/sys/vm/swappiness: it says \"60\".", failed.Message);
    }

    [Fact]
    public async Task What_was_before_is_on_the_disk_before_the_first_write_and_survives_a_crash_at_every_write()
    {
        var before = scene.Snapshot();
        var writes = scene.Steps.Look(new CpuGovernorSetting("performance"), null).Writes.Count;
        Assert.Equal(7, writes);
        for (var last = 1; last <= writes; last++)
        {
            var (count, journal, tree) = (0, "", new SortedDictionary<string, string>());
            scene.Behave((path, _) =>
            {
                if (++count == last)
                    (journal, tree) = (File.ReadAllText(Assert.Single(scene.Journals)), scene.Snapshot());
                return false;
            });
            await scene.ApplyAsync(id, new CpuGovernorSetting("performance"));
            // As after a crash just before that write: the tree and the journal of that moment.
            foreach (var (path, text) in tree.Where(f => f.Key.Contains("governor", StringComparison.Ordinal)))
                scene.Put(path, text);
            File.WriteAllText(Assert.Single(scene.Journals), journal);
            scene.New();
            if (last % 2 == 0)
                await scene.ApplyAsync(id, new CpuGovernorSetting("performance"));
            Assert.True((await scene.RestoreAsync(id, new CpuGovernorSetting("performance"))).Outcome.Complete);
            Assert.Equal(before, scene.Snapshot());
            Assert.Empty(scene.Journals);
        }
    }

    [Fact]
    public async Task What_somebody_else_has_changed_since_is_left_and_told()
    {
        var setting = new CpuGovernorSetting("performance", CpuSet.Parse("0,1"));
        await scene.ApplyAsync(id, setting);
        scene.Put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil");
        Assert.False(scene.Steps.Look(setting, id).InForce);
        var (outcome, _, log) = await scene.RestoreAsync(id, setting);
        Assert.True(outcome.Complete);
        Assert.Contains("Somebody has changed it to \"schedutil\" since", Assert.Single(log), StringComparison.Ordinal);
        Assert.Equal(("schedutil", "powersave"), (scene.Text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), scene.Text("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor")));
    }

    [Fact]
    public async Task A_boot_forgets_what_the_kernel_had_but_not_what_is_in_etc()
    {
        var (ban, other) = (new IrqbalanceBanSetting(CpuSet.Parse("4-7")), Guid.NewGuid());
        await scene.ApplyAsync(id, new KsmSetting("off"));
        await scene.ApplyAsync(other, ban);
        (scene.BootId, _) = ("boot-2", 0);
        scene.New();
        Assert.False((await scene.RestoreAsync(id, new KsmSetting("off"))).Changed);
        Assert.Equal("0", scene.Text("/sys/kernel/mm/ksm/run"));
        Assert.True(scene.Steps.Look(ban, other).InForce);
        Assert.True((await scene.RestoreAsync(other, ban)).Changed);
        Assert.DoesNotContain("4-7", scene.Text("/etc/default/irqbalance"), StringComparison.Ordinal);
    }

    public static TheoryData<HostSetting> Unknown() =>
    [
        new SysctlSetting("kernel.core_pattern", "|/bin/sh"), new SysctlSetting("vm.swappiness", "201"), new SysctlSetting("vm.swappiness", "1\n2"), new SysctlSetting("../../etc/passwd", "0"),
        new ModuleParameterSetting("kvm", "../../../etc/passwd", "0"), new ModuleParameterSetting("kvm_intel", "dump_invalid_vmcs", "Y"), new TransparentHugePagesSetting("maybe"), new KsmSetting("3"),
        new HugePagesSetting(9, 2048, 1), new HugePagesSetting(0, 4096, 1), new HugePagesSetting(0, 2048, -1), new CpuGovernorSetting("ondemand"), new CpuLatencySetting(CpuSet.Parse("8"), 1),
        new CpuLatencySetting(CpuSet.Empty, 1), new IrqAffinitySetting(CpuSet.Parse("0-7")), new IrqbalanceBanSetting(CpuSet.Parse("90")),
    ];

    [Theory]
    [MemberData(nameof(Unknown), DisableDiscoveryEnumeration = true)]
    public async Task What_is_not_offered_is_refused_and_nothing_written(HostSetting setting)
    {
        var before = scene.Snapshot();
        Assert.NotNull(scene.Steps.Look(setting, null).Refusal);
        await Assert.ThrowsAsync<HostException>(() => scene.ApplyAsync(id, setting));
        Assert.Equal(before, scene.Snapshot());
        Assert.Empty(scene.Journals);
    }

    [Fact]
    public async Task A_link_in_a_tree_leads_nowhere_out_of_it()
    {
        var outside = Path.Combine(Path.GetTempPath(), $"kvmportal-outside-{Guid.NewGuid():N}");
        File.WriteAllText(outside, "60\n");
        try
        {
            File.Delete(scene.Root + "/proc/sys/vm/swappiness");
            File.CreateSymbolicLink(scene.Root + "/proc/sys/vm/swappiness", outside);
            await Assert.ThrowsAsync<HostException>(() => scene.ApplyAsync(id, new SysctlSetting("vm.swappiness", "1")));
            Assert.Equal("60\n", File.ReadAllText(outside));
        }
        finally
        {
            File.Delete(outside);
        }
    }

    /// <summary>Memory in pieces: so many pages of a size and no more.</summary>
    private Func<string, string, bool> Fragmented(long most) => (path, text) =>
    {
        if (!path.EndsWith("/nr_hugepages", StringComparison.Ordinal))
            return false;
        var got = Math.Min(most, long.Parse(text, System.Globalization.CultureInfo.InvariantCulture));
        scene.Put(path, $"{got}");
        scene.Put(path.Replace("/nr_", "/free_", StringComparison.Ordinal), $"{got}");
        return true;
    };
}
