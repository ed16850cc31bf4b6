using System.Text.Json;
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

    public static EventRow Of(PortalEvent e) => new()
    {
        Seq = e.Seq,
        At = e.At,
        Type = e.Type,
        TargetType = e.Target?.Type,
        TargetId = e.Target?.Id,
        TargetName = e.Target?.Name,
        Actor = e.Actor,
        Warning = e.Warning,
        Text = e.Text,
        DataJson = e.Data?.GetRawText(),
    };

    public PortalEvent ToEvent()
    {
        var target = TargetType is { } type && TargetId is { } id ? new JobTarget(type, id, TargetName ?? "") : null;
        return new PortalEvent(Seq, At, Type, target, Actor, Warning, Text, DataJson is null ? null : JsonSerializer.Deserialize<JsonElement>(DataJson));
    }
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
