using System.Text.Json;
using System.Text.Json.Serialization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>Written beside the sockets at launch, so that a restarted portal knows what it finds: which process, since when, with which spec.</summary>
internal sealed record RunRecord(int Pid, long StartTicks, string BootId, DateTimeOffset StartedAt, MachineSpec Spec)
{
    /// <summary>True until the start is complete: should the portal die before, what it started is found and ended.</summary>
    public bool Launching { get; init; }
    public ConfinementReport? Confinement { get; init; }
    /// <summary>How the coming end is meant, written before it is asked for: after a crash of the portal a stop must not look like a crash of QEMU.</summary>
    public MachineEnd? Expected { get; init; }
    /// <summary>The software TPM's process; null for a machine without one.</summary>
    public int? TpmPid { get; init; }
    public long TpmStartTicks { get; init; }
    /// <summary>Where its threads were put, and are to stay; null: anywhere.</summary>
    public MachinePlacement? Placement { get; init; }
    /// <summary>CPUs that a machine without a placement was kept to, because others belong to others alone; null: it was not.</summary>
    public CpuSet? Pool { get; init; }

    private static readonly JsonSerializerOptions Json = new() { Converters = { new JsonStringEnumConverter() }, RespectNullableAnnotations = true };

    public void Write(string path)
    {
        var temporary = path + ".new";
        File.WriteAllText(temporary, JsonSerializer.Serialize(this, Json));
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>
    /// For a machine that runs although its record is gone or broken (a disk error, somebody's hand): known by the path of its pid file on its command line, which no other process
    /// has. What its sockets and arguments do not tell is left out: it can be watched, used and ended, but its disks are not measured until its next start.
    /// </summary>
    public static RunRecord Rebuild(Guid id, MachinePaths paths, QemuProcess process, string bootId, DateTimeOffset now)
    {
        var kvm = Linux.HostPaths.Read($"/proc/{process.Pid}/cmdline")?.Split('\0').Any(a => a == "kvm" || a.StartsWith("kvm,", StringComparison.Ordinal)) == true;
        return new RunRecord(process.Pid, process.StartTicks, bootId, now, new MachineSpec
        {
            Id = id,
            Name = $"{id:N}",
            Accelerator = kvm ? Accelerator.Kvm : Accelerator.Tcg,
            Family = MachineFamily.Q35,
            MachineType = "q35",
            Cpu = new CpuSpec(1, 1, "max", 1),
            Memory = new MemorySpec(1, 4),
            Firmware = new FirmwareSpec(FirmwareType.Bios, false),
            Serial = File.Exists(paths.SerialSocket),
            Vnc = File.Exists(paths.VncSocket),
            GuestAgent = File.Exists(paths.GuestAgentSocket),
            Balloon = false,
        });
    }

    /// <summary>Null when there is none of this machine or it cannot be read.</summary>
    public static RunRecord? Read(Guid id, string path)
    {
        try
        {
            return JsonSerializer.Deserialize<RunRecord>(File.ReadAllText(path), Json) is { BootId: not null, Spec: { } spec } run && spec.Id == id ? run : null;
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
