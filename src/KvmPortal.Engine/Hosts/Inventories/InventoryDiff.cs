using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Inventories;

/// <summary>
/// What differs between two inventories, of what matters. Left out is what moves by itself: free and reserved pages, links that come and go, present link speeds, where
/// interrupts are, interfaces without hardware, loop devices, who uses a disk.
/// </summary>
public static class InventoryDiff
{
    /// <summary>A thing with what is compared of it, by field.</summary>
    private sealed record Thing(InventorySubject Subject, string Key, string Name, SortedDictionary<string, string> Fields);

    /// <summary>Differences, in the order of subjects and keys.</summary>
    public static IReadOnlyList<InventoryChange> Compare(HostInventory before, HostInventory now)
    {
        var (was, isNow) = (Things(before), Things(now));
        var changes = new List<InventoryChange>();
        foreach (var key in was.Keys.Union(isNow.Keys).Order())
            switch (was.GetValueOrDefault(key), isNow.GetValueOrDefault(key))
            {
                case (null, { } come):
                    changes.Add(new InventoryChange(come.Subject, come.Key, come.Name, InventoryChangeKind.Appeared, null, null, null));
                    break;
                case ({ } gone, null):
                    changes.Add(new InventoryChange(gone.Subject, gone.Key, gone.Name, InventoryChangeKind.Disappeared, null, null, null));
                    break;
                case ({ } old, { } same):
                    changes.AddRange(from field in old.Fields.Keys.Union(same.Fields.Keys).Order(StringComparer.Ordinal)
                                     let a = old.Fields.GetValueOrDefault(field)
                                     let b = same.Fields.GetValueOrDefault(field)
                                     where a != b
                                     select new InventoryChange(same.Subject, same.Key, same.Name, InventoryChangeKind.Changed, field, a, b));
                    break;
            }

        return changes;
    }

    /// <summary>SHA-256 of what is compared, in hex: two inventories of one digest have no differences.</summary>
    public static string Digest(HostInventory host)
    {
        var text = new StringBuilder();
        foreach (var thing in Things(host).Values)
            foreach (var (field, value) in thing.Fields)
                text.Append(CultureInfo.InvariantCulture, $"{thing.Subject}\u001f{thing.Key}\u001f{field}\u001f{value}\u001e");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    private static SortedDictionary<(InventorySubject, string), Thing> Things(HostInventory host)
    {
        var things = new SortedDictionary<(InventorySubject, string), Thing>();
        void Add(InventorySubject subject, string key, string name, params (string Field, string? Value)[] fields) => things.TryAdd((subject, key),
            new Thing(subject, key, name, new SortedDictionary<string, string>(fields.Where(f => f.Value is { Length: > 0 }).ToDictionary(f => f.Field, f => f.Value!), StringComparer.Ordinal)));

        var (cpu, kernel, security) = (host.Cpu, host.Kernel, host.Security);
        Add(InventorySubject.Processor, "", "", ("model", cpu.Model), ("microcode", cpu.Microcode), ("online", $"{cpu.Online}"), ("present", $"{cpu.Present}"), ("isolated", $"{cpu.Isolated}"), ("nohzFull", $"{cpu.NohzFull}"), ("smtControl", cpu.SmtControl));
        foreach (var node in host.NumaNodes)
            Add(InventorySubject.Node, $"{node.Id}", $"{node.Id}", ("cpus", $"{node.Cpus}"), ("memoryGiB", Gib(node.MemoryMiB)), ("distances", string.Join(' ', node.Distances.Select(d => $"{d.Key}:{d.Value}"))));
        Add(InventorySubject.Memory, "", "", ("totalGiB", Gib(host.Memory.TotalMiB)), ("ecc", PortalJson.Text(host.Memory.Ecc)));
        foreach (var d in host.PciDevices)
            Add(InventorySubject.PciDevice, d.Address, d.DeviceName ?? d.ClassName ?? $"{d.VendorId}:{d.DeviceId}", ("device", $"{d.VendorId}:{d.DeviceId} {d.Class}"), ("driver", d.Driver), ("node", $"{d.Node}"), ("iommuGroup", $"{d.IommuGroup}"),
                ("maxLink", d.Link is { } link ? $"{link.MaxSpeed?.ToString(CultureInfo.InvariantCulture)} GT/s x{link.MaxWidth}" : null), ("virtualFunctions", d.Sriov is { } vfs ? $"{vfs.Enabled}/{vfs.Total}" : null));
        foreach (var nic in host.Nics.Where(n => !n.Virtual))
            Add(InventorySubject.NetworkCard, nic.Name, nic.Pci ?? nic.Name, ("pci", nic.Pci), ("driver", nic.Driver));
        foreach (var disk in host.BlockDevices.Where(b => b.Kind is not (BlockKind.Loop or BlockKind.DeviceMapper or BlockKind.Zram)))
            Add(InventorySubject.Disk, disk.Name, disk.Model is { Length: > 0 } model ? $"{disk.Name} ({model})" : disk.Name, ("kind", PortalJson.Text(disk.Kind)), ("sizeBytes", $"{disk.SizeBytes}"), ("pci", disk.Pci), ("raid", disk.Raid));
        Add(InventorySubject.Iommu, "", "", ("enabled", Word(host.Iommu.Enabled)), ("interruptRemapping", Word(host.Iommu.InterruptRemapping)));
        Add(InventorySubject.Kvm, "", "", ("device", Word(host.Kvm.Device)), ("nested", Word(host.Kvm.Nested)), ("secondLevelPaging", Word(host.Kvm.SecondLevelPaging)));
        Add(InventorySubject.Kernel, "", "", ("version", kernel.Version), ("commandLine", kernel.CommandLine), ("clockSource", kernel.ClockSource), ("transparentHugePages", kernel.TransparentHugePages), ("ksm", $"{kernel.Ksm}"),
            ("numaBalancing", Word(kernel.NumaBalancing)), ("frequencyDriver", kernel.FrequencyDriver), ("idleDriver", kernel.IdleDriver), ("cgroupVersion", kernel.CgroupVersion), ("securityModules", string.Join(' ', kernel.SecurityModules)));
        Add(InventorySubject.Security, "", "", ("tpm", $"{security.TpmVersion}"), ("secureBoot", Word(security.SecureBoot)), ("lockdown", security.Lockdown), ("sgx", PortalJson.Text(security.Sgx)), ("sev", PortalJson.Text(security.Sev)), ("tdx", PortalJson.Text(security.Tdx)));
        foreach (var program in host.Software)
            Add(InventorySubject.Software, program.Name, program.Name, ("version", program.Version));
        foreach (var (name, text) in kernel.Vulnerabilities)
            Add(InventorySubject.Vulnerability, name, name, ("state", text));
        return things;
    }

    // What the kernel keeps of the memory for itself differs a little from boot to boot.
    private static string? Gib(long? mib) => mib is { } value ? $"{Math.Round(value / 1024.0, MidpointRounding.AwayFromZero).ToString(CultureInfo.InvariantCulture)}" : null;

    private static string? Word(bool? value) => value switch { true => "yes", false => "no", null => null };
}
