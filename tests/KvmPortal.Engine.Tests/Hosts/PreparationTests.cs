using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;

namespace KvmPortal.Engine.Tests.Hosts;

public sealed class PreparationTests
{
    private const string Giant0 = "/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages";
    private const string Swappiness = "/proc/sys/vm/swappiness";
    private static readonly HugePagesSetting Pages = new(0, 1 << 20, 24);

    [Fact]
    public async Task A_plan_shows_each_write_and_changes_nothing_and_the_job_does_exactly_that()
    {
        await using var portal = await TestPortal.StartAsync();
        var preparations = portal.Get<PreparationOperations>();
        HostSetting[] settings = [Pages, new SysctlSetting("vm.swappiness", "1")];
        var plan = await preparations.PlanPrepareAsync(TestPortal.Ada, settings, true, default);
        Assert.Equal([new HostWrite(Giant0, "16", "24"), new HostWrite(Swappiness, "60", "1")], plan.Steps.SelectMany(s => s.Writes));
        Assert.Equal("16", portal.SimulatedHost[Giant0]);
        Assert.Empty(await preparations.ListAsync(TestPortal.Ada, default));

        var job = await portal.EndedAsync((await preparations.PrepareAsync(TestPortal.Ada, settings, true, default)).Id);
        Assert.Equal((JobState.Succeeded, "prepare-host"), (job.State, job.Kind));
        Assert.Equal(("24", "1"), (portal.SimulatedHost[Giant0], portal.SimulatedHost[Swappiness]));
        Assert.Equal(24, portal.SimulatedHost.Inventory.NumaNodes[0].HugePages.Single(p => p.SizeKiB == 1 << 20).Total);
        var list = await preparations.ListAsync(TestPortal.Ada, default);
        Assert.All(list, p => Assert.Equal((PreparationState.Applied, true, job.Id), (p.State, p.Persistent, p.JobId!.Value)));
        Assert.Equal(new SettingValue(Giant0, "16", "24", "24"), Assert.Single(list.Single(p => p.Setting == Pages).Values));
        Assert.Equal("Keep 24 huge pages of 1 GiB on node 0.", list.Single(p => p.Setting == Pages).Summary.Text);
    }

    [Fact]
    public async Task Undo_gives_back_what_was_there_and_stays_in_the_list()
    {
        await using var portal = await TestPortal.StartAsync();
        var preparations = portal.Get<PreparationOperations>();
        var id = await PreparedAsync(portal, Pages);
        var plan = await preparations.PlanUndoAsync(TestPortal.Ada, id, default);
        Assert.Equal(new HostWrite(Giant0, "24", "16"), Assert.Single(Assert.Single(plan.Steps).Writes));
        Assert.Equal(JobState.Succeeded, (await portal.EndedAsync((await preparations.UndoAsync(TestPortal.Ada, id, default)).Id)).State);
        Assert.Equal("16", portal.SimulatedHost[Giant0]);
        Assert.Equal(PreparationState.Restored, Assert.Single(await preparations.ListAsync(TestPortal.Ada, default)).State);
        Assert.Equal("undone-already", (await Assert.ThrowsAsync<PortalException>(() => preparations.UndoAsync(TestPortal.Ada, id, default))).Said.Code);
        // The same may be asked for again.
        await PreparedAsync(portal, Pages);
        Assert.Equal("24", portal.SimulatedHost[Giant0]);
    }

    [Fact]
    public async Task Pages_that_are_not_to_be_had_fail_the_job_which_leaves_nothing()
    {
        await using var portal = await TestPortal.StartAsync();
        var preparations = portal.Get<PreparationOperations>();
        var job = await portal.EndedAsync((await preparations.PrepareAsync(TestPortal.Ada, [new SysctlSetting("vm.swappiness", "1"), Pages with { Count = 50 }], false, default)).Id);
        Assert.Equal(JobState.Failed, job.State);
        Assert.Equal(("no-room", "pages-short"), (job.Error!.Code, job.Error.Detail!.Code));
        Assert.Equal("hugepagesz=1G hugepages=50", job.Error.Hint!.Values["line"].Text.Replace("0:", "", StringComparison.Ordinal));
        Assert.Equal(("16", "60"), (portal.SimulatedHost[Giant0], portal.SimulatedHost[Swappiness]));
        Assert.Empty(await preparations.ListAsync(TestPortal.Ada, default));

        await PreparedAsync(portal, Pages with { Count = 50, AcceptFewer = true });
        var partial = Assert.Single(await preparations.ListAsync(TestPortal.Ada, default));
        Assert.Equal((PreparationState.Partial, "pages-fewer"), (partial.State, partial.Reason!.Code));
        Assert.Equal("32", portal.SimulatedHost[Giant0]);
    }

