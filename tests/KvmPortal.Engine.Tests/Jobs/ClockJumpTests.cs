using KvmPortal.Engine.Consoles;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Tests.Jobs;

/// <summary>Somebody sets the wall clock, or a time service makes up for a dead battery: what is measured in durations must not notice.</summary>
public sealed class ClockJumpTests
{
    [Theory]
    [InlineData(5)]
    [InlineData(-5)]
    public async Task A_jump_while_jobs_run_runs_none_twice_and_loses_none(int hours)
    {
        var clock = new JumpingTime();
        await using var portal = await TestPortal.StartAsync(time: clock);
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        var other = await portal.CreateAsync(TestPortal.Machine("b"));
        portal.SimulatedHost.HoldStep("launch-machine");
        var start = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        for (var i = 0; i < 200 && (await portal.Jobs.GetAsync(TestPortal.Ada, start.Id, default)).State != JobState.Running; i++)
            await Task.Delay(25);
        clock.Jump(TimeSpan.FromHours(hours));
        // Each wakes the queue of a machine whose lease seems to have run out, or to last for hours.
        var later = new List<JobView>();
        foreach (var action in (VmAction[])[VmAction.Pause, VmAction.Resume, VmAction.Stop])
            later.Add(await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, action, new VmActionOptions(), default));
        await Task.Delay(300);
        Assert.Equal(JobState.Running, (await portal.Jobs.GetAsync(TestPortal.Ada, start.Id, default)).State);
        foreach (var job in later)
            Assert.Equal(JobState.Queued, (await portal.Jobs.GetAsync(TestPortal.Ada, job.Id, default)).State);
        portal.SimulatedHost.ReleaseStep("launch-machine");
        Assert.Equal(JobState.Succeeded, (await portal.EndedAsync(start.Id)).State);
        foreach (var job in later)
            Assert.Equal(JobState.Succeeded, (await portal.EndedAsync(job.Id)).State);
        var log = await portal.Jobs.LogAsync(TestPortal.Ada, start.Id, 0, default);
        Assert.Equal(log.Select(l => l.Number).Distinct(), log.Select(l => l.Number));
        Assert.Equal(JobState.Succeeded, (await portal.ActAsync(other.Id, VmAction.Start)).State);

        var events = (await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery(200), null, default)).Items;
        Assert.Equal(events.Select(e => e.Seq).OrderDescending(), events.Select(e => e.Seq));
        var ticket = await portal.Get<ConsoleOperations>().IssueAsync(TestPortal.Ada, other.Id, ConsoleKind.Serial, false, default);
        clock.Jump(TimeSpan.FromHours(-2 * hours));
        Assert.NotNull(portal.Get<ConsoleOperations>().Redeem(ticket.Ticket, ConsoleKind.Serial));
    }

    /// <summary>A restart with a clock that is behind: leases of the former process, hours in the future, hold nothing up.</summary>
    [Fact]
    public async Task A_clock_that_is_behind_after_a_restart_holds_no_job_up()
    {
        var folder = Directory.CreateTempSubdirectory("kvmportal-clock-").FullName;
        try
        {
            var clock = new JumpingTime();
            clock.Jump(TimeSpan.FromHours(6));
            JobId job;
            Host.Simulated.SimulatedMachineHost host;
            await using (var portal = await TestPortal.StartAsync(folder, time: clock))
            {
                host = portal.SimulatedHost;
                var vm = await portal.CreateAsync(TestPortal.Machine("a"));
                host.HoldStep("launch-machine");
                job = (await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default)).Id;
                await Task.Delay(500);
            }

            host.ReleaseStep("launch-machine");
            await using var again = await TestPortal.StartAsync(folder, host, time: new JumpingTime());
            Assert.Equal(JobState.Succeeded, (await again.EndedAsync(job)).State);
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(folder, recursive: true);
        }
    }

    private sealed class JumpingTime : TimeProvider
    {
        private TimeSpan off;

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + off;

        public void Jump(TimeSpan by) => off += by;
    }
}
