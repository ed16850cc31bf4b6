using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace KvmPortal.Engine.Placements;

/// <summary>A profile of an operator's own, made as a copy of another.</summary>
internal sealed class ProfileRow
{
    public required string Name { get; set; }
    public required string BasedOn { get; set; }
    public string Description { get; set; } = "";
    public required Profile Knobs { get; set; }
    public int Version { get; set; } = 1;
    public DateTimeOffset ChangedAt { get; set; }
    public string ChangedBy { get; set; } = "";
}

internal sealed class ProfileConfiguration : IEntityTypeConfiguration<ProfileRow>
{
    public void Configure(EntityTypeBuilder<ProfileRow> builder)
    {
        builder.ToTable("Profiles");
        builder.HasKey(p => p.Name);
        builder.Property(p => p.Name).HasMaxLength(ProfileRules.MostName);
        builder.Property(p => p.Version).IsConcurrencyToken();
        builder.Property(p => p.Knobs).HasConversion(JsonColumn.Converter<Profile>());
    }
}
