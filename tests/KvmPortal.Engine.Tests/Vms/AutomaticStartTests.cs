using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Vms;

/// <summary>Machines that start without being asked: after a boot of the host, and after they ended by themselves.</summary>
public sealed class AutomaticStartTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private static VmDefinition Machine(string name, RestartPolicy policy = RestartPolicy.Never, int most = 3) =>
        TestPortal.Machine(name) with { Restart = new RestartDefinition { Policy = policy, MaxRestarts = most } };

    [Fact]
    public async Task A_boot_of_the_host_tells_who_ran_and_starts_who_should()
    {
        var data = Directory.CreateTempSubdirectory("kvmportal-test-").FullName;
        try
        {
            Guid ran, second, first;
            var before = await TestPortal.StartAsync(data, HostOf(data, 1));
            ran = (await before.CreateAsync(Machine("ran"), start: true)).Id.Value;
            second = (await before.CreateAsync(Machine("a-second") with { Autostart = new() { Enabled = true, Order = 2 } })).Id.Value;
            first = (await before.CreateAsync(Machine("b-first") with { Autostart = new() { Enabled = true, Order = 1 } })).Id.Value;
            await before.StopAsync();

            await using var after = await TestPortal.StartAsync(data, HostOf(data, 2));
            await UntilAsync(after, first, VmState.Running);
            await UntilAsync(after, second, VmState.Running);
            var status = (await after.Vms.GetAsync(TestPortal.Ada, new(ran), Ct)).Status;
            Assert.Equal(VmState.Stopped, status.State);
            Assert.Equal(Say.HostRestarted, status.Reason);
            var starts = (await after.Store.ReadAsync(db => db.Jobs.Where(j => j.Kind == "start-vm").OrderBy(j => j.CreatedAt).ToListAsync(Ct), Ct)).Select(j => j.TargetName);
            Assert.Equal(["b-first", "a-second"], starts);
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(data, recursive: true);
        }
    }

    [Fact]
    public async Task A_restart_of_the_portal_alone_starts_nothing()
    {
        var data = Directory.CreateTempSubdirectory("kvmportal-test-").FullName;
        try
        {
            var host = HostOf(data, 1);
            var before = await TestPortal.StartAsync(data, host);
            var vm = await before.CreateAsync(Machine("auto") with { Autostart = new() { Enabled = true } });
            await before.StopAsync();
            await using var after = await TestPortal.StartAsync(data, host);
            await after.Get<HostLink>().Ready.WaitAsync(Ct);
            Assert.False(await after.Get<HostBoot>().Rebooted);
            await Task.Delay(200, Ct);
            Assert.Equal(VmState.Stopped, (await after.Vms.GetAsync(TestPortal.Ada, vm.Id, Ct)).Status.State);
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(data, recursive: true);
        }
    }

    [Theory]
    [InlineData(RestartPolicy.Never, true, false)]
    [InlineData(RestartPolicy.OnCrash, true, true)]
    [InlineData(RestartPolicy.OnCrash, false, false)]
    [InlineData(RestartPolicy.Always, true, true)]
    [InlineData(RestartPolicy.Always, false, true)]
    public async Task A_machine_that_ends_by_itself_starts_again_as_its_policy_says(RestartPolicy policy, bool crash, bool again)
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("vm", policy), start: true);
        await UntilAsync(portal, vm.Id.Value, VmState.Running);
        if (crash)
            portal.SimulatedHost.Crash(vm.Id.Value);
        else
            portal.SimulatedHost.GuestPowerOff(vm.Id.Value);
        await UntilAsync(portal, vm.Id.Value, crash ? VmState.Crashed : VmState.Stopped);
        if (again)
            await UntilAsync(portal, vm.Id.Value, VmState.Running);
        else
        {
            await Task.Delay(1500, Ct);
            Assert.Equal(crash ? VmState.Crashed : VmState.Stopped, (await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, Ct)).Status.State);
        }
    }

    [Fact]
    public async Task After_the_limit_it_is_left_as_it_is_and_that_is_said()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("vm", RestartPolicy.OnCrash, most: 1), start: true);
        await UntilAsync(portal, vm.Id.Value, VmState.Running);
        portal.SimulatedHost.Crash(vm.Id.Value);
        await UntilAsync(portal, vm.Id.Value, VmState.Crashed);
        await UntilAsync(portal, vm.Id.Value, VmState.Running);
        portal.SimulatedHost.Crash(vm.Id.Value);
        await UntilAsync(portal, vm.Id.Value, VmState.Crashed);
        for (var i = 0; i < 100; i++)
        {
            if (await portal.Store.ReadAsync(db => db.Events.AnyAsync(e => e.Type == "vm.restart-limit", Ct), Ct))
                return;
            await Task.Delay(50, Ct);
        }

        Assert.Fail("The limit was not told.");
    }

    [Fact]
    public async Task A_stop_is_no_end_by_itself()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("vm", RestartPolicy.Always), start: true);
        await portal.ActAsync(vm.Id, VmAction.Stop);
        await Task.Delay(1500, Ct);
        Assert.Equal(VmState.Stopped, (await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, Ct)).Status.State);
    }

    [Fact]
    public void The_pause_before_a_restart_grows_up_to_a_minute() =>
        Assert.Equal([1, 2, 4, 8, 16, 32, 60, 60], Enumerable.Range(0, 8).Select(n => (int)AutomaticStarts.BackOff(n).TotalSeconds));

    private static SimulatedMachineHost HostOf(string data, int seed) => new(new SimulatedOptions { DataRoot = data, StepDelay = TimeSpan.Zero, Seed = seed }, TimeProvider.System);

    private static async Task UntilAsync(TestPortal portal, Guid id, VmState state)
    {
        for (var i = 0; i < 200; i++)
        {
            if ((await portal.Vms.GetAsync(TestPortal.Ada, new(id), Ct)).Status.State == state)
                return;
            await Task.Delay(25, Ct);
        }

        Assert.Fail($"Not {state} within 5 s but {(await portal.Vms.GetAsync(TestPortal.Ada, new(id), Ct)).Status}.");
    }
}
