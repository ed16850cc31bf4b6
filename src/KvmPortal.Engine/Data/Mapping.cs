using KvmPortal.Engine.Access;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace KvmPortal.Engine.Data;

internal sealed class VmMapping : IEntityTypeConfiguration<Vm>, IEntityTypeConfiguration<Disk>
{
    public void Configure(EntityTypeBuilder<Vm> entity)
    {
        entity.ToTable("Vms").HasKey(v => v.Id);
        entity.Property(v => v.Name).UseCollation("NOCASE");
        entity.HasIndex(v => v.Name).IsUnique();
        entity.Property(v => v.Definition).HasConversion(JsonColumn.Converter<VmDefinition>());
        entity.Property(v => v.StartedWith).HasConversion(JsonColumn.Converter<StartedRoom>()!);
        entity.Property(v => v.RunningDefinition).HasConversion(JsonColumn.Converter<VmDefinition>()!);
        entity.Property(v => v.Confinement).HasConversion(JsonColumn.Converter<ConfinementReport>()!);
        entity.Property(v => v.Version).IsConcurrencyToken();
        entity.HasMany(v => v.Disks).WithOne().HasForeignKey(d => d.VmId).OnDelete(DeleteBehavior.Restrict);
        entity.Ignore(v => v.Status);
    }

    public void Configure(EntityTypeBuilder<Disk> entity)
    {
        entity.ToTable("Disks").HasKey(d => d.Id);
        entity.HasIndex(d => new { d.VmId, d.Name }).IsUnique();
        entity.HasIndex(d => d.ImageId);
    }
}

internal sealed class HostMapping : IEntityTypeConfiguration<MachineUid>, IEntityTypeConfiguration<PortalFact>
{
    public void Configure(EntityTypeBuilder<MachineUid> entity)
    {
        entity.ToTable("MachineUids").HasKey(u => u.Uid);
        entity.Property(u => u.Uid).ValueGeneratedNever();
        entity.HasIndex(u => u.VmId).IsUnique();
    }

    public void Configure(EntityTypeBuilder<PortalFact> entity) => entity.ToTable("PortalFacts").HasKey(f => f.Key);
}

internal sealed class PreparationMapping : IEntityTypeConfiguration<HostPreparation>
{
    public void Configure(EntityTypeBuilder<HostPreparation> entity)
    {
        entity.ToTable("HostPreparations").HasKey(p => p.Id);
        entity.HasIndex(p => new { p.HostId, p.State });
        entity.Property(p => p.Setting).HasConversion(JsonColumn.Converter<HostSetting>());
        entity.Property(p => p.Values).HasConversion(JsonColumn.Converter<List<SettingValue>>());
    }
}

internal sealed class ImageMapping : IEntityTypeConfiguration<Image>
{
    public void Configure(EntityTypeBuilder<Image> entity)
    {
        entity.ToTable("Images").HasKey(i => i.Id);
        entity.Property(i => i.Name).UseCollation("NOCASE");
        entity.HasIndex(i => i.Name).IsUnique();
    }
}

internal sealed class JobMapping : IEntityTypeConfiguration<Job>, IEntityTypeConfiguration<JobLogLine>
{
    public void Configure(EntityTypeBuilder<Job> entity)
    {
        entity.ToTable("Jobs").HasKey(j => j.Id);
        entity.HasIndex(j => new { j.SerialKey, j.Seq }).IsUnique();
        // The hard guard under the runner: two jobs of one key can never run at once.
        entity.HasIndex(j => j.SerialKey).IsUnique().HasFilter("\"State\" = 'Running'").HasDatabaseName("IX_Jobs_OneRunningPerKey");
        entity.HasIndex(j => new { j.State, j.CreatedAt });
        entity.HasIndex(j => new { j.TargetId, j.CreatedAt });
        entity.HasIndex(j => j.ParentId);
        entity.Property(j => j.Intent).HasConversion(JsonColumn.Converter<JobIntent>());
        entity.Property(j => j.Plan).HasConversion(JsonColumn.Converter<Plan>());
        entity.Property(j => j.Warnings).HasConversion(JsonColumn.Converter<List<Sentence>>());
        entity.Property(j => j.Error).HasConversion(JsonColumn.Converter<ProblemInfo>()!);
    }

    public void Configure(EntityTypeBuilder<JobLogLine> entity)
    {
        entity.ToTable("JobLog").HasKey(l => new { l.JobId, l.Number });
        entity.HasOne<Job>().WithMany().HasForeignKey(l => l.JobId).OnDelete(DeleteBehavior.Cascade);
    }
}

internal sealed class AccessMapping : IEntityTypeConfiguration<AccessToken>, IEntityTypeConfiguration<IdempotencyKey>
{
    public void Configure(EntityTypeBuilder<AccessToken> entity)
    {
        entity.ToTable("AccessTokens").HasKey(t => t.Id);
        entity.HasIndex(t => t.Hash).IsUnique();
        entity.HasIndex(t => t.UserId);
    }

    public void Configure(EntityTypeBuilder<IdempotencyKey> entity)
    {
        entity.ToTable("IdempotencyKeys").HasKey(k => new { k.UserId, k.Key });
        entity.HasIndex(k => k.CreatedAt);
    }
}
