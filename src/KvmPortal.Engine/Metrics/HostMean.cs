namespace KvmPortal.Engine.Metrics;

/// <summary>Means of host points; of the memory that is available the least, because that is what hurts.</summary>
internal static class HostMean
{
    /// <summary>One point for all; null for none.</summary>
    public static HostPoint? Of(DateTimeOffset at, IReadOnlyCollection<HostPoint> points) => points.Count == 0 ? null : new HostPoint
    {
        At = at,
        CpuBusy = Mean(points, p => p.CpuBusy),
        MemoryTotalBytes = points.Max(p => p.MemoryTotalBytes),
        MemoryAvailableBytes = points.Min(p => p.MemoryAvailableBytes),
        Load1 = Mean(points, p => p.Load1),
        CpuPressure = Mean(points, p => p.CpuPressure),
        MemoryPressure = Mean(points, p => p.MemoryPressure),
        IoPressure = Mean(points, p => p.IoPressure),
    };

    public static HostPoint Of(HostRollup r) => new()
    {
        At = r.At,
        CpuBusy = r.CpuBusy,
        MemoryTotalBytes = r.MemoryTotalBytes,
        MemoryAvailableBytes = r.MemoryAvailableBytes,
        Load1 = r.Load1,
        CpuPressure = r.CpuPressure,
        MemoryPressure = r.MemoryPressure,
        IoPressure = r.IoPressure,
    };

    private static double? Mean(IEnumerable<HostPoint> points, Func<HostPoint, double?> value) => points.Average(value) is { } mean ? Math.Round(mean, 4) : null;
}
