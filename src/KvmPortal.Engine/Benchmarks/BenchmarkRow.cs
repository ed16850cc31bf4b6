using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace KvmPortal.Engine.Benchmarks;

/// <summary>What one benchmark measured.</summary>
internal sealed class BenchmarkRow
{
    /// <summary>A machine keeps so many, the newest.</summary>
    public const int Most = 20;

    public JobId JobId { get; set; }
    public VmId VmId { get; set; }
    public DateTimeOffset At { get; set; }
    public required string CreatedBy { get; set; }
    public required LossMeasurement Measurement { get; set; }

    /// <summary>In the transaction that marks the step as done; again after a crash it changes nothing.</summary>
    public static async Task KeepAsync(PortalDb db, Job job, LossMeasurement loss, CancellationToken ct)
    {
        if (loss.Pairs.Count == 0 || await db.Benchmarks.AnyAsync(b => b.JobId == job.Id, ct))
            return;
        var vm = new VmId(job.TargetId);
        var old = await db.Benchmarks.Where(b => b.VmId == vm).OrderByDescending(b => b.At).Skip(Most - 1).ToListAsync(ct);
        db.Benchmarks.RemoveRange(old);
        db.Benchmarks.Add(new BenchmarkRow { JobId = job.Id, VmId = vm, At = loss.At, CreatedBy = job.CreatedBy, Measurement = loss });
    }
}

internal sealed class BenchmarkConfiguration : IEntityTypeConfiguration<BenchmarkRow>
{
    public void Configure(EntityTypeBuilder<BenchmarkRow> builder)
    {
        builder.ToTable("Benchmarks");
        builder.HasKey(b => b.JobId);
        builder.HasIndex(b => new { b.VmId, b.At });
        builder.Property(b => b.Measurement).HasConversion(JsonColumn.Converter<LossMeasurement>());
    }
}
