using System.Text.Json;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Inventories;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Identity.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace KvmPortal.Engine.Data;

/// <summary>Everything that is stored. One context per operation, from <see cref="IDbContextFactory{PortalDb}"/>; never injected into Web.</summary>
public sealed class PortalDb(DbContextOptions<PortalDb> options) : IdentityDbContext<PortalUser, IdentityRole<Guid>, Guid>(options)
{
    internal DbSet<Vm> Vms => Set<Vm>();
    internal DbSet<Disk> Disks => Set<Disk>();
    internal DbSet<Image> Images => Set<Image>();
    internal DbSet<Job> Jobs => Set<Job>();
    internal DbSet<JobLogLine> JobLog => Set<JobLogLine>();
    internal DbSet<EventRow> Events => Set<EventRow>();
    internal DbSet<VmRollup> VmRollups => Set<VmRollup>();
    internal DbSet<HostRollup> HostRollups => Set<HostRollup>();
    internal DbSet<AccessToken> AccessTokens => Set<AccessToken>();
    internal DbSet<MachineUid> MachineUids => Set<MachineUid>();
    internal DbSet<HostPreparation> HostPreparations => Set<HostPreparation>();
    internal DbSet<Placements.ReservationRow> Reservations => Set<Placements.ReservationRow>();
    internal DbSet<Placements.ProfileRow> Profiles => Set<Placements.ProfileRow>();
    internal DbSet<HostSnapshotRow> HostSnapshots => Set<HostSnapshotRow>();
    internal DbSet<Benchmarks.BenchmarkRow> Benchmarks => Set<Benchmarks.BenchmarkRow>();
    internal DbSet<PortalFact> PortalFacts => Set<PortalFact>();
    internal DbSet<IdempotencyKey> IdempotencyKeys => Set<IdempotencyKey>();

    protected override void ConfigureConventions(ModelConfigurationBuilder builder)
    {
        builder.Properties<VmId>().HaveConversion<IdConverter<VmId>>();
        builder.Properties<JobId>().HaveConversion<IdConverter<JobId>>();
        builder.Properties<ImageId>().HaveConversion<IdConverter<ImageId>>();
        builder.Properties<DiskId>().HaveConversion<IdConverter<DiskId>>();
        builder.Properties<PreparationId>().HaveConversion<IdConverter<PreparationId>>();
        builder.Properties<UserId>().HaveConversion<IdConverter<UserId>>();
        builder.Properties<TokenId>().HaveConversion<IdConverter<TokenId>>();
        builder.Properties<Enum>().HaveConversion<string>();
        builder.Properties<Sentence>().HaveConversion<SentenceColumn>();
        // SQLite cannot order DateTimeOffset; UTC ticks sort and stay exact.
        builder.Properties<DateTimeOffset>().HaveConversion<UtcTicks>();
    }

    protected override void OnModelCreating(ModelBuilder builder)
    {
        base.OnModelCreating(builder);
        builder.ApplyConfigurationsFromAssembly(typeof(PortalDb).Assembly);
    }

    private sealed class IdConverter<TId>() : ValueConverter<TId, Guid>(id => id.Value, value => Make(value)) where TId : struct, ITypedId<TId>
    {
        private static TId Make(Guid value) => TId.From(value);
    }

    private sealed class SentenceColumn() : ValueConverter<Sentence, string>(s => JsonColumn.Store(s), t => JsonColumn.Restore(t));

    private sealed class UtcTicks() : ValueConverter<DateTimeOffset, long>(t => t.UtcTicks, t => new DateTimeOffset(t, TimeSpan.Zero));
}

/// <summary>Stores a record as JSON text; compares by that text.</summary>
internal static class JsonColumn
{
    public static ValueConverter<T, string> Converter<T>() =>
        new(v => JsonSerializer.Serialize(v, Stored), s => JsonSerializer.Deserialize<T>(s, Stored)!);

    // What an older or newer version stored must stay readable: unknown members are refused on the wire only.
    private static readonly JsonSerializerOptions Stored = Configure(new(PortalJson.Options)
    {
        UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Skip,
        RespectNullableAnnotations = false,
        RespectRequiredConstructorParameters = false,
    });

    private static JsonSerializerOptions Configure(JsonSerializerOptions options)
    {
        options.Converters.Add(new SentenceJson(stored: true));
        return options;
    }

    /// <summary>A sentence in a text column: words as they are; one with a code, or words that look like one, as JSON.</summary>
    public static string Store(Sentence sentence) => sentence.Code is null && !LooksStored(sentence.Text) ? sentence.Text : JsonSerializer.Serialize(sentence, Stored);

    public static Sentence Restore(string text)
    {
        if (!LooksStored(text))
            return text;
        try
        {
            return JsonSerializer.Deserialize<Sentence>(text, Stored) ?? text;
        }
        catch (JsonException)
        {
            // Words that an older version stored as they were.
            return text;
        }
    }

    private static bool LooksStored(string text) => text.StartsWith('{') || text.StartsWith('"');
}
