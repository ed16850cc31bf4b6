using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Scores;

/// <summary>How far it is from the guest's drivers to the host's devices.</summary>
internal static class DeviceRules
{
    public static IReadOnlyList<ScoreRule> All { get; } =
    [
        new("disk-path", ScoreArea.Devices, 5, Say.ScoreDiskTitle, Disks) { Gain = new(0, 9.4, Say.GainDisk) },
        new("network-path", ScoreArea.Devices, 4, Say.ScoreNetTitle, Network),
    ];

    private static Ruling Disks(ScoreInput input)
    {
        var disks = input.Spec?.Disks.Where(d => !d.Cdrom).ToList() ?? [];
        if (disks.Count == 0)
            return Ruling.InForce(Say.ScoreDiskNone);
        IReadOnlyList<Evidence> evidence = [ScoreRule.Argument(input, "\"aio\""), .. disks.Take(4).Select(d => ScoreRule.Argument(input, $"\"serial\":\"{d.Name}\""))];
        if (disks.Where(d => !d.IoThread || (input.Emulated && input.Spec!.Family == MachineFamily.Microvm)).Select(d => d.Name).ToList() is { Count: > 0 } shared)
        {
            var movable = disks.Where(d => shared.Contains(d.Name) && d.Bus == DiskBus.VirtioScsi).Select(d => d.Name).ToList();
            return new Ruling(ScoreState.Missing, 0.5, Say.ScoreDiskNoThread(string.Join(", ", shared)), evidence) { Change = movable.Count == 0 ? null : new ScoreChange(Say.ScoreDiskChange) { Patch = OnVirtio(input.Definition, movable) } };
        }

        return input.Facts.Qemu.IoUring ? Ruling.InForce(Say.ScoreDiskShort, evidence) : new Ruling(ScoreState.Impossible, 0.75, Say.ScoreDiskNoUring, evidence);
    }

    /// <summary>Arrays are replaced whole by a merge patch.</summary>
    private static JsonObject OnVirtio(VmDefinition definition, List<string> names) => new()
    {
        ["disks"] = JsonSerializer.SerializeToNode(definition.Disks.Select(d => names.Contains(d.Name) ? d with { Bus = DiskBusChoice.VirtioBlk } : d), PortalJson.Options),
    };

    private static Ruling Network(ScoreInput input)
    {
        if (input.Definition.Nics.Count == 0)
            return Ruling.InForce(Say.ScoreNetNone);
        return Ruling.Impossible(Say.ScoreNetUser, ScoreRule.Argument(input, "\"type\":\"user\""));
    }
}
