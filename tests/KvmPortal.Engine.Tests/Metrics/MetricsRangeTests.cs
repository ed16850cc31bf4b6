using KvmPortal.Engine.Data;
using KvmPortal.Engine.Metrics;

namespace KvmPortal.Engine.Tests.Metrics;

public sealed class MetricsRangeTests
{
    [Theory]
    [InlineData(60, 1, 1, 1)]
    [InlineData(3600, 10, 1, 10)]
    [InlineData(3600, 60, 60, 60)]
    [InlineData(7200, 1, 60, 60)]
    [InlineData(7200, 90, 60, 120)]
    [InlineData(86400 * 7, 60, 60, 180)]
    [InlineData(86400 * 7, 3600, 3600, 3600)]
    [InlineData(86400 * 60, 1, 3600, 3600)]
    [InlineData(86400 * 365, 3600, 3600, 7200)]
    public void The_finest_source_that_has_the_window_is_taken(int window, int step, int source, int given)
    {
        var span = MetricsSpan.Choose(TimeSpan.FromSeconds(window), TimeSpan.FromSeconds(step), MetricsScene.Noon);
        Assert.Equal((source, given), (span.SourceSeconds, span.StepSeconds));
        Assert.True(window / span.StepSeconds <= MetricsSpan.MostPoints);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(60, 0)]
    [InlineData(86400 * 367, 60)]
    [InlineData(60, -5)]
    public void Senseless_windows_and_steps_are_refused(int window, int step)
    {
        var e = Assert.Throws<PortalException>(() => MetricsSpan.Choose(TimeSpan.FromSeconds(window), TimeSpan.FromSeconds(step), MetricsScene.Noon));
        Assert.Equal(ErrorCode.Invalid, e.Code);
    }

    [Fact]
    public async Task Minutes_and_hours_are_stored_and_read_back_with_gaps()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = (await portal.CreateAsync(TestPortal.Machine("a"))).Id;
        var scene = new MetricsScene(portal);
        // Two hours: one CPU in the first, three in the second, with a stop of ten minutes in between.
        await RunAsync(scene, 55, (vm.Value, 1));
        await RunAsync(scene, 10);
        await RunAsync(scene, 55, (vm.Value, 3));
        await scene.Rollups.TidyAsync(scene.Time.GetUtcNow(), default);

        var minutes = await scene.Queries.VmRangeAsync(vm, TimeSpan.FromHours(2), TimeSpan.FromSeconds(60), default);
        Assert.Equal(60, minutes.StepSeconds);
        Assert.Equal(110, minutes.Points.Count);
        Assert.DoesNotContain(minutes.Points, p => p.At >= MetricsScene.Noon.AddMinutes(55) && p.At < MetricsScene.Noon.AddMinutes(65));
        Assert.Equal(1, minutes.Points[0].Cpu);
        Assert.Equal(3, minutes.Points[^1].Cpu);
        Assert.Equal(512L << 20, minutes.Points[^1].RssBytes);
        Assert.Null(minutes.Points[^1].NetTransmitBytesPerSecond);
        Assert.Null(minutes.Points[^1].Vcpus);

        var hours = await scene.Queries.VmRangeAsync(vm, TimeSpan.FromDays(60), TimeSpan.FromHours(1), default);
        Assert.Equal([(MetricsScene.Noon, 1d), (MetricsScene.Noon.AddHours(1), 3d)], hours.Points.Select(p => (p.At, p.Cpu!.Value)));
        Assert.Equal(2, (await scene.Rollups.VmAsync(vm, 3600, DateTimeOffset.MinValue, DateTimeOffset.MaxValue, default)).Count);

        var host = await scene.Queries.HostRangeAsync(TimeSpan.FromHours(2), TimeSpan.FromMinutes(30), default);
        Assert.Equal(4, host.Points.Count);
        Assert.All(host.Points, p => Assert.Equal(0.5, p.CpuBusy));

        // What is not rolled up yet comes from memory; after a restart the rows are still there.
        scene.Run(30, (vm.Value, 3));
        var withTail = await scene.Queries.VmRangeAsync(vm, TimeSpan.FromHours(2), TimeSpan.FromSeconds(60), default);
        Assert.Equal(MetricsScene.Noon.AddHours(2), withTail.Points[^1].At);
        var restarted = new MetricsScene(portal, scene.Time.GetUtcNow().AddMinutes(20));
        restarted.Run(61, (vm.Value, 2));
        var after = await restarted.Queries.VmRangeAsync(vm, TimeSpan.FromHours(2), TimeSpan.FromSeconds(60), default);
        Assert.Equal(1, after.Points[0].Cpu);
        Assert.Equal(2, after.Points[^1].Cpu);
        await Assert.ThrowsAsync<PortalException>(() => scene.Queries.VmRangeAsync(VmId.New(TimeProvider.System), TimeSpan.FromHours(1), TimeSpan.FromSeconds(1), default));
    }

    [Fact]
    public async Task Seconds_come_from_memory_and_are_averaged_to_the_step()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = (await portal.CreateAsync(TestPortal.Machine("a"))).Id;
        var scene = new MetricsScene(portal);
        scene.Run(120, (vm.Value, 1.25));
        var seconds = await scene.Queries.VmRangeAsync(vm, TimeSpan.FromMinutes(1), TimeSpan.FromSeconds(1), default);
        Assert.Equal(60, seconds.Points.Count);
        Assert.Equal(2, seconds.Points[0].Vcpus!.Count);
        var tens = await scene.Queries.VmRangeAsync(vm, TimeSpan.FromHours(1), TimeSpan.FromSeconds(10), default);
        Assert.Equal(12, tens.Points.Count);
        Assert.All(tens.Points, p => Assert.Equal(1.25, p.Cpu));
    }

    [Fact]
    public async Task What_is_too_old_is_removed_and_a_missing_hour_is_derived_late()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = VmId.New(TimeProvider.System);
        var scene = new MetricsScene(portal);
        await RunAsync(scene, 2, (vm.Value, 1));
        await scene.Rollups.TidyAsync(MetricsScene.Noon.AddDays(29), default);
        Assert.Equal((2, 1), await CountsAsync());
        await scene.Rollups.TidyAsync(MetricsScene.Noon.AddDays(31), default);
        Assert.Equal((0, 1), await CountsAsync());
        await scene.Rollups.TidyAsync(MetricsScene.Noon.AddDays(367), default);
        Assert.Equal((0, 0), await CountsAsync());

        async Task<(int, int)> CountsAsync() => ((await scene.Rollups.VmAsync(vm, 60, DateTimeOffset.MinValue, DateTimeOffset.MaxValue, default)).Count,
            (await scene.Rollups.VmAsync(vm, 3600, DateTimeOffset.MinValue, DateTimeOffset.MaxValue, default)).Count);
    }

    private static async Task RunAsync(MetricsScene scene, int minutes, params (Guid, double)[] machines)
    {
        for (var i = 0; i < minutes; i++)
        {
            var minute = scene.Time.GetUtcNow();
            scene.Run(60, machines);
            await scene.Rollups.StoreMinuteAsync(minute, scene.Recent, default);
        }
    }
}
