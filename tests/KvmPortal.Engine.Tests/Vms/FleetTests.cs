using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Tests.Vms;

/// <summary>A thousand machines at once: states right, metrics each second, no thread for each, memory that does not grow while nothing happens.</summary>
[Collection(nameof(Alone))]
public sealed class FleetTests
{
    private const int Machines = 1000;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_thousand_machines_start_are_measured_and_cost_no_thread_each()
    {
        await using var portal = await TestPortal.StartAsync(parallelJobs: 16);
        var ids = new List<Data.VmId>();
        for (var i = 0; i < Machines; i++)
            ids.Add((await portal.Vms.CreateAsync(TestPortal.Ada, TestPortal.Machine($"vm-{i}") with { Disks = [] }, false, Ct)).Vm.Id);
        var job = await portal.Vms.ActOnManyAsync(TestPortal.Ada, ids, VmAction.Start, new VmActionOptions(), new BulkOptions(Parallel: 100), Ct);
        var ended = await portal.Jobs.WaitAsync(TestPortal.Ada, job.Id, TimeSpan.FromSeconds(120), Ct);
        Assert.Equal(Engine.Jobs.JobState.Succeeded, ended.State);
        var all = await portal.Get<VmTracker>().AllAsync(Ct);
        Assert.Equal(Machines, all.Count(v => v.Status.State == VmState.Running));

        await Task.Delay(TimeSpan.FromSeconds(4), Ct);
        var metrics = portal.Get<MetricsQueries>();
        Assert.Equal(Machines, metrics.LatestVms().Count);
        var range = await metrics.VmRangeAsync(ids[^1], TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(1), Ct);
        Assert.True(range.Points.Count >= 2, $"{range.Points.Count} points in 3 s");
        Assert.True(ThreadPool.ThreadCount < 100, $"{ThreadPool.ThreadCount} threads in the pool");

        var before = Live();
        await Task.Delay(TimeSpan.FromSeconds(6), Ct);
        // Six seconds of samples are kept: 1,000 machines x 6 points of a few hundred bytes, not more.
        Assert.True(Live() - before < 16 << 20, $"grew by {(Live() - before) >> 10} KiB in 6 s");
    }

    private static long Live() => GC.GetTotalMemory(forceFullCollection: true);
}
