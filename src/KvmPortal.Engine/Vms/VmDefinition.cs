using System.Text.Json;
using System.Text.Json.Serialization;

namespace KvmPortal.Engine.Vms;

/// <summary>
/// What the user asked for: stored as this JSON, sent over the wire as this JSON, versioned. Defaults are part of the record, so that a stored
/// definition reads the same after an upgrade. Shape: the REST contract's "A VM".
/// </summary>
public record VmDefinition
{
    /// <summary>[A-Za-z0-9][A-Za-z0-9._-]{0,62}, unique.</summary>
    public required string Name { get; init; }
    public string Description { get; init; } = "";
    public IReadOnlyList<string> Tags { get; init; } = [];
    /// <summary>`general`, `low-latency`, `hpc`, `ai-ml`, or the name of an operator's own.</summary>
    public string Profile { get; init; } = "general";
    public AcceleratorChoice Accelerator { get; init; } = AcceleratorChoice.Auto;
    public MachineChoice Machine { get; init; } = MachineChoice.Q35;
    /// <summary>What the guest is, where that changes what it is given: Windows gets Hyper-V's interfaces and a clock in local time.</summary>
    public GuestSystem GuestSystem { get; init; } = GuestSystem.Any;
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
    public RestartDefinition Restart { get; init; } = new();
    public LimitsDefinition Limits { get; init; } = new();
    /// <summary>What the owner of a machine of the bare-metal class knows better than its profile.</summary>
    public PlacementDefinition Placement { get; init; } = new();
}

/// <summary>Overrides of a profile; each is explained where it costs something.</summary>
public sealed record PlacementDefinition
{
    public Plans.Placement.ProfileOverrides Knobs { get; init; } = new();
    /// <summary>NUMA nodes that the guest sees, 1 to 8; null: as few as the profile can do with.</summary>
    public int? VirtualNodes { get; init; }
    /// <summary>Only these nodes of the host; empty: the planner chooses.</summary>
    public IReadOnlyList<int> OnNodes { get; init; } = [];
    /// <summary>I/O threads, 0 to 32; null: by profile.</summary>
    public int? IoThreads { get; init; }
    public Plans.Placement.PlacementLeeway Allow { get; init; } = new();
    /// <summary>While a thread of this machine runs on a core, nothing of anybody else runs on the core's other threads (core scheduling): no leaks between tenants, at the price of idle threads.</summary>
    public bool CoreScheduling { get; init; }
    /// <summary>A thread that somebody moves is put back; it is told in any case.</summary>
    public bool Repair { get; init; } = true;
}

/// <summary>`auto` takes KVM only where a guest was proven to run on it.</summary>
public enum AcceleratorChoice { Auto, Kvm, Tcg }

public enum MachineChoice { Q35, Microvm }

public enum GuestSystem { Any, Linux, Windows }

public enum FirmwareChoice { Bios, Uefi }

public sealed record FirmwareDefinition
{
    public FirmwareChoice Type { get; init; } = FirmwareChoice.Bios;
    public bool SecureBoot { get; init; }
    public bool Tpm { get; init; }
}

public sealed record BootDefinition
{
    /// <summary>Names of disks and NICs, first tried first. Empty: disks in their order.</summary>
    public IReadOnlyList<string> Order { get; init; } = [];
    public DirectBootDefinition? Direct { get; init; }
}

/// <param name="Kernel">Image id or name.</param>
/// <param name="Initrd">Image id or name.</param>
public sealed record DirectBootDefinition(string Kernel, string? Initrd = null, string CommandLine = "");

public sealed record CpuDefinition
{
    public int Count { get; init; } = 1;
    /// <summary>vCPUs that can be plugged in all; null: same as <see cref="Count"/>.</summary>
    public int? Max { get; init; }
    /// <summary>`auto`, `host`, `max` or a model that QEMU knows.</summary>
    public string Model { get; init; } = "auto";
    /// <summary>Guest-visible threads per core: `auto` or 1..8.</summary>
    [JsonConverter(typeof(AutoOrIntJson))]
    public AutoOrInt Threads { get; init; }
}

/// <summary>`auto` (null) or a number.</summary>
public readonly record struct AutoOrInt(int? Value);

/// <summary>Reads `"auto"` or a JSON number.</summary>
public sealed class AutoOrIntJson : JsonConverter<AutoOrInt>
{
    public override AutoOrInt Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
    {
        JsonTokenType.Number when reader.TryGetInt32(out var n) => new(n),
        JsonTokenType.String when reader.ValueTextEquals("auto") => new(null),
        _ => throw new JsonException("Give \"auto\" or a whole number."),
    };

    public override void Write(Utf8JsonWriter writer, AutoOrInt value, JsonSerializerOptions options)
    {
        if (value.Value is { } n)
            writer.WriteNumberValue(n);
        else
            writer.WriteStringValue("auto");
    }
}

public enum PagesChoice { Auto, Small, Huge2M, Huge1G }

