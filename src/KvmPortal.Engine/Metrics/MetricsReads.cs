using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Metrics;

/// <summary>One point of a VM's chart. Rates are per second over the point's step; null where there is no data.</summary>
public sealed record VmPoint
{
    public required DateTimeOffset At { get; init; }
    /// <summary>CPUs used, 1.0 = one CPU fully.</summary>
    public double? Cpu { get; init; }
    /// <summary>Same per vCPU, in vCPU order; only at one-second resolution.</summary>
    public IReadOnlyList<double>? Vcpus { get; init; }
    public long? RssBytes { get; init; }
    public long? BalloonBytes { get; init; }
    public double? DiskReadBytesPerSecond { get; init; }
    public double? DiskWriteBytesPerSecond { get; init; }
    public double? DiskReadsPerSecond { get; init; }
    public double? DiskWritesPerSecond { get; init; }
    public double? NetReceiveBytesPerSecond { get; init; }
    public double? NetTransmitBytesPerSecond { get; init; }
    public double? NetReceivePacketsPerSecond { get; init; }
    public double? NetTransmitPacketsPerSecond { get; init; }
}

public sealed record HostPoint
{
    public required DateTimeOffset At { get; init; }
    /// <summary>0..1 of all CPUs.</summary>
    public double? CpuBusy { get; init; }
    public long? MemoryTotalBytes { get; init; }
    public long? MemoryAvailableBytes { get; init; }
    public double? Load1 { get; init; }
    public double? CpuPressure { get; init; }
    public double? MemoryPressure { get; init; }
    public double? IoPressure { get; init; }
}

/// <param name="StepSeconds">Distance of the points: what was asked, rounded to what is kept (1 s, 60 s, 3600 s multiples).</param>
public sealed record MetricsRange<TPoint>(DateTimeOffset From, DateTimeOffset To, int StepSeconds, IReadOnlyList<TPoint> Points);

/// <summary>Reading metrics: one hour at a second in memory, a minute for 30 days and an hour for a year in the database.</summary>
public sealed class MetricsQueries
{
    public Task<MetricsRange<VmPoint>> VmRangeAsync(VmId id, TimeSpan window, TimeSpan step, CancellationToken ct) => throw new NotImplementedException();
    public Task<MetricsRange<HostPoint>> HostRangeAsync(TimeSpan window, TimeSpan step, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>The last <paramref name="history"/> of points, then each new one. Drops the oldest for a slow reader.</summary>
    public IAsyncEnumerable<VmPoint> WatchVmAsync(VmId id, TimeSpan history, CancellationToken ct) => throw new NotImplementedException();
    public IAsyncEnumerable<HostPoint> WatchHostAsync(TimeSpan history, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Latest point of every running VM (for lists and the dashboard).</summary>
    public IReadOnlyDictionary<VmId, VmPoint> LatestVms() => throw new NotImplementedException();
    public HostPoint? LatestHost() => throw new NotImplementedException();
    /// <summary>Prometheus text exposition format 0.0.4 of the latest values.</summary>
    public Task WritePrometheusAsync(Stream output, CancellationToken ct) => throw new NotImplementedException();
}
