using System.Net;
using System.Text.RegularExpressions;
using KvmPortal.Engine.Images;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Vms;

/// <summary>
/// The rules of a definition, all checked, all reported: each problem with its JSON pointer and what would be right. Pure: images that the definition
/// names are looked up before and given.
/// </summary>
internal sealed partial class DefinitionValidator(VmDefinition vm, IReadOnlyDictionary<string, Image> images)
{
    private readonly List<Problem> problems = [];

    /// <summary>Every problem of <paramref name="vm"/>; empty when it is valid.</summary>
    /// <param name="vm">What the user asked.</param>
    /// <param name="images">By the reference that the definition uses (id or name).</param>
    public static IReadOnlyList<Problem> Validate(VmDefinition vm, IReadOnlyDictionary<string, Image> images) => new DefinitionValidator(vm, images).Run();

    /// <summary>Every image reference in a definition.</summary>
    public static IReadOnlyList<string> ImageReferences(VmDefinition vm) =>
    [
        .. vm.Disks.Select(d => d?.Image).Append(vm.Boot.Direct?.Kernel).Append(vm.Boot.Direct?.Initrd).OfType<string>().Distinct(),
    ];

    private List<Problem> Run()
    {
        if (!NamePattern().IsMatch(vm.Name))
            Add("/name", "invalid-name", "A name has 1 to 63 letters, digits, dots, underscores and hyphens, and starts with a letter or digit.");
        Text("/description", vm.Description, 4096);
        Tags();
        Cpu();
        Range("/memory/sizeMiB", vm.Memory.SizeMiB, 16, 16 * 1024 * 1024, "MiB");
        var names = new HashSet<string>(StringComparer.Ordinal);
        Disks(names);
        Nics(names);
        Boot(names);
        Firmware();
        Microvm();
        if (vm.Devices.Count > 0)
            Add("/devices", "not-supported", "Devices cannot be passed through yet: leave the list empty.");
        CloudInit();
        Range("/autostart/order", vm.Autostart.Order, 0, 100_000, null);
        Range("/autostart/delaySeconds", vm.Autostart.DelaySeconds, 0, 3600, "seconds");
        return problems;
    }

    private void Tags()
    {
        if (vm.Tags.Count > 32)
            Add("/tags", "too-many", "At most 32 tags.");
        for (var i = 0; i < Math.Min(vm.Tags.Count, 33); i++)
            if (vm.Tags[i] is null || !TagPattern().IsMatch(vm.Tags[i]))
                Add($"/tags/{i}", "invalid-tag", "A tag has 1 to 32 lower-case letters, digits, dots, underscores, colons and hyphens.");
            else if (vm.Tags.Take(i).Contains(vm.Tags[i]))
                Add($"/tags/{i}", "duplicate", $"The tag \"{vm.Tags[i]}\" is there twice.");
    }

    private void Cpu()
    {
        Range("/cpu/count", vm.Cpu.Count, 1, 288, "vCPUs");
        if (vm.Cpu.Max is { } max)
        {
            Range("/cpu/max", max, 1, 288, "vCPUs");
            if (max < vm.Cpu.Count)
                Add("/cpu/max", "out-of-range", $"The maximum must be at least the count ({vm.Cpu.Count}).");
        }

        if (!ModelPattern().IsMatch(vm.Cpu.Model))
            Add("/cpu/model", "invalid-model", "A CPU model is auto, host, max or a name such as Skylake-Server-v4.");
        if (vm.Cpu.Threads.Value is { } threads)
        {
            Range("/cpu/threads", threads, 1, 8, "threads per core");
            if (threads >= 1 && (vm.Cpu.Max ?? vm.Cpu.Count) % threads != 0)
                Add("/cpu/threads", "not-a-divisor", $"The vCPU maximum ({vm.Cpu.Max ?? vm.Cpu.Count}) must be a multiple of the threads per core ({threads}).");
        }
    }

    private void Disks(HashSet<string> names)
    {
        if (vm.Disks.Count > 24)
            Add("/disks", "too-many", "At most 24 disks.");
        for (var i = 0; i < Math.Min(vm.Disks.Count, 25); i++)
        {
            var at = $"/disks/{i}";
            if (vm.Disks[i] is not { } disk)
            {
                Add(at, "required", "A disk cannot be null.");
                continue;
            }

            DeviceName($"{at}/name", disk.Name, names);
            if (disk.Pool != "default")
                Add($"{at}/pool", "unknown-pool", "There is only the pool \"default\" yet.");
            Range($"{at}/limits/iops", disk.Limits.Iops, 0, 100_000_000, "operations per second (0: unlimited)");
            Range($"{at}/limits/bytesPerSecond", disk.Limits.BytesPerSecond, 0, 1L << 42, "bytes per second (0: unlimited)");
            if (disk.Cdrom)
                Cdrom(at, disk);
            else
                HardDisk(at, disk);
        }
    }

