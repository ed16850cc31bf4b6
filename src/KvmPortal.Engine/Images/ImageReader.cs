using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Images;

/// <summary>Reads images and who needs them.</summary>
internal sealed class ImageReader(PortalStore store)
{
    public async Task<Image> GetAsync(ImageId id, CancellationToken ct) =>
        await store.ReadAsync(db => db.Images.FirstOrDefaultAsync(i => i.Id == id, ct), ct) ?? throw PortalException.NotFound("image", id.ToString());

    public async Task<Image> ResolveAsync(string idOrName, CancellationToken ct)
    {
        var byId = TypedId.TryParse<ImageId>(idOrName, out var id);
        return await store.ReadAsync(db => db.Images.FirstOrDefaultAsync(i => (byId && i.Id == id) || i.Name == idOrName, ct), ct)
            ?? throw PortalException.NotFound("image", idOrName.Length > 64 ? idOrName[..64] : idOrName);
    }

    /// <summary>Names of the VMs that need an image: overlays on it, CD-ROM media, kernels.</summary>
    public async Task<IReadOnlyList<string>> UsersAsync(ImageId id, CancellationToken ct) => (await UsersOfAllAsync(ct)).TryGetValue(id, out var users) ? users : [];

    public Task<Dictionary<ImageId, IReadOnlyList<string>>> UsersOfAllAsync(CancellationToken ct) => store.ReadAsync(async db =>
    {
        var images = await db.Images.Select(i => new { i.Id, i.Name }).ToListAsync(ct);
        var users = images.ToDictionary(i => i.Id, _ => new SortedSet<string>(StringComparer.OrdinalIgnoreCase));
        var linked = await db.Disks.Where(d => d.Linked && d.ImageId != null).Join(db.Vms, d => d.VmId, v => v.Id, (d, v) => new { d.ImageId, v.Name }).ToListAsync(ct);
        foreach (var use in linked)
            if (users.TryGetValue(use.ImageId!.Value, out var names))
                names.Add(use.Name);
        // Media and kernels are named in definitions only; few VMs have them, so those definitions are read and the others are not.
        var named = await db.Vms.Where(v => ((string)(object)v.Definition).Contains("\"image\":\"") || ((string)(object)v.Definition).Contains("\"direct\":{")).Select(v => new { v.Name, v.Definition }).ToListAsync(ct);
        foreach (var vm in named)
            foreach (var reference in References(vm.Definition))
                if (images.FirstOrDefault(i => i.Id.ToString() == reference || string.Equals(i.Name, reference, StringComparison.OrdinalIgnoreCase)) is { } image)
                    users[image.Id].Add(vm.Name);
        return users.ToDictionary(u => u.Key, u => (IReadOnlyList<string>)[.. u.Value]);
    }, ct);

    private static IEnumerable<string> References(VmDefinition definition) =>
        definition.Disks.Where(d => d.Cdrom).Select(d => d.Image).Append(definition.Boot.Direct?.Kernel).Append(definition.Boot.Direct?.Initrd).OfType<string>();
}
