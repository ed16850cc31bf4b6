using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Vms;

/// <summary>A definition while it is edited: the value, what is wrong with it, and the images it may name. Shared by the create page and the hardware tab.</summary>
public sealed class DefinitionEditor(VmDefinition value)
{
    /// <summary>The value changed by the user.</summary>
    public event Action? Edited;

    public VmDefinition Value { get; private set; } = value;
    public ProblemInfo? Problem { get; set; }
    public IReadOnlyList<ImageView> Images { get; set; } = [];
    /// <summary>Names of the profiles that there are.</summary>
    public IReadOnlyList<ProfileView> Profiles { get; set; } = [.. Engine.Plans.Placement.Profiles.BuiltIn.Select(p => new ProfileView(p.Name, true, null, "", p, 0, 0, []))];

    /// <summary>The knobs of the profile that the definition names; those of an ordinary machine where there is none of that name.</summary>
    public Profile Profile => Profiles.FirstOrDefault(p => p.Name == Value.Profile)?.Knobs ?? Engine.Plans.Placement.Profiles.General;

    public void Change(Func<VmDefinition, VmDefinition> change)
    {
        Value = change(Value);
        Edited?.Invoke();
    }

    /// <summary>Replaces the value without telling the watchers.</summary>
    public void Load(VmDefinition value) => (Value, Problem) = (value, null);

    /// <summary>Problems that know what would fit.</summary>
    public IReadOnlyList<Problem> Fits => [.. Problem?.Errors.Where(e => e.Fit is not null) ?? []];

    /// <summary>Takes what would fit wherever that is known.</summary>
    public void UseFits()
    {
        var json = JsonSerializer.SerializeToNode(Value, PortalJson.Options)!;
        foreach (var problem in Fits)
            Put(json, problem.Pointer.Split('/')[1..], problem.Fit!.Value);
        (Value, Problem) = (json.Deserialize<VmDefinition>(PortalJson.Options)!, null);
        Edited?.Invoke();
    }

    /// <summary>Sets a member that the pointer names in an object or list that is there.</summary>
    private static void Put(JsonNode? at, string[] path, JsonElement value)
    {
        foreach (var part in path[..^1])
            at = at switch
            {
                JsonObject o => o[part],
                JsonArray list when int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var i) && i < list.Count => list[i],
                _ => null,
            };
        if (at is JsonObject owner)
            owner[path[^1]] = JsonSerializer.SerializeToNode(value);
    }

    public void ChangeDisk(int at, Func<DiskDefinition, DiskDefinition> change) => Change(d => d with { Disks = [.. d.Disks.Select((x, i) => i == at ? change(x) : x)] });

    public void ChangeNic(int at, Func<NicDefinition, NicDefinition> change) => Change(d => d with { Nics = [.. d.Nics.Select((x, i) => i == at ? change(x) : x)] });

    public void ChangeForward(int nic, int at, Func<ForwardDefinition, ForwardDefinition> change) =>
        ChangeNic(nic, n => n with { Forwards = [.. n.Forwards.Select((x, i) => i == at ? change(x) : x)] });

    public void AddDisk(bool cdrom) => Change(d => d with
    {
        Disks = [.. d.Disks, cdrom ? new DiskDefinition { Name = FreeName("cd"), Cdrom = true, Bus = DiskBusChoice.Sata, ReadOnly = true } : new DiskDefinition { Name = FreeName("disk"), SizeGiB = 10 }],
    });

    public void AddNic() => Change(d => d with { Nics = [.. d.Nics, new NicDefinition { Name = FreeName("net") }] });

    public void RemoveDisk(int at) => Change(d => d with { Disks = [.. d.Disks.Where((_, i) => i != at)], Boot = d.Boot with { Order = [.. d.Boot.Order.Where(n => n != d.Disks[at].Name)] } });

    public void RemoveNic(int at) => Change(d => d with { Nics = [.. d.Nics.Where((_, i) => i != at)], Boot = d.Boot with { Order = [.. d.Boot.Order.Where(n => n != d.Nics[at].Name)] } });

    /// <summary>Usable images of some kinds, with the one in use even when it is gone.</summary>
    public IReadOnlyList<string> ImageNames(string? current, params ImageKind[] kinds)
    {
        var names = Images.Where(i => i.State == ImageState.Ready && i.Kind is { } kind && kinds.Contains(kind)).Select(i => i.Name).ToList();
        if (current is { Length: > 0 } && !names.Contains(current))
            names.Insert(0, current);
        return names;
    }

    private string FreeName(string stem) => Enumerable.Range(0, 100).Select(n => $"{stem}{n}").First(n => Value.Disks.All(d => d.Name != n) && Value.Nics.All(c => c.Name != n));
}
