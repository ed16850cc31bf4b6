using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Qemu.Devices;

/// <summary>Spare PCI Express root ports (`hotplug0` …): devices can only be plugged into ports that were there at the start.</summary>
internal static class RootPorts
{
    public const int Count = 8;

    public static void Add(BuildContext c)
    {
        if (c.Microvm)
            return;
        for (var i = 0; i < Count; i++)
        {
            var port = new JsonObject { ["driver"] = "pcie-root-port", ["id"] = $"hotplug{i}", ["bus"] = "pcie.0", ["chassis"] = i + 1, ["slot"] = i + 1, ["addr"] = $"0x1d.0x{i}" };
            if (i == 0)
                port["multifunction"] = true;
            c.Arguments.Json("-device", port);
        }
    }
}

/// <summary>
/// Disks: an explicit node for every file and every layer, each with its format, under a throttle filter whose group can be changed live.
/// Nothing is ever probed, and no backing name inside an image is believed.
/// </summary>
internal static class DiskArguments
{
    public static void Add(BuildContext c)
    {
        if (c.Spec.Disks.Any(d => d.Bus == DiskBus.VirtioScsi))
            c.Arguments.Json("-device", new JsonObject { ["driver"] = c.Virtio("scsi"), ["id"] = "scsi0" });
        var sata = 0;
        foreach (var disk in c.Spec.Disks)
        {
            if (disk.Path is { } path)
                Nodes(c, disk, path);
            Device(c, disk, disk.Bus == DiskBus.Sata ? sata++ : 0);
        }
    }

    private static void Nodes(BuildContext c, DiskSpec disk, string path)
    {
        var layers = new[] { new BackingFile(path, disk.Format) }.Concat(disk.Backing).ToList();
        for (var layer = layers.Count - 1; layer >= 0; layer--)
            Layer(c, disk, layers, layer);
        // CD-ROM media are changed as a whole and have no limits; the format node is what the drive uses.
        if (disk.Cdrom)
            return;
        var limits = new JsonObject { ["iops-total"] = disk.Limits.Iops, ["bps-total"] = disk.Limits.BytesPerSecond };
        c.Arguments.Json("-object", new JsonObject { ["qom-type"] = "throttle-group", ["id"] = DiskNames.ThrottleGroup(disk.Name), ["limits"] = limits });
        c.Arguments.Json("-blockdev", new JsonObject
        {
            ["driver"] = "throttle",
            ["node-name"] = DiskNames.Top(disk.Name),
            ["read-only"] = disk.ReadOnly,
            ["throttle-group"] = DiskNames.ThrottleGroup(disk.Name),
            ["file"] = DiskNames.FormatNode(disk.Name, 0),
        });
    }

    private static void Layer(BuildContext c, DiskSpec disk, List<BackingFile> layers, int layer)
    {
        var readOnly = layer > 0 || disk.ReadOnly || disk.Cdrom;
        var direct = !disk.Cdrom;
        JsonObject Cache() => new() { ["direct"] = direct, ["no-flush"] = false };
        c.Arguments.Json("-blockdev", new JsonObject
        {
            ["driver"] = "file",
            ["node-name"] = DiskNames.FileNode(disk.Name, layer),
            ["filename"] = layers[layer].Path,
            // Linux AIO waits where the page cache is used, so it is only for what goes past it.
            ["aio"] = c.Capabilities.IoUring ? "io_uring" : c.Capabilities.NativeAio && direct ? "native" : "threads",
            ["discard"] = "unmap",
            ["read-only"] = readOnly,
            ["cache"] = Cache(),
        });
        var format = new JsonObject
        {
            ["driver"] = layers[layer].Format == DiskFormat.Qcow2 ? "qcow2" : "raw",
            ["node-name"] = DiskNames.FormatNode(disk.Name, layer),
            ["read-only"] = readOnly,
            ["discard"] = "unmap",
            ["cache"] = Cache(),
            ["file"] = DiskNames.FileNode(disk.Name, layer),
        };
        if (!readOnly)
            format["detect-zeroes"] = "unmap";
        if (layers[layer].Format == DiskFormat.Qcow2)
            format["backing"] = layer + 1 < layers.Count ? DiskNames.FormatNode(disk.Name, layer + 1) : null;
        c.Arguments.Json("-blockdev", format);
    }

