using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace KvmPortal.Engine.Placements;

/// <summary>What one machine holds of the host: a line of the ledger.</summary>
internal sealed class ReservationRow
{
    public VmId VmId { get; set; }
    public required Reservation Held { get; set; }
    public DateTimeOffset Since { get; set; }
    /// <summary>What was decided, with its reasons; null where a former version recorded no more than what is held.</summary>
    public PlacementPlan? Plan { get; set; }
}

internal sealed class ReservationConfiguration : IEntityTypeConfiguration<ReservationRow>
{
    public void Configure(EntityTypeBuilder<ReservationRow> builder)
    {
        builder.ToTable("Reservations");
        builder.HasKey(r => r.VmId);
        builder.Property(r => r.Held).HasConversion(JsonColumn.Converter<Reservation>());
        builder.Property(r => r.Plan).HasConversion(JsonColumn.Converter<PlacementPlan>()!);
    }
}
