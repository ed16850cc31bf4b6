using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Jobs;

public sealed class JobRunnerTests
{
    [Fact]
    public async Task A_machine_lives_from_create_to_delete()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("web-1"));
        Assert.Equal(VmState.Stopped, vm.Status.State);
        Assert.True(Assert.Single(vm.Disks).Ready);

        foreach (var (action, state) in new[]
        {
            (VmAction.Start, VmState.Running), (VmAction.Pause, VmState.Paused), (VmAction.Resume, VmState.Running), (VmAction.Reset, VmState.Running), (VmAction.Suspend, VmState.Suspended),
            (VmAction.Start, VmState.Running), (VmAction.Shutdown, VmState.Stopped), (VmAction.Start, VmState.Running), (VmAction.Stop, VmState.Stopped),
        })
        {
            var job = await portal.ActAsync(vm.Id, action);
            Assert.True(job.State == JobState.Succeeded, $"{action}: {job.State} {job.Error?.Detail}");
            Assert.All(job.Plan.Steps, s => Assert.True(s.State is StepState.Done or StepState.Skipped));
            Assert.Equal(state, (await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).Status.State);
        }

        var deleted = await portal.EndedAsync((await portal.Vms.DeleteAsync(TestPortal.Ada, vm.Id, null, default)).Id);
        Assert.Equal(JobState.Succeeded, deleted.State);
        await Assert.ThrowsAsync<PortalException>(() => portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default));
        Assert.Equal(0, await portal.Store.ReadAsync(db => db.Disks.CountAsync(), default));
    }

    [Fact]
    public async Task What_is_already_so_succeeds_at_once_without_steps_and_the_impossible_is_refused()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a"), start: true);
        var again = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        Assert.Equal(JobState.Succeeded, again.State);
        Assert.Empty(again.Plan.Steps);
        await portal.ActAsync(vm.Id, VmAction.Stop);
        var e = await Assert.ThrowsAsync<PortalException>(() => portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Pause, new VmActionOptions(), default));
        Assert.Equal(ErrorCode.Conflict, e.Code);
    }

    [Fact]
    public async Task A_thousand_queued_jobs_all_end_in_order_per_machine()
    {
        await using var portal = await TestPortal.StartAsync(parallelJobs: 32);
        var vms = new List<VmId>();
        for (var i = 0; i < 50; i++)
            vms.Add((await portal.CreateAsync(TestPortal.Machine($"vm-{i:00}"))).Id);
        var asked = new List<JobId>();
        for (var round = 0; round < 20; round++)
            foreach (var vm in vms)
                asked.Add((await portal.Vms.ActAsync(TestPortal.Ada, vm, round % 2 == 0 ? VmAction.Start : VmAction.Stop, new VmActionOptions(), default)).Id);
        foreach (var id in asked)
            Assert.Equal(JobState.Succeeded, (await portal.EndedAsync(id)).State);

        var rows = await portal.Store.ReadAsync(db => db.Jobs.Where(j => asked.Contains(j.Id)).ToListAsync(), default);
        foreach (var perVm in rows.GroupBy(j => j.SerialKey))
        {
            var inOrder = perVm.OrderBy(j => j.Seq).ToList();
            Assert.Equal(20, inOrder.Count);
            for (var i = 1; i < inOrder.Count; i++)
                Assert.True(inOrder[i].StartedAt >= inOrder[i - 1].EndedAt, "a job began before the one in front of it had ended");
        }

        Assert.All(vms, vm => Assert.Equal(VmState.Stopped, portal.Vms.GetAsync(TestPortal.Ada, vm, default).GetAwaiter().GetResult().Status.State));
    }

    [Fact]
    public async Task A_failed_start_undoes_what_it_did_and_keeps_QEMUs_words()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("fail-start-1"));
        var job = await portal.ActAsync(vm.Id, VmAction.Start);
        Assert.Equal(JobState.Failed, job.State);
        Assert.NotNull(job.Error);
        Assert.NotEmpty(job.Error.StderrTail);
        Assert.Contains(job.Plan.Steps, s => s is { Kind: "launch-machine", State: StepState.Failed });
        Assert.All(job.Plan.Steps.TakeWhile(s => s.Kind != "launch-machine"), s => Assert.True(s.State is StepState.Undone or StepState.Skipped, $"{s.Kind} is {s.State}"));
        Assert.Equal(VmState.Stopped, (await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).Status.State);
    }

    [Fact]
    public async Task A_cancelled_job_is_undone_and_the_next_one_runs()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        portal.SimulatedHost.HoldStep("run-machine");
        var start = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        var queued = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        Assert.Equal(JobState.Queued, queued.State);
        await RunningStepAsync(portal, start.Id, "run-machine");
        await portal.Jobs.CancelAsync(TestPortal.Ada, start.Id, default);
        var ended = await portal.EndedAsync(start.Id);
        Assert.Equal(JobState.Cancelled, ended.State);
        Assert.Contains(ended.Plan.Steps, s => s is { Kind: "launch-machine", State: StepState.Undone });
        portal.SimulatedHost.ReleaseStep("run-machine");
        var next = await portal.EndedAsync(queued.Id);
        Assert.True(next.State == JobState.Succeeded, next.Error?.Detail);
        Assert.Equal(VmState.Running, (await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).Status.State);
    }

    [Fact]
    public async Task A_job_that_was_cut_off_goes_on_after_a_restart_with_the_step_that_was_not_done()
    {
        var first = await TestPortal.StartAsync();
        var host = first.SimulatedHost;
        var vm = await first.CreateAsync(TestPortal.Machine("a"));
        host.HoldStep("launch-machine");
        var start = await first.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        await RunningStepAsync(first, start.Id, "launch-machine");
        await first.StopAsync();
        host.ReleaseStep("launch-machine");

        var second = await TestPortal.StartAsync(first.Data, host);
        var ended = await second.EndedAsync(start.Id);
        Assert.Equal(JobState.Succeeded, ended.State);
        Assert.Equal(VmState.Running, (await second.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).Status.State);
        await second.StopAsync();
        Directory.Delete(first.Data, recursive: true);
    }

    [Fact]
    public async Task A_runner_that_lost_its_lease_cannot_write()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        portal.SimulatedHost.HoldStep("run-machine");
        var start = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        await RunningStepAsync(portal, start.Id, "run-machine");
        var jobs = portal.Get<JobStore>();
        var stale = (await jobs.FindAsync(start.Id, default))!;
        await portal.Store.WriteAsync(db => db.Jobs.Where(j => j.Id == start.Id).ExecuteUpdateAsync(set => set.SetProperty(j => j.Owner, "somebody-else")), default);
        await Assert.ThrowsAsync<LeaseLostException>(() => jobs.CheckpointAsync(stale, [], _ => Task.CompletedTask, default));
        portal.SimulatedHost.ReleaseStep("run-machine");
    }

    [Fact]
    public async Task Two_jobs_of_one_key_can_never_be_marked_running_at_once()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        var target = new JobTarget(TargetType.Vm, vm.Id.Value, "a");
        await Assert.ThrowsAnyAsync<Exception>(() => portal.Store.WriteAsync(async db =>
        {
            for (var i = 0; i < 2; i++)
            {
                await portal.Get<JobStore>().AddAsync(db, TestPortal.Ada, "start-vm", target, new VmActionIntent(vm.Id, VmAction.Start), Plan.Nothing, JobState.Running, default);
                await db.SaveChangesAsync();
            }
        }, default));
    }

    [Fact]
    public async Task Guest_power_off_and_crash_are_told_apart()
    {
        await using var portal = await TestPortal.StartAsync();
        var a = await portal.CreateAsync(TestPortal.Machine("a"), start: true);
        var b = await portal.CreateAsync(TestPortal.Machine("b"), start: true);
        portal.SimulatedHost.GuestPowerOff(a.Id.Value);
        portal.SimulatedHost.Crash(b.Id.Value);
        var tracker = portal.Get<VmTracker>();
        Assert.True(await tracker.WaitForAsync(a.Id, s => s.State == VmState.Stopped, TimeSpan.FromSeconds(5), default));
        Assert.True(await tracker.WaitForAsync(b.Id, s => s.State == VmState.Crashed, TimeSpan.FromSeconds(5), default));
        Assert.NotNull((await portal.Vms.GetAsync(TestPortal.Ada, b.Id, default)).Status.Reason);
    }

    private static async Task RunningStepAsync(TestPortal portal, JobId id, string kind)
    {
        for (var i = 0; i < 500; i++)
        {
            if ((await portal.Jobs.GetAsync(TestPortal.Ada, id, default)).Plan.Steps.Any(s => s.Kind == kind && s.State == StepState.Running))
                return;
            await Task.Delay(10);
        }

        Assert.Fail($"the step {kind} did not begin");
    }
}
