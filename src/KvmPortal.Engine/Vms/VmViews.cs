using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Vms;

/// <summary>A VM as its page and `GET /vms/{id}` show it.</summary>
public sealed record VmView
{
    public required VmId Id { get; init; }
    public required VmDefinition Definition { get; init; }
    /// <summary>The ETag.</summary>
    public required int Version { get; init; }
    public required VmStatus Status { get; init; }
    /// <summary>Changes that wait for the next boot.</summary>
    public IReadOnlyList<FieldEffect> PendingChanges { get; init; } = [];
    /// <summary>Versioned machine type recorded at the first start.</summary>
    public string? MachineType { get; init; }
    /// <summary>What confined it at its last start; null before that.</summary>
    public ConfinementReport? Confinement { get; init; }
    public IReadOnlyList<DiskView> Disks { get; init; } = [];
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset ChangedAt { get; init; }
}

public sealed record DiskView(DiskId Id, string Name, string Path, DiskFormat Format, long SizeBytes, ImageId? ImageId, bool Linked, bool Ready);

/// <summary>A VM as a list row.</summary>
public sealed record VmSummary
{
    public required VmId Id { get; init; }
    public required string Name { get; init; }
    public required IReadOnlyList<string> Tags { get; init; }
    public required string Profile { get; init; }
    public required int CpuCount { get; init; }
    public required int MemoryMiB { get; init; }
    public required VmStatus Status { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>A VM together with the job that carries the request out; null when nothing had to be done on a host.</summary>
public sealed record VmWithJob(VmView Vm, JobView? Job);

/// <summary>Options of an action.</summary>
/// <param name="Parallel">Machines that may be under way at once.</param>
/// <param name="StopOnError">After a failure no further machine is asked.</param>
public sealed record BulkOptions(int Parallel = 8, bool StopOnError = false);

/// <param name="DeadlineSeconds">Shutdown: seconds the guest may take (1..3600).</param>
/// <param name="Force">Shutdown: end the machine after the deadline.</param>
public sealed record VmActionOptions(int DeadlineSeconds = 60, bool Force = false);