public sealed record MemoryDefinition
{
    public int SizeMiB { get; init; } = 1024;
    /// <summary>Up to how much it may grow while the machine runs; null: not at all. Both are multiples of 4 then.</summary>
    public int? MaxMiB { get; init; }
    /// <summary>How much of its memory the guest is to keep now, by its balloon; null: all.</summary>
    public int? BalloonMiB { get; init; }
    /// <summary>Automatic ballooning leaves the guest at least so much; null: half of <see cref="SizeMiB"/>.</summary>
    public int? MinMiB { get; init; }
    /// <summary>When the host is short of memory the portal may take some of this machine by its balloon, and gives it back afterwards.</summary>
    public bool AutoBalloon { get; init; } = true;
    public PagesChoice Pages { get; init; } = PagesChoice.Auto;
    public bool Balloon { get; init; } = true;
}

public enum DiskBusChoice { VirtioBlk, VirtioScsi, Sata }

public enum DiskSourceMode { Linked, Full }

public enum DiskFormatChoice { Qcow2, Raw }

public sealed record DiskDefinition
{
    /// <summary>[a-z][a-z0-9]{0,15}, unique among the VM's disks and NICs.</summary>
    public required string Name { get; init; }
    public DiskBusChoice Bus { get; init; } = DiskBusChoice.VirtioBlk;
    /// <summary>Size; may be left out when made from an image (then the image's size).</summary>
    public int? SizeGiB { get; init; }
    /// <summary>Image id or name: the disk's content at first, or the medium of a CD-ROM.</summary>
    public string? Image { get; init; }
    /// <summary>With an image: a linked overlay (fast) or a full copy (independent).</summary>
    public DiskSourceMode Copy { get; init; } = DiskSourceMode.Linked;
    public DiskFormatChoice Format { get; init; } = DiskFormatChoice.Qcow2;
    public string Pool { get; init; } = "default";
    public bool Cdrom { get; init; }
    public bool ReadOnly { get; init; }
    public DiskLimitsDefinition Limits { get; init; } = new();
}

/// <summary>0 is unlimited.</summary>
public sealed record DiskLimitsDefinition
{
    public long Iops { get; init; }
    public long BytesPerSecond { get; init; }
}

public sealed record NicDefinition
{
    public required string Name { get; init; }
    /// <summary>`user`: NAT by QEMU itself; bridges come with the network issue.</summary>
    public string Network { get; init; } = "user";
    /// <summary>Null: the portal chooses one and keeps it.</summary>
    public string? Mac { get; init; }
    public IReadOnlyList<ForwardDefinition> Forwards { get; init; } = [];
}

public enum ForwardProtocolChoice { Tcp, Udp }

public sealed record ForwardDefinition
{
    public ForwardProtocolChoice Protocol { get; init; } = ForwardProtocolChoice.Tcp;
    public string HostAddress { get; init; } = "127.0.0.1";
    public required int HostPort { get; init; }
    public required int GuestPort { get; init; }
}

public enum GraphicsChoice { None, Vnc }

public sealed record ConsolesDefinition
{
    public GraphicsChoice Graphics { get; init; } = GraphicsChoice.Vnc;
    public bool Serial { get; init; } = true;
}

/// <summary>Kept with the definition; the seed disk is made once the storage issue brings it.</summary>
public sealed record CloudInitDefinition
{
    public string? Hostname { get; init; }
    public IReadOnlyList<string> SshKeys { get; init; } = [];
    public string? UserData { get; init; }
}

public sealed record AutostartDefinition
{
    public bool Enabled { get; init; }
    public int Order { get; init; }
    public int DelaySeconds { get; init; }
}

public enum RestartPolicy { Never, OnCrash, Always }

/// <summary>What happens when a machine ends that nobody stopped.</summary>
public sealed record RestartDefinition
{
    /// <summary>`always` also starts it again after the guest powered itself off.</summary>
    public RestartPolicy Policy { get; init; } = RestartPolicy.Never;
    /// <summary>After so many restarts within the window it stays as it is.</summary>
    public int MaxRestarts { get; init; } = 3;
    public int WindowSeconds { get; init; } = 600;
}

/// <summary>What the machine's processes may take of the host, by its control groups. 0 and null are unlimited.</summary>
public sealed record LimitsDefinition
{
    /// <summary>1 to 10000; 100 is an ordinary share.</summary>
    public int CpuWeight { get; init; } = 100;
    /// <summary>Percent of one CPU.</summary>
    public int? CpuPercent { get; init; }
    /// <summary>Null: the guest's memory and what QEMU needs beside it.</summary>
    public int? MemoryMaxMiB { get; init; }
    /// <summary>1 to 10000; 100 is an ordinary share.</summary>
    public int IoWeight { get; init; } = 100;
    public int IoReadMiBps { get; init; }
    public int IoWriteMiBps { get; init; }
    public int IoReadIops { get; init; }
    public int IoWriteIops { get; init; }
    /// <summary>Threads and processes.</summary>
    public int TasksMax { get; init; } = 1024;
}
