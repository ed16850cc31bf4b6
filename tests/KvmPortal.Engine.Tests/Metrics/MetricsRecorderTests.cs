using System.Text;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Metrics;

namespace KvmPortal.Engine.Tests.Metrics;

public sealed class MetricsRecorderTests
{
    [Fact]
    public async Task A_minute_that_is_over_is_stored_by_itself()
    {
        await using var portal = await TestPortal.StartAsync();
        var scene = new MetricsScene(portal, MetricsScene.Noon.AddSeconds(30));
        var vm = VmId.New(TimeProvider.System);
        using var stop = new CancellationTokenSource();
        var storing = scene.Recorder.StoreAsync(stop.Token);
        scene.Run(95, (vm.Value, 1));
        for (var i = 0; i < 200 && (await RowsAsync()).Count < 2; i++)
            await Task.Delay(25, TestContext.Current.CancellationToken);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => storing);
        var rows = await RowsAsync();
        Assert.Equal([MetricsScene.Noon, MetricsScene.Noon.AddMinutes(1)], rows.Select(r => r.At));
        Assert.All(rows, r => Assert.Equal(1, r.Cpu));

        Task<List<VmRollup>> RowsAsync() => scene.Rollups.VmAsync(vm, 60, DateTimeOffset.MinValue, MetricsScene.Noon.AddMinutes(2), default);
    }

    [Fact]
    public async Task The_engine_samples_a_running_machine_and_Prometheus_can_read_it()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("web-1"), start: true);
        var queries = portal.Get<MetricsQueries>();
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        await foreach (var point in queries.WatchVmAsync(vm.Id, TimeSpan.FromMinutes(1), enough.Token))
            if (point.Cpu is not null)
                break;
        Assert.NotNull(queries.LatestHost());
        Assert.NotNull(queries.LatestVms()[vm.Id].RssBytes);

        using var output = new MemoryStream();
        await queries.WritePrometheusAsync(output, enough.Token);
        var lines = Encoding.UTF8.GetString(output.ToArray()).TrimEnd('\n').Split('\n');
        Assert.Contains("kvmportal_vms{state=\"running\"} 1", lines);
        Assert.Equal("kvmportal_jobs_active 0", lines.Single(l => l.StartsWith("kvmportal_jobs_active", StringComparison.Ordinal)));
        Assert.Contains("# TYPE kvmportal_vm_cpu_seconds_total counter", lines);
        Assert.Contains(lines, l => l.StartsWith($"kvmportal_vm_cpu_seconds_total{{vm_id=\"{vm.Id}\",name=\"web-1\"}} ", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.StartsWith("kvmportal_host_memory_total_bytes ", StringComparison.Ordinal));
        Assert.Equal(lines.Count(l => l.StartsWith("# TYPE ", StringComparison.Ordinal)), lines.Where(l => l.StartsWith("# TYPE ", StringComparison.Ordinal)).Distinct().Count());
        Assert.All(lines, l => Assert.Matches("""^(# (HELP|TYPE) [a-z0-9_]+ .+|[a-z0-9_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.E+-]+)$""", l));
    }
}
