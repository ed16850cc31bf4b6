namespace KvmPortal.Host.Tests.Linux.Fixtures;

public sealed partial class FixtureHost
{
    /// <summary>A PCI function, below the bridge that was added before or at a root bus.</summary>
    public FixtureHost Pci(FixturePci device)
    {
        var domain = device.Address[..device.Address.LastIndexOf(':')];
        var folder = device.Under is { } above ? $"{pci[above]}/{device.Address}" : $"/sys/devices/pci{domain}/{device.Address}";
        pci[device.Address] = folder;
        Files.Link($"/sys/bus/pci/devices/{device.Address}", folder).Link($"{folder}/subsystem", "/sys/bus/pci");
        In(folder, ("class", $"0x{device.Class}"), ("vendor", $"0x{device.Id[..4]}"), ("device", $"0x{device.Id[5..]}"), ("subsystem_vendor", $"0x{device.Subsystem[..4]}"),
            ("subsystem_device", $"0x{device.Subsystem[5..]}"), ("numa_node", $"{device.Node}"), ("local_cpulist", ids.List(device.LocalCpus)), ("resource", Resource(device.Bars)));
        if (device.Driver is { } driver)
            Files.Link($"{folder}/driver", $"/sys/bus/pci/drivers/{driver}").Link($"/sys/bus/pci/drivers/{driver}/{device.Address}", folder);
        if (device.Group is { } group)
            Files.Link($"{folder}/iommu_group", $"/sys/kernel/iommu_groups/{group}").Link($"/sys/kernel/iommu_groups/{group}/devices/{device.Address}", folder).File($"/sys/kernel/iommu_groups/{group}/type", device.GroupType);
        if (device.Reset is { } reset)
            Files.File($"{folder}/reset_method", reset);
        if (device.Link is var (speed, width, maxSpeed, maxWidth))
            In(folder, ("current_link_speed", speed), ("current_link_width", $"{width}"), ("max_link_speed", maxSpeed), ("max_link_width", $"{maxWidth}"));
        if (device.TotalVfs is { } total)
            In(folder, ("sriov_totalvfs", $"{total}"), ("sriov_numvfs", $"{device.Functions.Length}"), ("sriov_drivers_autoprobe", "1"), ("sriov_offset", "2"), ("sriov_stride", "1"));
        for (var i = 0; i < device.Functions.Length; i++)
        {
            var function = $"{folder[..folder.LastIndexOf('/')]}/{device.Functions[i]}";
            Files.Link($"{folder}/virtfn{i}", function).Link($"{function}/physfn", folder);
        }

        if (device.BootVga)
            Files.File($"{folder}/boot_vga", "1");
        return this;
    }

    /// <summary>Thirteen lines of start, end and flags; sizes in MiB at 0 to 5, the rest is empty.</summary>
    private static string Resource((int Index, long MiB, bool Wide)[] bars)
    {
        var lines = Enumerable.Repeat("0x0000000000000000 0x0000000000000000 0x0000000000000000", 13).ToArray();
        var at = 0xc000000000L;
        foreach (var (index, mib, wide) in bars)
        {
            var size = mib << 20;
            at = (at + size - 1) / size * size;
            lines[index] = $"0x{at:x16} 0x{at + size - 1:x16} 0x{(wide ? 0x14220c : 0x40200):x16}";
            at += size;
        }

        return string.Join('\n', lines);
    }

    /// <summary>A network interface of a PCI function.</summary>
    public FixtureHost Nic(string name, string function, int queues, int? speed)
    {
        var folder = $"{pci[function]}/net/{name}";
        Files.Link($"/sys/class/net/{name}", folder).Link($"{folder}/device", pci[function]).Link($"{folder}/subsystem", "/sys/class/net");
        Interface(folder, queues, speed);
        return this;
    }

    /// <summary>An interface without hardware.</summary>
    public FixtureHost VirtualNic(string name, params (string Name, string Text)[] files)
    {
        var folder = $"/sys/devices/virtual/net/{name}";
        Files.Link($"/sys/class/net/{name}", folder);
        Interface(folder, 1, null);
        return In(folder, files);
    }

    private void Interface(string folder, int queues, int? speed)
    {
        In(folder, ("address", Secrets.Mac), ("operstate", speed is null ? "down" : "up"), ("carrier", speed is null ? "0" : "1"), ("mtu", "1500"), ("type", "1"), ("flags", "0x1003"), ("uevent", "INTERFACE=" + folder[(folder.LastIndexOf('/') + 1)..]));
        Files.File($"{folder}/speed", speed is { } mbps ? $"{mbps}" : "-1");
        for (var q = 0; q < queues; q++)
            Files.Folder($"{folder}/queues/rx-{q}").Folder($"{folder}/queues/tx-{q}");
    }

