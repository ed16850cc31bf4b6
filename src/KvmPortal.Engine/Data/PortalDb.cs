using System.Text.Json;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Events;
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
    internal DbSet<IdempotencyKey> IdempotencyKeys => Set<IdempotencyKey>();

    protected override void ConfigureConventions(ModelConfigurationBuilder builder)
    {
        builder.Properties<VmId>().HaveConversion<IdConverter<VmId>>();
        builder.Properties<JobId>().HaveConversion<IdConverter<JobId>>();
        builder.Properties<ImageId>().HaveConversion<IdConverter<ImageId>>();
        builder.Properties<DiskId>().HaveConversion<IdConverter<DiskId>>();
        builder.Properties<UserId>().HaveConversion<IdConverter<UserId>>();
        builder.Properties<TokenId>().HaveConversion<IdConverter<TokenId>>();
        builder.Properties<Enum>().HaveConversion<string>();
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

    private sealed class UtcTicks() : ValueConverter<DateTimeOffset, long>(t => t.UtcTicks, t => new DateTimeOffset(t, TimeSpan.Zero));
}

/// <summary>Stores a record as JSON text; compares by that text.</summary>
internal static class JsonColumn
{
    public static ValueConverter<T, string> Converter<T>() =>
        new(v => JsonSerializer.Serialize(v, PortalJson.Options), s => JsonSerializer.Deserialize<T>(s, Lenient)!);

    // What an older or newer version stored must stay readable: unknown members are refused on the wire only.
    private static readonly JsonSerializerOptions Lenient = new(PortalJson.Options)
    {
        UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Skip,
        RespectNullableAnnotations = false,
        RespectRequiredConstructorParameters = false,
    };
}
