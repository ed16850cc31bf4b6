using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Vms;

/// <summary>Reads what planners need about a VM, in few queries.</summary>
internal sealed class VmReader(PortalStore store, VmTracker tracker, IMachineHost host, PlacementReader placements)
{
    /// <summary>Everything about a stored VM. Throws NotFound.</summary>
    public async Task<VmInputs> InputsAsync(VmId id, CancellationToken ct)
    {
        var vm = await store.ReadAsync(db => db.Vms.Include(v => v.Disks).FirstOrDefaultAsync(v => v.Id == id, ct), ct)
            ?? throw PortalException.NotFound("virtual machine", id.ToString());
        return await InputsAsync(vm, ct);
    }

    /// <summary>Everything about a VM that may not be stored yet (dry run).</summary>
    public async Task<VmInputs> InputsAsync(Vm vm, CancellationToken ct)
    {
        var diskImages = vm.Disks.Select(d => d.ImageId).OfType<ImageId>().Distinct().ToList();
        var byId = diskImages.Count == 0 ? [] : await store.ReadAsync(db => db.Images.Where(i => diskImages.Contains(i.Id)).ToDictionaryAsync(i => i.Id, ct), ct);
        var facts = await host.GetFactsAsync(ct);
        var profile = await placements.ProfileAsync(vm.Definition.Profile, ct);
        return new VmInputs
        {
            Vm = vm,
            Status = (await tracker.FindAsync(vm.Id, ct))?.Status ?? vm.Status,
            HasProcess = await tracker.HasProcessAsync(vm.Id, ct),
            Images = await ImagesAsync(DefinitionValidator.ImageReferences(vm.Definition), ct),
            DiskImages = byId,
            Facts = facts,
            CpuModels = facts.Kvm.Verdict == KvmVerdict.Works ? await ModelsAsync(ct) : [],
            Profile = profile,
            Placement = PlacementReader.Wants(profile) ? await placements.PlanAsync(vm.Id, vm.Definition, profile, facts, ct) : null,
        };
    }

    private async Task<IReadOnlyList<CpuModelFacts>> ModelsAsync(CancellationToken ct)
    {
        try
        {
            return await host.ReadCpuModelsAsync(Accelerator.Kvm, ct);
        }
        catch (HostException)
        {
            // Then machines get the host's own model; whoever asks for the models is told why there are none.
            return [];
        }
    }

    /// <summary>The rules that need nothing but the definition and what it names. Throws Invalid with every problem.</summary>
    public async Task<IReadOnlyDictionary<string, Image>> ValidAsync(VmDefinition definition, CancellationToken ct)
    {
        var images = await ImagesAsync(DefinitionValidator.ImageReferences(definition), ct);
        var problems = DefinitionValidator.Validate(definition, images).ToList();
        if (await placements.FindProfileAsync(definition.Profile, ct) is null)
            problems.Add(PlacementReader.UnknownProfile(definition.Profile));
        return problems.Count == 0 ? images : throw PortalException.Invalid(problems);
    }

    /// <summary>Images by the references (id or name) that a definition uses; unknown ones are missing.</summary>
    public async Task<IReadOnlyDictionary<string, Image>> ImagesAsync(IReadOnlyList<string> references, CancellationToken ct)
    {
        var found = new Dictionary<string, Image>();
        if (references.Count == 0)
            return found;
        var ids = references.Select(r => TypedId.TryParse<ImageId>(r, out var id) ? id : (ImageId?)null).OfType<ImageId>().ToList();
        var images = await store.ReadAsync(db => db.Images.Where(i => references.Contains(i.Name) || ids.Contains(i.Id)).ToListAsync(ct), ct);
        foreach (var reference in references)
            if (images.FirstOrDefault(i => i.Id.ToString() == reference || string.Equals(i.Name, reference, StringComparison.OrdinalIgnoreCase)) is { } image)
                found[reference] = image;
        return found;
    }
}
