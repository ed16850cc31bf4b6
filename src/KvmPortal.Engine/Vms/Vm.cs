using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Vms;

/// <summary>The row of a VM: the definition that counts, what the running machine was started with, and the status last seen.</summary>
internal sealed class Vm
{
    public VmId Id { get; set; }
    /// <summary>Same as in the definition; a column for uniqueness (case-insensitive) and sorting.</summary>
    public required string Name { get; set; }
    public required VmDefinition Definition { get; set; }
    /// <summary>Grows with each change of the definition; the ETag, and the concurrency token.</summary>
    public int Version { get; set; } = 1;
    /// <summary>Tags joined as `,a,b,` for searching.</summary>
    public string TagIndex { get; set; } = ",";
    /// <summary>Copies of definition members, so that lists need not read definitions.</summary>
    public int CpuCount { get; set; }
    public int MemoryMiB { get; set; }
    public string Profile { get; set; } = "general";
    public DateTimeOffset CreatedAt { get; set; }
    public DateTimeOffset ChangedAt { get; set; }
    public required string CreatedBy { get; set; }

    /// <summary>The definition that the running (or suspended) machine was started with; null when stopped.</summary>
    public VmDefinition? RunningDefinition { get; set; }
    /// <summary>The room that its QEMU was started with; null where nobody wrote it down.</summary>
    public StartedRoom? StartedWith { get; set; }
    /// <summary>Versioned machine type, recorded at the first start: a QEMU upgrade does not change the guest's hardware.</summary>
    public string? MachineType { get; set; }
    /// <summary>Machine choice that <see cref="MachineType"/> belongs to: changing q35 to microvm forgets it.</summary>
    public MachineChoice? MachineTypeOf { get; set; }
    /// <summary>CPU model of the last start: what `auto` chose stays, so that neither a QEMU upgrade nor another host changes the guest's CPU.</summary>
    public string? CpuModel { get; set; }
    public Guid GenerationId { get; set; }
    /// <summary>Saved state of a suspended VM.</summary>
    public string? SuspendPath { get; set; }

    /// <summary>The user and group id on the host that only this machine's processes have.</summary>
    public int? Uid { get; set; }
    /// <summary>What confined the machine at its last start.</summary>
    public ConfinementReport? Confinement { get; set; }

    public VmState State { get; set; } = VmState.Stopped;
    public DateTimeOffset Since { get; set; }
    public Sentence? Reason { get; set; }
    public Accelerator? Accelerator { get; set; }
    public int? Pid { get; set; }
    public long Generation { get; set; }

    public List<Disk> Disks { get; set; } = [];

    public VmStatus Status => new(State, Since, Reason, Accelerator, Pid, Generation);
}

/// <summary>What a run was started with room for; more needs a new start.</summary>
/// <param name="MemoryMiB">At the start; cannot be unplugged.</param>
/// <param name="MaxMemoryMiB">Null: memory stays as it is.</param>
public sealed record StartedRoom(int MaxVcpus, int MemoryMiB, int? MaxMemoryMiB)
{
    /// <summary>Null where a former version recorded less.</summary>
    public StartedShape? Shape { get; init; }
}

/// <summary>The row of a disk file that a VM owns.</summary>
internal sealed class Disk
{
    public DiskId Id { get; set; }
    public VmId VmId { get; set; }
    /// <summary>Name in the definition.</summary>
    public required string Name { get; set; }
    public required string Path { get; set; }
    public DiskFormat Format { get; set; }
    public long SizeBytes { get; set; }
    /// <summary>The image it is an overlay of (linked) or was copied from.</summary>
    public ImageId? ImageId { get; set; }
    public bool Linked { get; set; }
    /// <summary>False until the job that makes it has succeeded.</summary>
    public bool Ready { get; set; }
}
