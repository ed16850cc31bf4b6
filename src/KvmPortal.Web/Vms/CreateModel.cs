using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Vms;

/// <summary>What the new machine boots.</summary>
public enum BootSource { Image, Iso, Kernel, Blank }

/// <summary>A size that is offered by name.</summary>
/// <param name="Key">Of the resource `create.size.KEY`.</param>
public sealed record SizePreset(string Key, int Cpus, int MemoryMiB, int DiskGiB)
{
    public static IReadOnlyList<SizePreset> All { get; } = [new("small", 1, 1024, 10), new("medium", 2, 4096, 20), new("large", 4, 8192, 40), new("huge", 8, 32768, 80)];
}

/// <summary>The machine that is being made up. Lives as long as the circuit: leaving the page and coming back loses nothing.</summary>
public sealed class CreateModel(VmOperations vms, ImageOperations images, ProfileOperations profiles)
{
    private int checks;

    public DefinitionEditor Editor { get; private set; } = new(Fresh());
    public BootSource Source { get; private set; } = BootSource.Image;
    public Plan? Plan { get; private set; }
    /// <summary>Nothing is called wrong before the user has touched the form.</summary>
    public bool Touched { get; private set; }

    /// <summary>Reads what can be booted.</summary>
    public async Task LoadAsync(Caller caller, CancellationToken ct)
    {
        Editor.Images = (await images.ListAsync(caller, new ListQuery(500), ct)).Items;
        Editor.Profiles = await profiles.ListAsync(caller, ct);
        if (!Touched)
            Boot(First(ImageKind.Qcow2, ImageKind.Raw) is not null ? BootSource.Image : First(ImageKind.Iso) is not null ? BootSource.Iso : First(ImageKind.Kernel) is not null ? BootSource.Kernel : BootSource.Blank);
        Touched = Touched && Editor.Value.Name.Length > 0;
    }

    /// <summary>Changes what is booted and gives the definition the disks that this needs.</summary>
    public void Boot(BootSource source)
    {
        Source = source;
        var size = Editor.Value.Disks.FirstOrDefault(d => !d.Cdrom)?.SizeGiB ?? SizePreset.All[0].DiskGiB;
        var disk = new DiskDefinition { Name = "disk0", SizeGiB = size };
        var kernel = First(ImageKind.Kernel);
        Editor.Change(d => d with
        {
            Disks = source switch
            {
                BootSource.Image => [disk with { Image = First(ImageKind.Qcow2, ImageKind.Raw) ?? "" }],
                BootSource.Iso => [disk, new DiskDefinition { Name = "cd0", Cdrom = true, ReadOnly = true, Bus = DiskBusChoice.Sata, Image = First(ImageKind.Iso) ?? "" }],
                BootSource.Kernel => [],
                BootSource.Blank => [disk],
            },
            Boot = source switch
            {
                BootSource.Image => new BootDefinition { Order = ["disk0"] },
                BootSource.Iso => new BootDefinition { Order = ["disk0", "cd0"] },
                BootSource.Kernel => new BootDefinition { Direct = new DirectBootDefinition(kernel ?? "", First(ImageKind.Initrd), "console=ttyS0") },
                BootSource.Blank => new BootDefinition(),
            },
        });
    }

    public void Size(SizePreset size) => Editor.Change(d => d with
    {
        Cpu = d.Cpu with { Count = size.Cpus },
        Memory = d.Memory with { SizeMiB = size.MemoryMiB },
        Disks = [.. d.Disks.Select(x => x is { Cdrom: false, Name: "disk0" } ? x with { SizeGiB = size.DiskGiB } : x)],
    });

    public SizePreset? ShownSize => SizePreset.All.FirstOrDefault(s => s.Cpus == Editor.Value.Cpu.Count && s.MemoryMiB == Editor.Value.Memory.SizeMiB);

    /// <summary>Asks the engine what it would do; an answer that is older than the form is dropped. True when the answer was taken.</summary>
    public async Task<bool> CheckAsync(Caller caller, CancellationToken ct)
    {
        var mine = ++checks;
        Touched = true;
        try
        {
            var plan = await vms.PlanCreateAsync(caller, Editor.Value, false, ct);
            if (mine != checks)
                return false;
            (Plan, Editor.Problem) = (plan, null);
        }
        catch (PortalException e)
        {
            if (mine != checks)
                return false;
            (Plan, Editor.Problem) = (null, Failures.From(e));
            if (e.Code == ErrorCode.NameTaken)
                Editor.Problem = Editor.Problem with { Errors = [new Problem("/name", "taken", e.Message)] };
        }

        return true;
    }

    public Task<Plan> PlanAsync(Caller caller, bool start, CancellationToken ct) => vms.PlanCreateAsync(caller, Editor.Value, start, ct);

    public async Task<VmWithJob> CreateAsync(Caller caller, bool start, CancellationToken ct)
    {
        var made = await vms.CreateAsync(caller, Editor.Value, start, ct);
        Reset();
        return made;
    }

    private const int MostDraft = 16 * 1024;

    private sealed record DraftText(BootSource Source, VmDefinition Definition);

    /// <summary>What a reload must not lose, for the browser to keep; null when it is too large for that.</summary>
    public string? Draft() => JsonSerializer.Serialize(new DraftText(Source, Editor.Value), PortalJson.Options) is { Length: <= MostDraft } text ? text : null;

    /// <summary>Takes up a draft; false when it cannot be read, e.g. because an older version wrote it.</summary>
    public bool Restore(string draft)
    {
        try
        {
            if (draft.Length > MostDraft || JsonSerializer.Deserialize<DraftText>(draft, PortalJson.Options) is not { Definition: { } definition } kept)
                return false;
            Source = kept.Source;
            Editor.Load(definition);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    public void Reset() => (Editor, Plan, Touched, Source) = (new DefinitionEditor(Fresh()), null, false, BootSource.Image);

    private string? First(params ImageKind[] kinds) => Editor.ImageNames(null, kinds) is [var first, ..] ? first : null;

    private static VmDefinition Fresh() => new() { Name = "", Nics = [new NicDefinition { Name = "net0" }] };
}