    private static void Device(BuildContext c, DiskSpec disk, int sataPort)
    {
        if (disk is { Bus: DiskBus.VirtioBlk, Cdrom: true })
            throw new HostException(HostError.NotAllowed, $"The CD-ROM drive {disk.Name} cannot be on the bus virtio-blk.");
        if (disk is { Bus: DiskBus.Sata, Cdrom: false, ReadOnly: true })
            throw new HostException(HostError.NotAllowed, $"The disk {disk.Name} cannot be read-only on the bus SATA, which has no such disks.");
        var device = new JsonObject { ["id"] = DiskNames.Device(disk.Name) };
        switch (disk.Bus)
        {
            case DiskBus.VirtioBlk:
                device["driver"] = c.Virtio("blk");
                // virtio-mmio signals an iothread through KVM alone: without it QEMU refuses ("ioeventfd is required for iothread").
                if (disk.IoThread && !(c.Microvm && c.Spec.Accelerator == Accelerator.Tcg))
                {
                    var threads = c.Capabilities.QueueMapping && disk.IoThreads > 1 ? Enumerable.Range(0, disk.IoThreads).Select(i => DiskNames.IoThread(disk.Name, i)).ToList() : [DiskNames.IoThread(disk.Name)];
                    foreach (var thread in threads)
                        c.Arguments.Json("-object", new JsonObject { ["qom-type"] = "iothread", ["id"] = thread });
                    // Its queues, as many as vCPUs, are dealt out to them in turn.
                    if (threads.Count > 1)
                        device["iothread-vq-mapping"] = new JsonArray([.. threads.Select(t => (JsonNode)new JsonObject { ["iothread"] = t })]);
                    else
                        device["iothread"] = threads[0];
                }

                break;
            case DiskBus.VirtioScsi:
                device["driver"] = disk.Cdrom ? "scsi-cd" : "scsi-hd";
                device["bus"] = "scsi0.0";
                break;
            case DiskBus.Sata:
                device["driver"] = disk.Cdrom ? "ide-cd" : "ide-hd";
                device["bus"] = $"ide.{sataPort}";
                break;
        }

        if (disk.Path is not null)
            device["drive"] = disk.Cdrom ? DiskNames.FormatNode(disk.Name, 0) : DiskNames.Top(disk.Name);
        if (disk.BootIndex is { } boot && !c.Microvm)
            device["bootindex"] = boot;
        if (!disk.Cdrom)
        {
            device["serial"] = disk.Name;
            device["write-cache"] = "on";
            // A full or failing host pauses the guest instead of corrupting it.
            device["werror"] = "stop";
            device["rerror"] = "stop";
        }

        c.Arguments.Json("-device", device);
    }
}

/// <summary>Network cards. User mode: NAT inside QEMU, no host device, ports forwarded from the host.</summary>
internal static class NicArguments
{
    public static void Add(BuildContext c)
    {
        foreach (var nic in c.Spec.Nics)
        {
            var back = new JsonObject { ["type"] = "user", ["id"] = nic.Name };
            if (nic.Forwards.Count > 0)
                back["hostfwd"] = new JsonArray([.. nic.Forwards.Select(f => (JsonNode)new JsonObject
                {
                    ["str"] = string.Create(CultureInfo.InvariantCulture, $"{(f.Protocol == ForwardProtocol.Tcp ? "tcp" : "udp")}:{Address(f.HostAddress)}:{f.HostPort}-:{f.GuestPort}"),
                })]);
            c.Arguments.Json("-netdev", back);
            var device = new JsonObject { ["driver"] = c.Virtio("net"), ["id"] = $"{nic.Name}-dev", ["netdev"] = nic.Name, ["mac"] = nic.Mac };
            if (!c.Microvm)
            {
                // The PXE ROM costs 20 MB of memory; it is loaded only where somebody boots from this card.
                if (nic.BootIndex is { } boot)
                    device["bootindex"] = boot;
                else
                    device["romfile"] = "";
            }

            c.Arguments.Json("-device", device);
        }
    }

    /// <summary>The rule is text with colons in it, so only a real IPv4 address goes in (QEMU's user network forwards no other).</summary>
    private static string Address(string text) => IPAddress.TryParse(text, out var address) && address.AddressFamily == AddressFamily.InterNetwork
        ? address.ToString()
        : throw new HostException(HostError.NotAllowed, "A port can only be forwarded from an IPv4 address of the host.");
}