    /// <summary>An NVMe disk of a PCI function, with as many partitions.</summary>
    public FixtureHost Nvme(int number, string function, string model, long sectors, int partitions = 0, bool multipath = false)
    {
        var controller = $"{pci[function]}/nvme/nvme{number}";
        var subsystem = $"/sys/devices/virtual/nvme-subsystem/nvme-subsys{number}";
        var disk = multipath ? $"{subsystem}/nvme{number}n1" : $"{controller}/nvme{number}n1";
        Files.Link($"/sys/class/nvme/nvme{number}", controller).Link($"{controller}/device", pci[function]);
        In(controller, ("model", model.PadRight(40)), ("serial", Secrets.Serial), ("address", function), ("transport", "pcie"), ("state", "live"), ("cntlid", "1"));
        if (multipath)
        {
            Files.Link($"{subsystem}/nvme{number}", controller);
            Files.File($"{controller}/nvme{number}c0n1/size", $"{sectors}");
            Files.Link($"{disk}/device", subsystem);
            In(subsystem, ("model", model.PadRight(40)), ("serial", Secrets.Serial));
        }
        else
            Files.Link($"{disk}/device", controller);
        return Disk(disk, $"nvme{number}n1", sectors, rotational: false, "[none] mq-deadline", partitions, "p");
    }

    /// <summary>A disk whose folder is given.</summary>
    public FixtureHost Disk(string folder, string name, long sectors, bool rotational, string scheduler, int partitions = 0, string separator = "")
    {
        Files.Link($"/sys/block/{name}", folder).Link($"/sys/class/block/{name}", folder).Folder($"{folder}/holders").Folder($"{folder}/slaves");
        In(folder, ("size", $"{sectors}"), ("removable", "0"), ("ro", "0"), ("dev", "259:0"), ("queue/rotational", rotational ? "1" : "0"), ("queue/scheduler", scheduler), ("queue/nr_requests", "1023"), ("queue/logical_block_size", "512"));
        for (var p = 1; p <= partitions; p++)
        {
            var part = $"{name}{separator}{p}";
            Files.Link($"/sys/class/block/{part}", $"{folder}/{part}").Folder($"{folder}/{part}/holders");
            In($"{folder}/{part}", ("partition", $"{p}"), ("size", $"{sectors / (partitions + 1)}"), ("start", "2048"));
        }

        return this;
    }

    /// <summary>A virtio disk of a PCI function.</summary>
    public FixtureHost VirtioDisk(string name, string function, int virtio, long sectors)
    {
        var folder = $"{pci[function]}/virtio{virtio}/block/{name}";
        Files.Link($"{folder}/device", $"{pci[function]}/virtio{virtio}").Link($"{pci[function]}/virtio{virtio}/subsystem", "/sys/bus/virtio").File($"{folder}/serial", Secrets.Serial);
        return Disk(folder, name, sectors, rotational: true, "[none] mq-deadline");
    }

    /// <summary>A virtio network card of a PCI function.</summary>
    public FixtureHost VirtioNic(string name, string function, int virtio, int queues)
    {
        var device = $"{pci[function]}/virtio{virtio}";
        var folder = $"{device}/net/{name}";
        Files.Link($"/sys/class/net/{name}", folder).Link($"{folder}/device", device).Link($"{device}/driver", "/sys/bus/virtio/drivers/virtio_net").Link($"{device}/subsystem", "/sys/bus/virtio");
        Interface(folder, queues, null);
        Files.File($"{folder}/operstate", "up");
        return this;
    }

    /// <summary>IOMMU units by name.</summary>
    public FixtureHost Iommu(params string[] units)
    {
        foreach (var unit in units)
            Files.Link($"/sys/class/iommu/{unit}", $"/sys/devices/virtual/iommu/{unit}").Folder($"/sys/devices/virtual/iommu/{unit}/devices");
        return this;
    }

    /// <summary>SMBIOS strings that may be told, and those that must not be.</summary>
    public FixtureHost Dmi(string vendor, string product)
    {
        Files.Link("/sys/class/dmi/id", "/sys/devices/virtual/dmi/id");
        return In("/sys/devices/virtual/dmi/id", ("sys_vendor", vendor), ("product_name", product), ("product_serial", Secrets.Serial), ("product_uuid", Secrets.Uuid), ("board_serial", Secrets.Serial), ("chassis_serial", Secrets.Serial));
    }
}

/// <param name="Class">Six hex digits.</param>
/// <param name="Id">vendor:device in hex.</param>
public sealed record FixturePci(string Address, string Class, string Id)
{
    public string? Under { get; init; }
    public string Subsystem { get; init; } = "0000:0000";
    public int Node { get; init; } = -1;
    public string LocalCpus { get; init; } = "";
    public string? Driver { get; init; }
    public int? Group { get; init; }
    public string GroupType { get; init; } = "DMA-FQ";
    public string? Reset { get; init; }
    public (string Speed, int Width, string MaxSpeed, int MaxWidth)? Link { get; init; }
    public int? TotalVfs { get; init; }
    public string[] Functions { get; init; } = [];
    public (int Index, long MiB, bool Wide)[] Bars { get; init; } = [];
    public bool BootVga { get; init; }
}

/// <summary>What the files hold and no inventory or capture may tell.</summary>
public static class Secrets
{
    public const string Mac = "02:5e:c7:e7:00:01";
    public const string Serial = "S3CR3T-SERIAL-4711";
    public const string Uuid = "5ec7e700-0000-4000-8000-00000000beef";
    public const string HostName = "secret-host-name";
    public const string Address = "198.51.100.77";

    public static IReadOnlyList<string> All { get; } = [Mac, Serial, Uuid, HostName, Address];
}
