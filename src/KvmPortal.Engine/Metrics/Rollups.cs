using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace KvmPortal.Engine.Metrics;

/// <summary>One minute or one hour of a VM: means of the rates, maximum of the memory.</summary>
internal sealed class VmRollup
{
    public VmId VmId { get; set; }
    /// <summary>60 or 3600.</summary>
    public int StepSeconds { get; set; }
    public DateTimeOffset At { get; set; }
    public double? Cpu { get; set; }
    public long? RssBytes { get; set; }
    public long? BalloonBytes { get; set; }
    public double? DiskReadBytesPerSecond { get; set; }
    public double? DiskWriteBytesPerSecond { get; set; }
    public double? DiskReadsPerSecond { get; set; }
    public double? DiskWritesPerSecond { get; set; }
    public double? NetReceiveBytesPerSecond { get; set; }
    public double? NetTransmitBytesPerSecond { get; set; }
    public double? NetReceivePacketsPerSecond { get; set; }
    public double? NetTransmitPacketsPerSecond { get; set; }
}

/// <summary>One minute or one hour of the host.</summary>
internal sealed class HostRollup
{
    public int StepSeconds { get; set; }
    public DateTimeOffset At { get; set; }
    public double? CpuBusy { get; set; }
    public long? MemoryTotalBytes { get; set; }
    public long? MemoryAvailableBytes { get; set; }
    public double? Load1 { get; set; }
    public double? CpuPressure { get; set; }
    public double? MemoryPressure { get; set; }
    public double? IoPressure { get; set; }
}

internal sealed class RollupMapping : IEntityTypeConfiguration<VmRollup>, IEntityTypeConfiguration<HostRollup>
{
    public void Configure(EntityTypeBuilder<VmRollup> entity) => entity.ToTable("VmRollups").HasKey(r => new { r.VmId, r.StepSeconds, r.At });

    public void Configure(EntityTypeBuilder<HostRollup> entity) => entity.ToTable("HostRollups").HasKey(r => new { r.StepSeconds, r.At });
}
