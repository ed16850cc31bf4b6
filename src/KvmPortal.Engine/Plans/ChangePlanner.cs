using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>
/// Plans a changed definition: each field is live, hot-plug, next boot or refused, and the steps are just what can happen now. Pure.
/// </summary>
internal static class ChangePlanner
{
    /// <param name="inputs">With the new definition in <see cref="VmInputs.Vm"/>.</param>
    /// <param name="before">The definition that it replaces.</param>
    /// <param name="running">What the running machine was started with; null when none runs.</param>
    public static Plan Plan(VmInputs inputs, VmDefinition before, VmDefinition? running)
    {
        var after = inputs.Definition;
        var room = running is null ? null : PlugRoom.Of(inputs.Vm, inputs.Status);
        var effects = Effects(before, after, running is not null, room);
        var steps = new List<PlanStep>();
        steps.AddRange(DiskPlanner.MakeMissing(inputs));
        var gone = inputs.Vm.Disks.Where(d => after.Disks.All(x => x.Name != d.Name || x.Cdrom)).ToList();
        if (running is null)
            steps.AddRange(DiskPlanner.Delete(gone));
        if (running is not null)
        {
            var merged = WithLive(running, after);
            var live = LiveSteps(inputs, running, after).Concat(PlugPlanner.Steps(inputs.Vm.Id, running, after, room, ref merged)).ToList();
            steps.AddRange(live);
            if (live.Count > 0)
                steps.Add(PlanStep.Portal(new RecordLive(inputs.Vm.Id, merged), Say.RecordLive));
        }

        Sentence[] warnings = running is null && gone.Count > 0 ? [DiskPlanner.DataLost(gone)] : [];
        return new Plan { Steps = steps, Effects = effects, Warnings = warnings };
    }

    /// <summary>The effect of every field that differs.</summary>
    public static IReadOnlyList<FieldEffect> Effects(VmDefinition before, VmDefinition after, bool running, PlugRoom? room = null)
    {
        var effects = new List<FieldEffect>();
        Diff(JsonSerializer.SerializeToElement(before, PortalJson.Options), JsonSerializer.SerializeToElement(after, PortalJson.Options), "", effects, running);
        return running ? [.. effects.Select(e => PlugPlanner.Judge(e, after, room))] : effects;
    }

    /// <summary>Changes that a running machine does not have yet.</summary>
    public static IReadOnlyList<FieldEffect> Pending(VmDefinition running, VmDefinition wanted, PlugRoom? room = null) =>
        [.. Effects(running, wanted, running: true, room).Where(e => e.Effect is Effect.NextBoot or Effect.HotPlug)];

    /// <summary>The running definition with what changes live taken from the new one.</summary>
    public static VmDefinition WithLive(VmDefinition running, VmDefinition wanted) => running with
    {
        Name = wanted.Name,
        Description = wanted.Description,
        Tags = wanted.Tags,
        Autostart = wanted.Autostart,
        Restart = wanted.Restart,
        CloudInit = wanted.CloudInit,
        Memory = running.Memory with { MinMiB = wanted.Memory.MinMiB, AutoBalloon = wanted.Memory.AutoBalloon },
        Disks = [.. running.Disks.Select(d => wanted.Disks.FirstOrDefault(w => w.Name == d.Name && w.Cdrom == d.Cdrom) is { } w
            ? d with { Limits = w.Limits, Image = d.Cdrom ? w.Image : d.Image } : d)],
    };

    private static void Diff(JsonElement? a, JsonElement? b, string pointer, List<FieldEffect> effects, bool running)
    {
        if (a is { } x && b is { } y && x.ValueKind == y.ValueKind)
        {
            if (x.ValueKind == JsonValueKind.Object)
            {
                foreach (var name in x.EnumerateObject().Select(p => p.Name).Union(y.EnumerateObject().Select(p => p.Name)))
                    Diff(Member(x, name), Member(y, name), $"{pointer}/{name}", effects, running);
                return;
            }

            if (pointer is "/disks" or "/nics")
            {
                DiffNamed(x, y, pointer, effects, running);
                return;
            }

            if (JsonElement.DeepEquals(x, y))
                return;
        }

        if (a is null && b is null)
            return;
        var (effect, reason) = Judge(pointer, running);
        effects.Add(new FieldEffect(pointer, effect, reason, a?.GetRawText(), b?.GetRawText()));
    }