    private void Cdrom(string at, DiskDefinition disk)
    {
        if (disk.Bus == DiskBusChoice.VirtioBlk)
            Add($"{at}/bus", "wrong-bus", "A CD-ROM drive goes on the bus sata or virtio-scsi.");
        if (disk.SizeGiB is not null)
            Add($"{at}/sizeGiB", "not-allowed", "A CD-ROM drive has no size of its own: leave it out.");
        Image($"{at}/image", disk.Image, "a CD-ROM medium", ImageKind.Iso, ImageKind.Raw);
    }

    private void HardDisk(string at, DiskDefinition disk)
    {
        if (disk.Bus == DiskBusChoice.Sata)
            Add($"{at}/bus", "wrong-bus", "The bus sata is for CD-ROM drives: use virtio-blk or virtio-scsi.");
        if (disk.SizeGiB is { } size)
            Range($"{at}/sizeGiB", size, 1, 65_536, "GiB");
        else if (disk.Image is null)
            Add($"{at}/sizeGiB", "required", "A blank disk needs a size.");
        var image = Image($"{at}/image", disk.Image, "a disk", ImageKind.Qcow2, ImageKind.Raw);
        if (image is not null && disk.SizeGiB is { } asked && asked * (1L << 30) < image.VirtualSizeBytes)
            Add($"{at}/sizeGiB", "out-of-range", $"The image \"{image.Name}\" needs at least {(image.VirtualSizeBytes + (1L << 30) - 1) >> 30} GiB.");
        if (disk is { Image: not null, Copy: DiskSourceMode.Linked, Format: DiskFormatChoice.Raw })
            Add($"{at}/format", "wrong-format", "A linked disk is qcow2: use format qcow2, or copy full.");
    }

