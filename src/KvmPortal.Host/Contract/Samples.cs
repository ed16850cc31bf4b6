namespace KvmPortal.Host.Contract;

/// <summary>One reading of the host and of every running machine, taken together.</summary>
public sealed record HostSample
{
    public required DateTimeOffset At { get; init; }
    /// <summary>Busy share of all CPUs, 0..1.</summary>
    public required double CpuBusy { get; init; }
    /// <summary>Busy share of each CPU, 0..1, by its number; NaN where there is none of that number or it is offline.</summary>
    public IReadOnlyList<float> CpuBusyEach { get; init; } = [];
    public required long MemoryTotalBytes { get; init; }
    public required long MemoryAvailableBytes { get; init; }
    public required double Load1 { get; init; }
    /// <summary>PSI `some avg10` in percent; null where the kernel has no PSI.</summary>
    public double? CpuPressure { get; init; }
    public double? MemoryPressure { get; init; }
    public double? IoPressure { get; init; }
    public required IReadOnlyList<MachineSample> Machines { get; init; }
}

/// <summary>One machine in one reading. Counters are totals since the machine's start; the Engine makes rates of them.</summary>
public sealed record MachineSample
{
    public required Guid MachineId { get; init; }
    /// <summary>CPU time of the whole process, nanoseconds.</summary>
    public required long CpuNanoseconds { get; init; }
    /// <summary>CPU time per vCPU thread, nanoseconds, in vCPU order.</summary>
    public required IReadOnlyList<long> VcpuNanoseconds { get; init; }
    public required long RssBytes { get; init; }
    /// <summary>Memory the guest has now by the balloon; null without balloon.</summary>
    public long? BalloonBytes { get; init; }
    public long DiskReadBytes { get; init; }
    public long DiskWriteBytes { get; init; }
    public long DiskReadOperations { get; init; }
    public long DiskWriteOperations { get; init; }
    /// <summary>Null where the network back end has no counters (user-mode networking keeps none).</summary>
    public long? NetReceiveBytes { get; init; }
    public long? NetTransmitBytes { get; init; }
    public long? NetReceivePackets { get; init; }
    public long? NetTransmitPackets { get; init; }
}
