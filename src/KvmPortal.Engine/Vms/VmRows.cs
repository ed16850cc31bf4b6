using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Vms;

/// <summary>Keeps a VM's row and its disk rows in step with its definition.</summary>
internal static class VmRows
{
    public static Vm New(VmId id, VmDefinition definition, string createdBy, DateTimeOffset now, HostFolders folders, IReadOnlyDictionary<string, Image> images, TimeProvider time)
    {
        var vm = new Vm { Id = id, Name = definition.Name, Definition = definition, CreatedBy = createdBy, CreatedAt = now, ChangedAt = now, Since = now, GenerationId = Guid.NewGuid() };
        Apply(vm, definition, now, folders, images, time);
        return vm;
    }

    /// <summary>Puts a definition into the row: columns, MAC addresses that stay, and rows for new disks. Returns the rows that are new.</summary>
    public static IReadOnlyList<Disk> Apply(Vm vm, VmDefinition definition, DateTimeOffset now, HostFolders folders, IReadOnlyDictionary<string, Image> images, TimeProvider time)
    {
        vm.Definition = definition with { Nics = [.. definition.Nics.Select(n => n.Mac is null ? n with { Mac = SpecResolver.MacFor(vm.Id, n.Name) } : n with { Mac = n.Mac.ToLowerInvariant() })] };
        vm.Name = definition.Name;
        vm.TagIndex = definition.Tags.Count == 0 ? "," : $",{string.Join(',', definition.Tags)},";
        vm.CpuCount = definition.Cpu.Count;
        vm.MemoryMiB = definition.Memory.SizeMiB;
        vm.Profile = definition.Profile;
        vm.ChangedAt = now;
        var added = new List<Disk>();
        foreach (var disk in definition.Disks.Where(d => !d.Cdrom && vm.Disks.All(x => x.Name != d.Name)))
        {
            var id = DiskId.New(time);
            var image = disk.Image is not null && images.TryGetValue(disk.Image, out var found) ? found : null;
            var format = disk.Format == DiskFormatChoice.Raw ? DiskFormat.Raw : DiskFormat.Qcow2;
            var row = new Disk
            {
                Id = id,
                VmId = vm.Id,
                Name = disk.Name,
                Format = format,
                Path = Path.Combine(folders.Disks, $"{id.Value:N}.{(format == DiskFormat.Raw ? "raw" : "qcow2")}"),
                SizeBytes = disk.SizeGiB is { } gib ? gib * (1L << 30) : image?.VirtualSizeBytes ?? 0,
                ImageId = image?.Id,
                Linked = image is not null && disk.Copy == DiskSourceMode.Linked,
            };
            vm.Disks.Add(row);
            added.Add(row);
        }

        return added;
    }

    public static VmView View(Vm vm, VmStatus status) => new()
    {
        Id = vm.Id,
        Definition = vm.Definition,
        Version = vm.Version,
        Status = status,
        MachineType = vm.MachineType,
        Confinement = vm.Confinement,
        CreatedAt = vm.CreatedAt,
        ChangedAt = vm.ChangedAt,
        PendingChanges = vm.RunningDefinition is { } running && status.State is not VmState.Stopped ? ChangePlanner.Pending(running, vm.Definition, PlugRoom.Of(vm, status)) : [],
        Disks = [.. vm.Disks.OrderBy(d => d.Name, StringComparer.Ordinal).Select(d => new DiskView(d.Id, d.Name, d.Path, d.Format, d.SizeBytes, d.ImageId, d.Linked, d.Ready))],
    };
}
