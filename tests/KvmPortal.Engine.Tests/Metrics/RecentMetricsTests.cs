using KvmPortal.Engine.Data;
using KvmPortal.Engine.Metrics;

namespace KvmPortal.Engine.Tests.Metrics;

[Collection(nameof(Alone))]
public sealed class RecentMetricsTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public void An_hour_is_kept_and_what_stopped_is_freed_after_an_hour()
    {
        var recent = new RecentMetrics();
        var (a, b) = (Guid.CreateVersion7(), Guid.CreateVersion7());
        for (var i = 0; i < 9000; i++)
        {
            var age = i + 1;
            recent.Add(i < 1000 ? MetricsScene.Sample(MetricsScene.Noon.AddSeconds(i), MetricsScene.Machine(a, age, 1), MetricsScene.Machine(b, age, 0.5))
                : MetricsScene.Sample(MetricsScene.Noon.AddSeconds(i), MetricsScene.Machine(a, age, 1)), Second);
            if (i == 4000)
                Assert.Equal(2, recent.Held);
        }

        Assert.Equal(1, recent.Held);
        var points = recent.Vm(new VmId(a), DateTimeOffset.MinValue);
        Assert.Equal(3600, points.Count);
        Assert.Equal(Enumerable.Range(5400, 3600).Select(i => MetricsScene.Noon.AddSeconds(i)), points.Select(p => p.At));
        Assert.All(points, p => Assert.Equal(1, p.Cpu));
        Assert.All(points, p => Assert.Equal([0.5, 0.5], p.Vcpus!));
        Assert.Equal([new VmId(a)], recent.LatestVms().Keys);
    }

    [Fact]
    public void A_machine_that_was_away_starts_anew_and_a_plugged_vCPU_appears()
    {
        var recent = new RecentMetrics();
        var id = Guid.CreateVersion7();
        for (var i = 0; i < 10; i++)
            recent.Add(i == 4 ? MetricsScene.Sample(MetricsScene.Noon.AddSeconds(i)) : MetricsScene.Sample(MetricsScene.Noon.AddSeconds(i), MetricsScene.Machine(id, i + 1, 1, i < 7 ? 1 : 2)), Second);
        var points = recent.Vm(new VmId(id), DateTimeOffset.MinValue);
        Assert.Equal(9, points.Count);
        Assert.Equal([null, 1, 1, 1, null, 1, 1, 1, 1], points.Select(p => p.Cpu));
        Assert.Equal(1, points[5].Vcpus?.Count);
        Assert.Equal(2, points[8].Vcpus?.Count);
    }

    [Fact]
    public void A_thousand_machines_for_an_hour_stay_below_two_hundred_megabytes()
    {
        var ids = Enumerable.Range(0, 1000).Select(_ => Guid.CreateVersion7()).ToArray();
        var recent = new RecentMetrics();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var i = 0; i < 3700; i++)
            recent.Add(MetricsScene.Sample(MetricsScene.Noon.AddSeconds(i), [.. ids.Select((id, n) => MetricsScene.Machine(id, i + 1, 1, 1 << (n % 4)))]), Second);
        var used = GC.GetTotalMemory(forceFullCollection: true) - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{used / 1e6:0} MB");
        Assert.Equal(1000, recent.Held);
        Assert.InRange(used, 1, 200_000_000);
    }

    [Fact]
    public async Task A_watcher_gets_history_then_every_new_point_once()
    {
        await using var portal = await TestPortal.StartAsync();
        var scene = new MetricsScene(portal);
        var id = Guid.CreateVersion7();
        scene.Run(20, (id, 1));
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        await using var watch = scene.Queries.WatchVmAsync(new VmId(id), TimeSpan.FromSeconds(5), enough.Token).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        await using var host = scene.Queries.WatchHostAsync(TimeSpan.Zero, enough.Token).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.True(await watch.MoveNextAsync());
        var firstHost = host.MoveNextAsync();
        scene.Run(3, (id, 1));
        Assert.True(await firstHost);
        Assert.Equal(MetricsScene.Noon.AddSeconds(20), host.Current.At);
        for (var i = 15; i < 23; i++)
        {
            Assert.Equal(MetricsScene.Noon.AddSeconds(i), watch.Current.At);
            if (i < 22)
                Assert.True(await watch.MoveNextAsync());
        }

        // A slow reader keeps the newest.
        scene.Run(200, (id, 1));
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(MetricsScene.Noon.AddSeconds(223 - 64), watch.Current.At);
    }
}
