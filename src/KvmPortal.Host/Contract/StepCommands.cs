using System.Text.Encodings.Web;
using System.Text.Json;
using KvmPortal.Host.Qemu;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Contract;

/// <summary>What a run was started with, as far as commands to it depend on it.</summary>
/// <param name="MemoryMiB">At the start.</param>
/// <param name="CpuModel">As on its command line.</param>
public sealed record StartedShape(int MemoryMiB, int CoresPerSocket, int ThreadsPerCore, string CpuModel);

/// <summary>The QMP commands that a step on a running machine comes down to, for people to read beforehand; steps look first, and send only what is still needed. Pure.</summary>
public static class StepCommands
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.KebabCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>One JSON text for each command, in order; empty for steps that are none of QMP, or whose run is not known.</summary>
    /// <param name="plugged">What has been added to the memory of the start when the step runs, MiB.</param>
    public static IReadOnlyList<string> Of(HostStep step, StartedShape? started, int plugged = 0) => step switch
    {
        SetDiskLimits set => [Line("qom-set", new { Path = $"/objects/{DiskNames.ThrottleGroup(set.Disk)}", Property = "limits", Value = new Dictionary<string, long> { ["iops-total"] = set.Limits.Iops, ["bps-total"] = set.Limits.BytesPerSecond } })],
        ChangeMedium { Path: null } eject => [Line("eject", new { Id = DiskNames.Device(eject.Disk), Force = true })],
        ChangeMedium change => [Line("add-fd", new { Opaque = "medium" }), Line("blockdev-change-medium", new { Id = DiskNames.Device(change.Disk), Filename = "/dev/fdset/…", Format = "raw", ReadOnlyMode = "read-only", Force = true })],
        SetMemory set when started is not null => [Line("qom-set", new { Path = $"/machine/peripheral/{QmpPlugging.MemoryDevice}", Property = "requested-size", Value = (long)(set.SizeMiB - started.MemoryMiB) << 20 })],
        SetBalloon set when started is not null => [Line("balloon", new { Value = (long)Math.Clamp(set.TargetMiB - plugged, 1, started.MemoryMiB) << 20 })],
        SetVcpus set when started is not null => [.. Vcpus(set, started)],
        _ => [],
    };

    private static IEnumerable<string> Vcpus(SetVcpus set, StartedShape started)
    {
        for (var i = set.Before; i < set.Count; i++)
        {
            var core = i / started.ThreadsPerCore;
            yield return Line("device_add", new Dictionary<string, object>
            {
                ["driver"] = $"{started.CpuModel}-x86_64-cpu",
                ["id"] = $"vcpu{i}",
                ["socket-id"] = core / started.CoresPerSocket,
                ["core-id"] = core % started.CoresPerSocket,
                ["thread-id"] = i % started.ThreadsPerCore,
            });
        }

        for (var i = set.Before - 1; i >= set.Count; i--)
            yield return Line("device_del", new { Id = $"vcpu{i}" });
    }

    private static string Line(string command, object arguments) => JsonSerializer.Serialize(new { Execute = command, Arguments = arguments }, Json);
}