    private void Nics(HashSet<string> names)
    {
        if (vm.Nics.Count > 8)
            Add("/nics", "too-many", "At most 8 network cards.");
        var ports = new HashSet<(ForwardProtocolChoice, int)>();
        var macs = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < Math.Min(vm.Nics.Count, 9); i++)
        {
            var at = $"/nics/{i}";
            if (vm.Nics[i] is not { } nic)
            {
                Add(at, "required", "A network card cannot be null.");
                continue;
            }

            DeviceName($"{at}/name", nic.Name, names);
            if (nic.Network != "user")
                Add($"{at}/network", "unknown-network", "There is only the network \"user\" yet.");
            if (nic.Mac is { } mac && !MacPattern().IsMatch(mac))
                Add($"{at}/mac", "invalid-mac", "A MAC address is six hex pairs with colons; the first pair must be even (a unicast address), e.g. 52:54:00:12:34:56.");
            else if (nic.Mac is not null && !macs.Add(nic.Mac))
                Add($"{at}/mac", "duplicate", "Two cards have the same MAC address.");
            Forwards(at, nic, ports);
        }
    }

    private void Forwards(string at, NicDefinition nic, HashSet<(ForwardProtocolChoice, int)> ports)
    {
        if (nic.Forwards.Count > 64)
            Add($"{at}/forwards", "too-many", "At most 64 port forwards.");
        for (var f = 0; f < Math.Min(nic.Forwards.Count, 65); f++)
        {
            if (nic.Forwards[f] is not { } forward)
            {
                Add($"{at}/forwards/{f}", "required", "A port forward cannot be null.");
                continue;
            }

            Range($"{at}/forwards/{f}/hostPort", forward.HostPort, 1, 65535, null);
            Range($"{at}/forwards/{f}/guestPort", forward.GuestPort, 1, 65535, null);
            if (!Ipv4Pattern().IsMatch(forward.HostAddress) || !IPAddress.TryParse(forward.HostAddress, out _))
                Add($"{at}/forwards/{f}/hostAddress", "invalid-address", "Give an IPv4 address of the host, e.g. 127.0.0.1 or 0.0.0.0.");
            if (!ports.Add((forward.Protocol, forward.HostPort)))
                Add($"{at}/forwards/{f}/hostPort", "duplicate", $"Host port {forward.HostPort} is forwarded twice.");
        }
    }

    private void Boot(HashSet<string> names)
    {
        for (var i = 0; i < Math.Min(vm.Boot.Order.Count, 33); i++)
            if (vm.Boot.Order[i] is null || !names.Contains(vm.Boot.Order[i]))
                Add($"/boot/order/{i}", "unknown-device", "Boot order names a disk or network card of this VM.");
            else if (vm.Boot.Order.Take(i).Contains(vm.Boot.Order[i]))
                Add($"/boot/order/{i}", "duplicate", $"\"{vm.Boot.Order[i]}\" is in the boot order twice.");
        if (vm.Boot.Direct is not { } direct)
            return;
        if (direct.Kernel is null)
            Add("/boot/direct/kernel", "required", "Direct boot needs a kernel image.");
        else
            Image("/boot/direct/kernel", direct.Kernel, "a kernel", ImageKind.Kernel);
        Image("/boot/direct/initrd", direct.Initrd, "an initial RAM disk", ImageKind.Initrd);
        Text("/boot/direct/commandLine", direct.CommandLine, 2048);
        if (vm.Firmware.SecureBoot)
            Add("/boot/direct", "not-enforced", "Direct kernel boot bypasses Secure Boot: boot from a disk, or switch Secure Boot off.");
    }

    private void Firmware()
    {
        if (vm.Firmware is { SecureBoot: true, Type: not FirmwareChoice.Uefi })
            Add("/firmware/secureBoot", "needs-uefi", "Secure Boot needs the firmware type uefi.");
    }

    private void Microvm()
    {
        if (vm.Machine != MachineChoice.Microvm)
            return;
        const string code = "not-on-microvm";
        if (vm.Boot.Direct is null)
            Add("/boot/direct", code, "A microvm boots a kernel directly: give boot.direct.");
        if (vm.Firmware.Type != FirmwareChoice.Bios)
            Add("/firmware/type", code, "A microvm has no UEFI: use bios.");
        if (vm.Firmware.Tpm)
            Add("/firmware/tpm", code, "A microvm has no TPM.");
        if (vm.Consoles.Graphics != GraphicsChoice.None)
            Add("/consoles/graphics", code, "A microvm has no display: use none.");
        for (var i = 0; i < vm.Disks.Count; i++)
            if (vm.Disks[i] is { Bus: not DiskBusChoice.VirtioBlk })
                Add($"/disks/{i}/bus", code, "A microvm has only virtio-blk disks.");
        if (vm.Cpu.Max is { } max && max != vm.Cpu.Count)
            Add("/cpu/max", code, "A microvm cannot plug vCPUs: leave max out.");
    }

    private void CloudInit()
    {
        if (vm.CloudInit is not { } cloud)
            return;
        if (cloud.Hostname is { } host && !HostnamePattern().IsMatch(host))
            Add("/cloudInit/hostname", "invalid-hostname", "A host name has 1 to 63 letters, digits and hyphens per label.");
        if (cloud.SshKeys.Count > 32)
            Add("/cloudInit/sshKeys", "too-many", "At most 32 keys.");
        for (var i = 0; i < Math.Min(cloud.SshKeys.Count, 33); i++)
            if (cloud.SshKeys[i] is null || cloud.SshKeys[i].Length > 8192 || cloud.SshKeys[i].Any(char.IsControl))
                Add($"/cloudInit/sshKeys/{i}", "invalid-key", "A key is one line of at most 8192 characters.");
        if (cloud.UserData is { Length: > 65_536 })
            Add("/cloudInit/userData", "too-long", "At most 64 KiB.");
    }

    private Image? Image(string pointer, string? reference, string use, params ImageKind[] kinds)
    {
        if (reference is null)
            return null;
        if (!images.TryGetValue(reference, out var image))
        {
            Add(pointer, "unknown-image", $"There is no image \"{Shorten(reference)}\": upload or register it first.");
            return null;
        }

        if (image.State != ImageState.Ready)
            Add(pointer, "image-not-ready", $"The image \"{image.Name}\" is not ready yet.");
        else if (image.Kind is { } kind && !kinds.Contains(kind))
        {
            Add(pointer, "wrong-image-kind", $"The image \"{image.Name}\" is of kind {Data.PortalJson.Text(kind)}; {use} needs {string.Join(" or ", kinds.Select(Data.PortalJson.Text))}.");
            return null;
        }

        return image;
    }

    private void DeviceName(string pointer, string? name, HashSet<string> names)
    {
        if (name is null || !DevicePattern().IsMatch(name))
            Add(pointer, "invalid-name", "A device name has 1 to 16 lower-case letters and digits and starts with a letter.");
        else if (!names.Add(name))
            Add(pointer, "duplicate", $"Two devices are called \"{name}\".");
    }

    private void Text(string pointer, string? text, int most)
    {
        if (text is null)
            Add(pointer, "required", "This cannot be null.");
        else if (text.Length > most)
            Add(pointer, "too-long", $"At most {most} characters.");
        else if (text.Any(c => char.IsControl(c) && c is not ('\n' or '\r' or '\t')) || (pointer.EndsWith("commandLine", StringComparison.Ordinal) && text.Any(char.IsControl)))
            Add(pointer, "control-character", "Control characters are not allowed.");
    }

    private void Range(string pointer, long value, long least, long most, string? unit)
    {
        if (value < least || value > most)
            Add(pointer, "out-of-range", unit is null ? $"Give a number from {least} to {most}." : $"Give {least} to {most} {unit}.");
    }

    private void Add(string pointer, string code, string message) => problems.Add(new Problem(pointer, code, message));

    private static string Shorten(string text) => text.Length > 64 ? text[..64] + "…" : text;

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z")]
    public static partial Regex NamePattern();

    [GeneratedRegex(@"^[a-z0-9][a-z0-9._:-]{0,31}\z")]
    private static partial Regex TagPattern();

    [GeneratedRegex(@"^[a-z][a-z0-9]{0,15}\z")]
    private static partial Regex DevicePattern();

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
    private static partial Regex ModelPattern();

    [GeneratedRegex(@"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}\z")]
    private static partial Regex MacPattern();

    [GeneratedRegex(@"^\d{1,3}(\.\d{1,3}){3}\z")]
    private static partial Regex Ipv4Pattern();

    [GeneratedRegex(@"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\z")]
    private static partial Regex HostnamePattern();
}