    /// <summary>Devices are matched by name, not by position: moving one in the list is not a change of hardware.</summary>
    private static void DiffNamed(JsonElement x, JsonElement y, string pointer, List<FieldEffect> effects, bool running)
    {
        var old = x.EnumerateArray().ToDictionary(e => e.GetProperty("name").GetString()!);
        var index = 0;
        foreach (var now in y.EnumerateArray())
        {
            var at = $"{pointer}/{index++}";
            var name = now.GetProperty("name").GetString()!;
            if (!old.Remove(name, out var was))
                effects.Add(new FieldEffect(at, running ? Effect.NextBoot : Effect.Live, running ? Say.PluggedAtNextBoot(name) : Say.ThereAtNextStart(name), null, now.GetRawText()));
            else
                DiffDevice(was, now, at, pointer == "/disks", effects, running);
        }

        foreach (var (name, was) in old)
        {
            var disk = pointer == "/disks" && !was.GetProperty("cdrom").GetBoolean();
            effects.Add(new FieldEffect($"{pointer}/{name}", disk && running ? Effect.Refused : running ? Effect.NextBoot : Effect.Live,
                disk && running ? Say.DiskInUse(name) : disk ? Say.DiskGoes(name) : Say.DeviceGoes(name), was.GetRawText(), null));
        }
    }

    private static void DiffDevice(JsonElement was, JsonElement now, string at, bool isDisk, List<FieldEffect> effects, bool running)
    {
        foreach (var member in was.EnumerateObject().Select(p => p.Name).Union(now.EnumerateObject().Select(p => p.Name)))
        {
            var (a, b) = (Member(was, member), Member(now, member));
            if (a is { } x && b is { } y && JsonElement.DeepEquals(x, y))
                continue;
            var cdrom = isDisk && now.GetProperty("cdrom").GetBoolean();
            var (effect, reason) = (isDisk, member) switch
            {
                (true, "limits") => (Effect.Live, Say.LimitsAtOnce),
                (true, "image") when cdrom => (Effect.Live, Say.MediumAtOnce),
                (true, "cdrom" or "image" or "copy" or "format" or "pool") => (Effect.Refused, Say.DiskSourceFixed),
                (true, "sizeGiB") => (Effect.Refused, Say.DiskSizeFixed),
                _ => Judge(at, running),
            };
            effects.Add(new FieldEffect($"{at}/{member}", effect, reason, a?.GetRawText(), b?.GetRawText()));
        }
    }

    private static (Effect Effect, Sentence Reason) Judge(string pointer, bool running) => pointer.Split('/')[1] switch
    {
        "name" or "description" or "tags" or "autostart" or "restart" or "cloudInit" => (Effect.Live, Say.PortalOnly),
        _ when !running => (Effect.Live, Say.NextStart),
        "cpu" => (Effect.NextBoot, Say.CpusSinceStart),
        "memory" => (Effect.NextBoot, Say.MemorySinceStart),
        "machine" or "firmware" => (Effect.NextBoot, Say.HardwareFixed),
        _ => (Effect.NextBoot, Say.QemuAtStartOnly),
    };

    private static IEnumerable<PlanStep> LiveSteps(VmInputs inputs, VmDefinition running, VmDefinition after)
    {
        var id = inputs.Vm.Id.Value;
        foreach (var disk in after.Disks)
        {
            if (running.Disks.FirstOrDefault(d => d.Name == disk.Name && d.Cdrom == disk.Cdrom) is not { } was)
                continue;
            if (disk.Cdrom && disk.Image != was.Image)
                yield return PlanStep.Host(new ChangeMedium
                {
                    MachineId = id,
                    Disk = disk.Name,
                    Path = disk.Image is null ? null : inputs.Images[disk.Image].Path,
                    BeforePath = was.Image is not null && inputs.Images.TryGetValue(was.Image, out var old) ? old.Path : null,
                }, disk.Image is null ? Say.Eject(disk.Name) : Say.Insert(disk.Image, disk.Name));
            if (!disk.Cdrom && disk.Limits != was.Limits)
                yield return PlanStep.Host(new SetDiskLimits
                {
                    MachineId = id,
                    Disk = disk.Name,
                    Limits = new DiskLimitsSpec(disk.Limits.Iops, disk.Limits.BytesPerSecond),
                    Before = new DiskLimitsSpec(was.Limits.Iops, was.Limits.BytesPerSecond),
                }, Say.SetLimits(disk.Name));
        }
    }

    private static JsonElement? Member(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? value : null;
}