    [Fact]
    public async Task Interrupts_that_stay_are_told_not_failed()
    {
        await using var portal = await TestPortal.StartAsync();
        var irqs = portal.SimulatedHost.Inventory.Irqs;
        var last = irqs[^1];
        var setting = new IrqAffinitySetting(last.Affinity | irqs[0].Affinity);
        await PreparedAsync(portal, setting);
        var view = Assert.Single(await portal.Get<PreparationOperations>().ListAsync(TestPortal.Ada, default));
        Assert.Equal((PreparationState.Applied, "irqs-stay"), (view.State, view.Reason!.Code));
        Assert.Equal($"/proc/irq/{last.Number}/smp_affinity_list", view.Values[0].Path);
        Assert.Equal("irq-placed", HostSentences.Read(view.Values[0].Problem!).Code);
        Assert.False(CpuSet.Parse(portal.SimulatedHost[$"/proc/irq/{irqs[0].Number}/smp_affinity_list"]).Overlaps(setting.AwayFrom));
    }

    [Fact]
    public async Task Everything_that_is_wrong_is_told_at_once_with_its_place()
    {
        await using var portal = await TestPortal.StartAsync();
        var preparations = portal.Get<PreparationOperations>();
        HostSetting[] settings =
        [
            new HugePagesSetting(7, 2048, 1), new HugePagesSetting(0, 4096, 1), new HugePagesSetting(0, 1 << 20, 1000), new CpuLatencySetting(CpuSet.Of(300), 1), new SysctlSetting("kernel.core_pattern", "x"),
            new SysctlSetting("vm.swappiness", "500"), new KsmSetting("off"), new KsmSetting("on"), new HugePagesSetting(null, 4096, 1),
        ];
        var wrong = await Assert.ThrowsAsync<PortalException>(() => preparations.PlanPrepareAsync(TestPortal.Ada, settings, false, default));
        Assert.Equal(ErrorCode.Invalid, wrong.Code);
        Assert.Equal(["/settings/0/node", "/settings/1/sizeKiB", "/settings/2/count", "/settings/3/cpus", "/settings/4/name", "/settings/5/value", "/settings/7", "/settings/8/sizeKiB", "/settings/8"], wrong.Problems.Select(p => p.Pointer));
        Assert.Equal(32, wrong.Problems[2].Fit!.Value.GetInt64());
        Assert.Equal("/settings", Assert.Single((await Assert.ThrowsAsync<PortalException>(() => preparations.PrepareAsync(TestPortal.Ada, [], false, default))).Problems).Pointer);
        Assert.Equal("/settings/1", Assert.Single((await Assert.ThrowsAsync<PortalException>(() => preparations.PrepareAsync(TestPortal.Ada, [Pages, null!], false, default))).Problems).Pointer);

        var absent = await Assert.ThrowsAsync<PortalException>(() => preparations.PrepareAsync(TestPortal.Ada, [new SysctlSetting("fs.aio-max-nr", "1000000")], false, default));
        Assert.Equal((ErrorCode.Conflict, "no-sysctl-here"), (absent.Code, absent.Problems[0].Message.Code));
    }

    [Fact]
    public async Task Two_settings_about_one_thing_exclude_each_other()
    {
        await using var portal = await TestPortal.StartAsync();
        var preparations = portal.Get<PreparationOperations>();
        await PreparedAsync(portal, Pages);
        foreach (var other in (HostSetting[])[Pages with { Count = 1 }, Pages with { Node = null }])
        {
            var conflict = await Assert.ThrowsAsync<PortalException>(() => preparations.PrepareAsync(TestPortal.Ada, [other], false, default));
            Assert.Equal((ErrorCode.Conflict, "another-in-force", "undo-first"), (conflict.Code, conflict.Said.Code, conflict.Hint!.Code));
        }

        // Asked for at once, only one wins.
        var first = await preparations.PrepareAsync(TestPortal.Ada, [new KsmSetting("on")], false, default);
        var second = await preparations.PrepareAsync(TestPortal.Ada, [new KsmSetting("unmerge")], false, default);
        var ends = new[] { await portal.EndedAsync(first.Id), await portal.EndedAsync(second.Id) };
        Assert.Equal([JobState.Succeeded, JobState.Failed], ends.Select(e => e.State));
        Assert.Equal("1", portal.SimulatedHost["/sys/kernel/mm/ksm/run"]);
    }

