using KvmPortal.Engine.Jobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace KvmPortal.Engine.Events;

/// <summary>The row of an event.</summary>
internal sealed class EventRow
{
    public long Seq { get; set; }
    public DateTimeOffset At { get; set; }
    public required string Type { get; set; }
    public TargetType? TargetType { get; set; }
    public Guid? TargetId { get; set; }
    public string? TargetName { get; set; }
    public required string Actor { get; set; }
    public bool Warning { get; set; }
    public required string Text { get; set; }
    public string? DataJson { get; set; }
}

internal sealed class EventMapping : IEntityTypeConfiguration<EventRow>
{
    public void Configure(EntityTypeBuilder<EventRow> entity)
    {
        entity.ToTable("Events").HasKey(e => e.Seq);
        entity.Property(e => e.Seq).ValueGeneratedNever();
        entity.HasIndex(e => new { e.TargetId, e.Seq });
    }
}
