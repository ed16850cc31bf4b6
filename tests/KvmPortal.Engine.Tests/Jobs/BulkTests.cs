using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Jobs;

/// <summary>One action on many machines: a parent job with a child for each.</summary>
public sealed class BulkTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_machine_gets_a_job_of_its_own_and_the_parent_ends_when_all_have()
    {
        await using var portal = await TestPortal.StartAsync();
        var ids = await MakeAsync(portal, 20);
        await portal.ActAsync(ids[3], VmAction.Start);
        var job = await BulkAsync(portal, ids, VmAction.Start, new BulkOptions(Parallel: 4));
        Assert.Equal((JobState.Succeeded, 100, "start-vms", "20"), (job.State, job.Progress.Percent, job.Kind, job.Target.Name));
        Assert.Equal(StepState.Skipped, job.Plan.Steps[3].State);
        Assert.Equal(19, job.Plan.Steps.Count(s => s.State == StepState.Done));
        var children = await ChildrenAsync(portal, job.Id);
        Assert.Equal(20, children.Count);
        Assert.True(MostAtOnce(children) <= 4, $"{MostAtOnce(children)} ran at once");
        foreach (var id in ids)
            Assert.Equal(VmState.Running, (await portal.Vms.GetAsync(TestPortal.Ada, id, Ct)).Status.State);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_failure_is_named_and_stops_the_rest_only_when_asked_to(bool stop)
    {
        await using var portal = await TestPortal.StartAsync();
        var ids = await MakeAsync(portal, 6);
        foreach (var id in ids.Where((_, i) => i != 1))
            await portal.ActAsync(id, VmAction.Start);
        // The second one is stopped, so that it cannot be paused.
        var job = await BulkAsync(portal, ids, VmAction.Pause, new BulkOptions(1, stop));
        Assert.Equal(JobState.Failed, job.State);
        Assert.Equal(Say.BulkFailed("1", "6"), job.Error!.Detail);
        Assert.Equal(stop ? 2 : 6, (await ChildrenAsync(portal, job.Id)).Count);
        Assert.Equal(stop ? 4 : 0, job.Plan.Steps.Count(s => s.State == StepState.Pending));
        Assert.Contains((await portal.Jobs.LogAsync(TestPortal.Ada, job.Id, 0, Ct)), l => l.Warning && l.Text.Text.Contains("vm-1", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_cancel_reaches_the_children_and_leaves_what_has_ended()
    {
        await using var portal = await TestPortal.StartAsync();
        var ids = await MakeAsync(portal, 8);
        portal.SimulatedHost.HoldStep("run-machine");
        var job = await portal.Vms.ActOnManyAsync(TestPortal.Ada, ids, VmAction.Start, new VmActionOptions(), new BulkOptions(Parallel: 2), Ct);
        await UntilAsync(async () => (await ChildrenAsync(portal, job.Id)).Count == 2);
        await portal.Jobs.CancelAsync(TestPortal.Ada, job.Id, Ct);
        await Task.Delay(100, Ct);
        portal.SimulatedHost.ReleaseStep("run-machine");
        var ended = await portal.EndedAsync(job.Id);
        Assert.Equal(JobState.Cancelled, ended.State);
        Assert.Equal(2, (await ChildrenAsync(portal, job.Id)).Count);
        Assert.Equal(6, ended.Plan.Steps.Count(s => s.State == StepState.Pending));
    }

    [Fact]
    public async Task After_a_restart_of_the_portal_it_goes_on_and_asks_nobody_twice()
    {
        var data = Directory.CreateTempSubdirectory("kvmportal-test-").FullName;
        try
        {
            var before = await TestPortal.StartAsync(data);
            var host = before.SimulatedHost;
            var ids = await MakeAsync(before, 12);
            host.HoldStep("run-machine");
            var job = await before.Vms.ActOnManyAsync(TestPortal.Ada, ids, VmAction.Start, new VmActionOptions(), new BulkOptions(Parallel: 3), Ct);
            await UntilAsync(async () => (await ChildrenAsync(before, job.Id)).Count == 3);
            await before.StopAsync();
            host.ReleaseStep("run-machine");
            await using var after = await TestPortal.StartAsync(data, host);
            var ended = await after.EndedAsync(job.Id);
            Assert.Equal(JobState.Succeeded, ended.State);
            Assert.Equal(12, (await ChildrenAsync(after, job.Id)).Select(c => c.TargetId).Distinct().Count());
            Assert.Equal(12, (await ChildrenAsync(after, job.Id)).Count);
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(data, recursive: true);
        }
    }

    [Fact]
    public async Task The_plan_names_every_machine_and_what_will_not_be_possible()
    {
        await using var portal = await TestPortal.StartAsync();
        var ids = await MakeAsync(portal, 2);
        await portal.ActAsync(ids[0], VmAction.Start);
        var plan = await portal.Vms.PlanActOnManyAsync(TestPortal.Ada, ids, VmAction.Pause, new VmActionOptions(), new BulkOptions(), Ct);
        Assert.Equal(["Pause vm-0.", "Pause vm-1."], plan.Steps.Select(s => s.Summary.Text));
        Assert.StartsWith("vm-1: not possible now.", Assert.Single(plan.Warnings).Text, StringComparison.Ordinal);
        Assert.Equal(3, (await Assert.ThrowsAsync<PortalException>(() => portal.Vms.ActOnManyAsync(TestPortal.Ada, [], VmAction.Pause, new VmActionOptions(0), new BulkOptions(0), Ct))).Problems.Count);
    }

    private static async Task<List<VmId>> MakeAsync(TestPortal portal, int count)
    {
        var ids = new List<VmId>();
        for (var i = 0; i < count; i++)
            ids.Add((await portal.CreateAsync(TestPortal.Machine($"vm-{i}"))).Id);
        return ids;
    }

    private static async Task<JobView> BulkAsync(TestPortal portal, List<VmId> ids, VmAction action, BulkOptions bulk) =>
        await portal.EndedAsync((await portal.Vms.ActOnManyAsync(TestPortal.Ada, ids, action, new VmActionOptions(), bulk, Ct)).Id);

    private static Task<List<Job>> ChildrenAsync(TestPortal portal, JobId parent) => portal.Store.ReadAsync(db => db.Jobs.Where(j => j.ParentId == parent).ToListAsync(Ct), Ct);

    private static int MostAtOnce(List<Job> jobs) => jobs.Max(j => jobs.Count(o => o.CreatedAt <= j.CreatedAt && o.EndedAt > j.CreatedAt));

    private static async Task UntilAsync(Func<Task<bool>> so)
    {
        for (var i = 0; i < 200 && !await so(); i++)
            await Task.Delay(25, Ct);
        Assert.True(await so());
    }
}
