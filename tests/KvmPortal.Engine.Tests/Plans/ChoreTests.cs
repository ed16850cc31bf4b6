using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>What a start sets on the host for its machine, and that its end gives it back.</summary>
public sealed class ChoreTests
{
    private static readonly HugePagesSetting Pool = new(0, 2048, 0);

    [Fact]
    public async Task A_start_makes_pages_and_moves_interrupts_and_the_end_gives_all_back()
    {
        await using var portal = await TestPortal.StartAsync();
        var (pages, governors) = (await PagesAsync(portal), await IrqsAsync(portal, CpuSet.Parse("0-31")));
        var vm = await portal.CreateAsync(Machine("a"));
        var start = await portal.ActAsync(vm.Id, VmAction.Start);
        Assert.True(start.State == JobState.Succeeded, start.Error?.Detail);
        var chores = start.Plan.Steps.Where(s => s.OnHost is ApplyHostSetting).ToList();
        Assert.Equal(["action-grow-pool", "chore-interrupts", "action-wake-up"], chores.Select(c => c.Summary.Code));
        Assert.True(start.Plan.Steps.ToList().IndexOf(chores[^1]) < start.Plan.Steps.ToList().FindIndex(s => s.OnHost is LaunchMachine));
        Assert.Equal(pages + 512, await PagesAsync(portal));
        var own = start.Plan.Placement!.Dedicated;
        Assert.Equal(0, await IrqsAsync(portal, own));

        await portal.ActAsync(vm.Id, VmAction.Stop);
        await GivenBackAsync(portal, pages, governors);
    }

    [Fact]
    public async Task Interrupts_that_come_back_do_not_come_to_CPUs_that_somebody_else_has_by_now()
    {
        await using var portal = await TestPortal.StartAsync();
        var (first, second) = (await portal.CreateAsync(Machine("a")), await portal.CreateAsync(Machine("b")));
        await portal.ActAsync(first.Id, VmAction.Start);
        var own = (await portal.ActAsync(second.Id, VmAction.Start)).Plan.Placement!.Dedicated;
        var all = await IrqsAsync(portal, CpuSet.Parse("0-31"));
        await portal.ActAsync(first.Id, VmAction.Stop);
        for (var i = 0; i < 200 && (await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Lines.Count > 1; i++)
            await Task.Delay(25);
        Assert.Equal(0, await IrqsAsync(portal, own));
        Assert.Equal(all, await IrqsAsync(portal, CpuSet.Parse("0-31")));
    }

    [Fact]
    public async Task A_start_that_fails_gives_back_what_it_had_set_and_so_does_the_next_portal_for_one_that_was_away()
    {
        var first = await TestPortal.StartAsync();
        var host = first.SimulatedHost;
        var (pages, interrupts) = (await PagesAsync(first), await IrqsAsync(first, CpuSet.Parse("0-31")));
        var failing = await first.CreateAsync(Machine("fail-start-1"));
        Assert.Equal(JobState.Failed, (await first.ActAsync(failing.Id, VmAction.Start)).State);
        await GivenBackAsync(first, pages, interrupts);

        var vm = await first.CreateAsync(Machine("a"));
        await first.ActAsync(vm.Id, VmAction.Start);
        await first.StopAsync();
        Assert.Equal($"{pages + 512}", (await host.LookAtSettingAsync(Pool with { Count = pages }, null, default)).Writes.Single().Now);
        host.Crash(vm.Id.Value);
        var second = await TestPortal.StartAsync(first.Data, host);
        await GivenBackAsync(second, pages, interrupts);
        await second.StopAsync();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(first.Data, recursive: true);
    }

    [Fact]
    public async Task What_somebody_changes_is_told_and_set_again()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("a"));
        var start = await portal.ActAsync(vm.Id, VmAction.Start);
        var chore = PlacementChores.Of(start.Plan.Placement, vm.Id).Single(c => c.Setting is CpuLatencySetting);
        Assert.True((await portal.SimulatedHost.LookAtSettingAsync(chore.Setting, chore.Id, default)).InForce);
        var other = Guid.NewGuid();
        await foreach (var _ in portal.SimulatedHost.ApplyAsync(new ApplyHostSetting { PreparationId = other, Setting = ((CpuLatencySetting)chore.Setting) with { MaxMicroseconds = 500 } }, default))
        {
        }

        await portal.Get<ChoreWatch>().LookAsync(default);
        Assert.True((await portal.SimulatedHost.LookAtSettingAsync(chore.Setting, chore.Id, default)).InForce);
        var told = (await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery(50), vm.Id.Value, default)).Items.Where(e => e.Type == "vm.notice").Select(e => e.Text).ToList();
        Assert.Equal(2, told.Count);
        Assert.Contains(told, t => t.Contains("says 500; the machine's placement has set 1.", StringComparison.Ordinal));
        Assert.Contains(told, t => t.StartsWith("Set again: ", StringComparison.Ordinal));
        // Once is enough.
        await portal.Get<ChoreWatch>().LookAsync(default);
        Assert.Equal(2, (await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery(50), vm.Id.Value, default)).Items.Count(e => e.Type == "vm.notice"));
    }

    private static VmDefinition Machine(string name) => TestPortal.Machine(name) with
    {
        Profile = "low-latency",
        Cpu = new CpuDefinition { Count = 4 },
        Memory = new MemoryDefinition { SizeMiB = 1024, Pages = PagesChoice.Huge2M },
        Placement = new PlacementDefinition { Allow = new PlacementLeeway(GrowPool: true), OnNodes = [0] },
    };

    /// <summary>Interrupts that may come to these CPUs.</summary>
    private static async Task<int> IrqsAsync(TestPortal portal, CpuSet cpus) =>
        (await portal.SimulatedHost.LookAtSettingAsync(new IrqAffinitySetting(cpus), null, default)).Writes.Count(w => !w.Path.Contains("default", StringComparison.Ordinal));

    private static async Task<long> PagesAsync(TestPortal portal) =>
        (await portal.SimulatedHost.ReadInventoryAsync(default)).NumaNodes.Single(n => n.Id == 0).HugePages.Single(p => p.SizeKiB == 2048).Total;

    private static async Task GivenBackAsync(TestPortal portal, long pages, int interrupts)
    {
        for (var i = 0; i < 200 && (await PagesAsync(portal), await IrqsAsync(portal, CpuSet.Parse("0-31"))) != (pages, interrupts); i++)
            await Task.Delay(25);
        Assert.Equal((pages, interrupts), (await PagesAsync(portal), await IrqsAsync(portal, CpuSet.Parse("0-31"))));
    }
}
