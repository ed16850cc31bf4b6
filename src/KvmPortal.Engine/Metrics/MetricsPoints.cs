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