    [Fact]
    public async Task What_somebody_else_changes_is_seen_and_survives_the_undo()
    {
        await using var portal = await TestPortal.StartAsync();
        var preparations = portal.Get<PreparationOperations>();
        var id = await PreparedAsync(portal, new SysctlSetting("vm.swappiness", "1"));
        portal.SimulatedHost[Swappiness] = "33";
        var drifted = Assert.Single(await preparations.ListAsync(TestPortal.Ada, default));
        Assert.Equal((PreparationState.Drifted, $"{Swappiness} says 33, not 1."), (drifted.State, drifted.Reason!.Text));
        await preparations.ListAsync(TestPortal.Ada, default);
        var told = await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery(Filter: "type = host.preparation-drifted"), null, default);
        Assert.True(Assert.Single(told.Items).Warning);
        Assert.Equal(JobState.Succeeded, (await portal.EndedAsync((await preparations.UndoAsync(TestPortal.Ada, id, default)).Id)).State);
        Assert.Equal("33", portal.SimulatedHost[Swappiness]);
        Assert.Equal("changed-since", Assert.Single(await preparations.ListAsync(TestPortal.Ada, default)).Reason!.Code);
    }

    [Fact]
    public async Task After_a_boot_what_is_to_outlive_it_is_set_again_and_the_rest_is_over()
    {
        var data = Directory.CreateTempSubdirectory("kvmportal-test-").FullName;
        try
        {
            using var before = new SimulatedMachineHost(new SimulatedOptions { DataRoot = data, StepDelay = TimeSpan.Zero }, TimeProvider.System);
            await using (var portal = await TestPortal.StartAsync(data, before))
            {
                Assert.Equal(JobState.Succeeded, (await portal.EndedAsync((await portal.Get<PreparationOperations>().PrepareAsync(TestPortal.Ada, [Pages], true, default)).Id)).State);
                Assert.Equal(JobState.Succeeded, (await portal.EndedAsync((await portal.Get<PreparationOperations>().PrepareAsync(TestPortal.Ada, [new KsmSetting("on")], false, default)).Id)).State);
                await portal.Get<BootParameterOperations>().ExpectAsync(TestPortal.Ada, ["intel_iommu=on", "nohz_full=8-31"], default);
            }

            using var booted = new SimulatedMachineHost(new SimulatedOptions { DataRoot = data, StepDelay = TimeSpan.Zero, Seed = 2 }, TimeProvider.System);
            Assert.Equal("16", booted[Giant0]);
            await using (var portal = await TestPortal.StartAsync(data, booted))
            {
                await portal.Get<KvmPortal.Engine.Hosts.HostBoot>().Prepared.Task.WaitAsync(TimeSpan.FromSeconds(20));
                Assert.Equal("24", booted[Giant0]);
                var list = await portal.Get<PreparationOperations>().ListAsync(TestPortal.Ada, default);
                Assert.Equal(["huge-pages/0/1048576 Applied", "ksm Restored"], list.Select(p => $"{p.Key} {p.State}"));
                Assert.Equal("undone-by-boot", list[1].Reason!.Code);
                var job = await portal.Jobs.GetAsync(TestPortal.Ada, list[0].JobId!.Value, default);
                Assert.Equal(("prepare-host", "system", JobState.Succeeded), (job.Kind, job.CreatedBy, job.State));
                Assert.Equal(["apply-host-setting"], job.Plan.Steps.Select(s => s.Kind));

                // The set-up comes first, then the look at the boot parameters.
                for (var i = 0; i < 200 && (await MissingAsync(portal)).Count == 0; i++)
                    await Task.Delay(20);
                Assert.Equal("The host was booted without: nohz_full=8-31.", Assert.Single(await MissingAsync(portal)).Text);
                Assert.Equal(BootParameterState.Missing, (await portal.Get<BootParameterOperations>().GetAsync(TestPortal.Ada, default)).State);

                await portal.EndedAsync((await portal.Get<PreparationOperations>().UndoAsync(TestPortal.Ada, list[0].Id, default)).Id);
                Assert.Equal("16", booted[Giant0]);
            }
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(data, recursive: true);
        }
    }

    private static async Task<IReadOnlyList<PortalEvent>> MissingAsync(TestPortal portal) =>
        (await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery(Filter: "type = host.boot-parameters-missing"), null, default)).Items;

    private static async Task<PreparationId> PreparedAsync(TestPortal portal, HostSetting setting)
    {
        var job = await portal.EndedAsync((await portal.Get<PreparationOperations>().PrepareAsync(TestPortal.Ada, [setting], false, default)).Id);
        Assert.True(job.State == JobState.Succeeded, job.Error?.Detail?.Text);
        return (await portal.Get<PreparationOperations>().ListAsync(TestPortal.Ada, default)).First(p => p.Setting.Equals(setting) && p.State != PreparationState.Restored).Id;
    }
}
