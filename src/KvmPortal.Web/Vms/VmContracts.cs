using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Vms;

/// <summary>The members of a definition, as they stand in what is sent and what is answered.</summary>
public abstract record VmMembers
{
    /// <summary>[A-Za-z0-9][A-Za-z0-9._-]{0,62}, unique.</summary>
    public required string Name { get; init; }
    public string Description { get; init; } = "";
    public IReadOnlyList<string> Tags { get; init; } = [];
    public VmProfile Profile { get; init; } = VmProfile.General;
    /// <summary>auto takes KVM only where a guest was proven to run on it.</summary>
    public AcceleratorChoice Accelerator { get; init; } = AcceleratorChoice.Auto;
    public MachineChoice Machine { get; init; } = MachineChoice.Q35;
    public FirmwareDefinition Firmware { get; init; } = new();
    public BootDefinition Boot { get; init; } = new();
    public CpuDefinition Cpu { get; init; } = new();
    public MemoryDefinition Memory { get; init; } = new();
    public IReadOnlyList<DiskDefinition> Disks { get; init; } = [];
    public IReadOnlyList<NicDefinition> Nics { get; init; } = [];
    /// <summary>Passed-through devices; none can be given yet.</summary>
    public IReadOnlyList<JsonElement> Devices { get; init; } = [];
    public ConsolesDefinition Consoles { get; init; } = new();
    public CloudInitDefinition? CloudInit { get; init; }
    public AutostartDefinition Autostart { get; init; } = new();

    internal VmDefinition ToDefinition() => new()
    {
        Name = Name, Description = Description, Tags = Tags, Profile = Profile, Accelerator = Accelerator, Machine = Machine, Firmware = Firmware, Boot = Boot, Cpu = Cpu, Memory = Memory,
        Disks = Disks, Nics = Nics, Devices = Devices, Consoles = Consoles, CloudInit = CloudInit, Autostart = Autostart,
    };
}

/// <summary>A VM to be made.</summary>
public sealed record NewVm : VmMembers
{
    /// <summary>Start it as soon as its disks are made.</summary>
    public bool Start { get; init; }
}

/// <summary>A VM: its definition and what is true of it.</summary>
public sealed record VmAnswer : VmMembers
{
    public required VmId Id { get; init; }
    public required VmStatus Status { get; init; }
    /// <summary>Changes that wait for the next boot.</summary>
    public required IReadOnlyList<EffectAnswer> PendingChanges { get; init; }
    /// <summary>Send it as If-Match with a change; the same as the header ETag.</summary>
    public required string Etag { get; init; }
    /// <summary>Versioned machine type, kept since the first start.</summary>
    public string? MachineType { get; init; }
    /// <summary>The files behind the disks.</summary>
    public required IReadOnlyList<DiskView> DiskFiles { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset ChangedAt { get; init; }
    /// <summary>The job that carries this request out; null when nothing had to be done on a host.</summary>
    public JobAnswer? Job { get; init; }

    internal static VmAnswer Of(VmView v, JobAnswer? job = null)
    {
        var d = v.Definition;
        return new VmAnswer
        {
            Name = d.Name, Description = d.Description, Tags = d.Tags, Profile = d.Profile, Accelerator = d.Accelerator, Machine = d.Machine, Firmware = d.Firmware, Boot = d.Boot, Cpu = d.Cpu,
            Memory = d.Memory, Disks = d.Disks, Nics = d.Nics, Devices = d.Devices, Consoles = d.Consoles, CloudInit = d.CloudInit, Autostart = d.Autostart,
            Id = v.Id, Status = v.Status, PendingChanges = [.. v.PendingChanges.Select(EffectAnswer.Of)], Etag = ApiRoutes.ETag(v.Version), MachineType = v.MachineType, DiskFiles = v.Disks,
            CreatedAt = v.CreatedAt, ChangedAt = v.ChangedAt, Job = job,
        };
    }
}

/// <summary>Options of an action.</summary>
public sealed record ActionRequest
{
    /// <summary>Shutdown: seconds the guest may take, 1 to 3600.</summary>
    public int DeadlineSeconds { get; init; } = 60;
    /// <summary>Shutdown: end the machine when the guest has not obeyed in time.</summary>
    public bool Force { get; init; }
}

/// <param name="Items">Changes that wait for the next boot.</param>
public sealed record PendingAnswer(IReadOnlyList<EffectAnswer> Items);

/// <param name="Argv">One argument per element, program first.</param>
public sealed record ArgvAnswer(IReadOnlyList<string> Argv);
