using System.Runtime.CompilerServices;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Engine.Metrics;

/// <summary>
/// Reading metrics: one hour at a second in memory, a minute for 30 days and an hour for a year in the database. Where there was no data (the VM did not
/// run, the portal was down) points are missing: a chart breaks its line where two points are further apart than the step.
/// </summary>
public sealed class MetricsQueries
{
    private readonly RecentMetrics recent;
    private readonly RollupStore rollups;
    private readonly VmTracker tracker;
    private readonly PrometheusText prometheus;
    private readonly TimeProvider time;

    internal MetricsQueries(RecentMetrics recent, RollupStore rollups, VmTracker tracker, PrometheusText prometheus, TimeProvider time) =>
        (this.recent, this.rollups, this.tracker, this.prometheus, this.time) = (recent, rollups, tracker, prometheus, time);

    /// <summary>The last <paramref name="window"/> (1 s to 366 days); the step is rounded up to what is kept and to at most 5000 points. Throws Invalid, NotFound.</summary>
    public async Task<MetricsRange<VmPoint>> VmRangeAsync(VmId id, TimeSpan window, TimeSpan step, CancellationToken ct)
    {
        var span = MetricsSpan.Choose(window, step, time.GetUtcNow());
        if (await tracker.FindAsync(id, ct) is null)
            throw PortalException.NotFound("virtual machine", id.ToString());
        if (span.StepSeconds == 1)
            return new MetricsRange<VmPoint>(span.From, span.To, 1, recent.Vm(id, span.From));

        var means = new SortedDictionary<DateTimeOffset, VmMean>();
        var from = span.FirstStep;
        foreach (var source in new[] { RollupStore.HourSeconds, RollupStore.MinuteSeconds })
            if (span.SourceSeconds >= source)
                foreach (var row in await rollups.VmAsync(id, source, from, span.To, ct))
                {
                    Add(row.At, VmReading.Of(row));
                    from = row.At.AddSeconds(source);
                }

        // What is not rolled up yet.
        foreach (var (at, reading) in recent.VmReadings(id, from, DateTimeOffset.MaxValue))
            Add(at, reading);
        return new MetricsRange<VmPoint>(span.From, span.To, span.StepSeconds, [.. means.Select(m => m.Value.ToReading().ToPoint(m.Key))]);

        void Add(DateTimeOffset at, VmReading reading)
        {
            var mean = means.GetValueOrDefault(span.StepOf(at));
            mean.Add(reading);
            means[span.StepOf(at)] = mean;
        }
    }

    /// <summary>Like <see cref="VmRangeAsync"/>, of the host.</summary>
    public async Task<MetricsRange<HostPoint>> HostRangeAsync(TimeSpan window, TimeSpan step, CancellationToken ct)
    {
        var span = MetricsSpan.Choose(window, step, time.GetUtcNow());
        var points = new List<HostPoint>();
        var from = span.FirstStep;
        foreach (var source in new[] { RollupStore.HourSeconds, RollupStore.MinuteSeconds })
            if (span.SourceSeconds >= source)
                foreach (var row in await rollups.HostAsync(source, from, span.To, ct))
                {
                    points.Add(HostMean.Of(row));
                    from = row.At.AddSeconds(source);
                }

        points.AddRange(recent.Host(from, DateTimeOffset.MaxValue));
        if (span.StepSeconds > 1)
            points = [.. points.GroupBy(p => span.StepOf(p.At)).OrderBy(g => g.Key).Select(g => HostMean.Of(g.Key, [.. g])!)];
        return new MetricsRange<HostPoint>(span.From, span.To, span.StepSeconds, points);
    }

    /// <summary>Busy share of each of the host's CPUs in the last second, 0..1, by number; NaN where there is none.</summary>
    public IReadOnlyList<float> HostCpus => recent.HostCpus;

    /// <summary>The last <paramref name="history"/> of points (at most an hour), then each new one. Drops the oldest for a slow reader.</summary>
    public async IAsyncEnumerable<VmPoint> WatchVmAsync(VmId id, TimeSpan history, [EnumeratorCancellation] CancellationToken ct)
    {
        var (points, live) = recent.WatchVm(id, Since(history));
        try
        {
            foreach (var point in points)
                yield return point;
            await foreach (var point in live.Reader.ReadAllAsync(ct))
                yield return point;
        }
        finally
        {
            recent.Unwatch(id, live);
        }
    }

    /// <summary>Like <see cref="WatchVmAsync"/>, of the host.</summary>
    public async IAsyncEnumerable<HostPoint> WatchHostAsync(TimeSpan history, [EnumeratorCancellation] CancellationToken ct)
    {
        var (points, live) = recent.WatchHost(Since(history));
        try
        {
            foreach (var point in points)
                yield return point;
            await foreach (var point in live.Reader.ReadAllAsync(ct))
                yield return point;
        }
        finally
        {
            recent.Unwatch(live);
        }
    }

    /// <summary>Latest point of every running VM (for lists and the dashboard).</summary>
    public IReadOnlyDictionary<VmId, VmPoint> LatestVms() => recent.LatestVms();

    public HostPoint? LatestHost() => recent.LatestHost();

    /// <summary>Prometheus text exposition format 0.0.4 of the latest values.</summary>
    public Task WritePrometheusAsync(Stream output, CancellationToken ct) => prometheus.WriteAsync(output, ct);

    private DateTimeOffset Since(TimeSpan history) => time.GetUtcNow() - (history > RecentMetrics.Kept ? RecentMetrics.Kept : history < TimeSpan.Zero ? TimeSpan.Zero : history);
}
