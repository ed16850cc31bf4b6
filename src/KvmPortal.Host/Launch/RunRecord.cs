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

    private static readonly JsonSerializerOptions Json = new() { Converters = { new JsonStringEnumConverter() } };

    public void Write(string path)
    {
        var temporary = path + ".new";
        File.WriteAllText(temporary, JsonSerializer.Serialize(this, Json));
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Null when there is none or it cannot be read.</summary>
    public static RunRecord? Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<RunRecord>(File.ReadAllText(path), Json);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
