using System.IO.Compression;
using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace KvmPortal.Engine.Hosts.Inventories;

/// <summary>A version of the host's inventory. A new version begins when something that matters has changed.</summary>
public sealed record HostSnapshot(long Version, DateTimeOffset TakenAt, HostInventory Inventory);

/// <summary>A version without the inventory itself: what was different from the one before.</summary>
public sealed record HostSnapshotSummary(long Version, DateTimeOffset TakenAt, IReadOnlyList<InventoryChange> Changes);

/// <summary>The row of a version.</summary>
internal sealed class HostSnapshotRow
{
    public long Version { get; set; }
    public DateTimeOffset TakenAt { get; set; }
    /// <summary>Of what is compared.</summary>
    public required string Digest { get; set; }
    /// <summary>The inventory as JSON, by Brotli.</summary>
    public required byte[] Content { get; set; }
    public required List<InventoryChange> Changes { get; set; }

    public static byte[] Pack(HostInventory inventory)
    {
        using var packed = new MemoryStream();
        using (var brotli = new BrotliStream(packed, CompressionLevel.Optimal))
            JsonSerializer.Serialize(brotli, inventory, PortalJson.Options);
        return packed.ToArray();
    }

    /// <summary>Null where an older version of the portal stored it in a form that is no longer read.</summary>
    public HostInventory? Unpack()
    {
        try
        {
            using var brotli = new BrotliStream(new MemoryStream(Content), CompressionMode.Decompress);
            return JsonSerializer.Deserialize<HostInventory>(brotli, Stored);
        }
        catch (Exception e) when (e is JsonException or InvalidDataException or InvalidOperationException)
        {
            return null;
        }
    }

    private static readonly JsonSerializerOptions Stored = new(PortalJson.Options) { UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Skip, RespectNullableAnnotations = false, RespectRequiredConstructorParameters = false };
}

internal sealed class HostSnapshotMapping : IEntityTypeConfiguration<HostSnapshotRow>
{
    public void Configure(EntityTypeBuilder<HostSnapshotRow> entity)
    {
        entity.ToTable("HostSnapshots").HasKey(s => s.Version);
        entity.Property(s => s.Version).ValueGeneratedNever();
        entity.Property(s => s.Changes).HasConversion(JsonColumn.Converter<List<InventoryChange>>());
    }
}
