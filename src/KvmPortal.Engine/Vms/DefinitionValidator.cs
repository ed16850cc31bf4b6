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
    /// <summary>As many as q35 takes without an interrupt remapper.</summary>
    public const int MostVcpus = 288;

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
            Add("/name", "invalid-name", Say.VmNameRule);
        Text("/description", vm.Description, 4096);
        Tags();
        Cpu();
        Memory(vm.Memory);
        var names = new HashSet<string>(StringComparer.Ordinal);
        Disks(names);
        Nics(names);
        Boot(names);
        Firmware();
        Microvm();
        if (vm.Devices.Count > 0)
            Add("/devices", "not-supported", Say.DevicesNotYet);
        CloudInit();
        Range("/autostart/order", vm.Autostart.Order, 0, 100_000, null);
        Range("/autostart/delaySeconds", vm.Autostart.DelaySeconds, 0, 3600, Say.UnitSeconds);
        Range("/restart/maxRestarts", vm.Restart.MaxRestarts, 1, 1000, null);
        Range("/restart/windowSeconds", vm.Restart.WindowSeconds, 10, 86_400, Say.UnitSeconds);
        Limits(vm.Limits);
        Placement(vm.Placement);
        return problems;
    }

    private void Memory(MemoryDefinition memory)
    {
        const int most = 16 * 1024 * 1024;
        Range("/memory/sizeMiB", memory.SizeMiB, 16, most, "MiB");
        if (memory.MinMiB is { } min)
            Range("/memory/minMiB", min, 16, Math.Max(16, memory.SizeMiB), "MiB");
        if (memory.BalloonMiB is { } target)
        {
            Range("/memory/balloonMiB", target, 16, Math.Max(16, memory.SizeMiB), "MiB");
            if (!memory.Balloon)
                Add("/memory/balloonMiB", "not-supported", Say.NoBalloon);
        }

        if (memory.MaxMiB is not { } max)
            return;
        Range("/memory/maxMiB", max, memory.SizeMiB, most, "MiB");
        if (max == memory.SizeMiB)
            return;
        if (max % MemorySpec.StepMiB != 0)
            Add("/memory/maxMiB", "not-a-multiple", Say.MemoryStep(MemorySpec.StepMiB), max / MemorySpec.StepMiB * MemorySpec.StepMiB);
        if (memory.SizeMiB % MemorySpec.StepMiB != 0)
            Add("/memory/sizeMiB", "not-a-multiple", Say.MemoryStep(MemorySpec.StepMiB), memory.SizeMiB / MemorySpec.StepMiB * MemorySpec.StepMiB);
        if (memory.Pages is PagesChoice.Huge2M or PagesChoice.Huge1G)
            Add("/memory/maxMiB", "not-supported", Say.HugeMemoryFixed);
        if (vm.Machine == MachineChoice.Microvm)
            Add("/memory/maxMiB", "not-supported", Say.MicrovmMemoryFixed);
    }

    private void Placement(PlacementDefinition placement)
    {
        if (placement.VirtualNodes is { } nodes)
            Range("/placement/virtualNodes", nodes, 1, 8, null);
        if (placement.IoThreads is { } threads)
            Range("/placement/ioThreads", threads, 0, 32, null);
        if (placement.Knobs.WakeUpMicroseconds is { } wake)
            Range("/placement/knobs/wakeUpMicroseconds", wake, 0, 1_000_000, null);
        if (placement.OnNodes.Count > 8)
            Add("/placement/onNodes", "too-many", Say.AtMostNodes(8));
        for (var i = 0; i < Math.Min(placement.OnNodes.Count, 8); i++)
            Range($"/placement/onNodes/{i}", placement.OnNodes[i], 0, CpuSet.MaxCpus - 1, null);
    }

    private void Limits(LimitsDefinition limits)
    {
        Range("/limits/cpuWeight", limits.CpuWeight, 1, 10_000, null);
        Range("/limits/ioWeight", limits.IoWeight, 1, 10_000, null);
        if (limits.CpuPercent is { } percent)
            Range("/limits/cpuPercent", percent, 1, 1_000_000, null);
        // Less than the guest's own memory would end the machine as soon as it uses it.
        if (limits.MemoryMaxMiB is { } memory)
            Range("/limits/memoryMaxMiB", memory, vm.Memory.MaxMiB ?? vm.Memory.SizeMiB, 16 * 1024 * 1024, Say.UnitMiB);
        foreach (var (name, value) in ((string, int)[])[("ioReadMiBps", limits.IoReadMiBps), ("ioWriteMiBps", limits.IoWriteMiBps), ("ioReadIops", limits.IoReadIops), ("ioWriteIops", limits.IoWriteIops)])
            Range($"/limits/{name}", value, 0, 100_000_000, null);
        Range("/limits/tasksMax", limits.TasksMax, 32, 100_000, null);
    }

    private void Tags()
    {
        if (vm.Tags.Count > 32)
            Add("/tags", "too-many", Say.AtMostTags(32));
        for (var i = 0; i < Math.Min(vm.Tags.Count, 33); i++)
            if (vm.Tags[i] is null || !TagPattern().IsMatch(vm.Tags[i]))
                Add($"/tags/{i}", "invalid-tag", Say.TagRule);
            else if (vm.Tags.Take(i).Contains(vm.Tags[i]))
                Add($"/tags/{i}", "duplicate", Say.TagTwice(vm.Tags[i]));
    }

    private void Cpu()
    {
        Range("/cpu/count", vm.Cpu.Count, 1, MostVcpus, Say.UnitVcpus);
        if (vm.Cpu.Max is { } max)
        {
            Range("/cpu/max", max, 1, MostVcpus, Say.UnitVcpus);
            if (max < vm.Cpu.Count)
                Add("/cpu/max", "out-of-range", Say.MaxBelowCount(vm.Cpu.Count), vm.Cpu.Count);
        }

        if (!ModelPattern().IsMatch(vm.Cpu.Model))
            Add("/cpu/model", "invalid-model", Say.CpuModelRule, "auto");
        if (vm.Cpu.Threads.Value is { } threads)
        {
            Range("/cpu/threads", threads, 1, 8, Say.UnitThreads);
            if (threads >= 1 && (vm.Cpu.Max ?? vm.Cpu.Count) % threads != 0)
                Add("/cpu/threads", "not-a-divisor", Say.ThreadsDivide(vm.Cpu.Max ?? vm.Cpu.Count, threads), "auto");
        }
    }

    private void Disks(HashSet<string> names)
    {
        if (vm.Disks.Count > 24)
            Add("/disks", "too-many", Say.AtMostDisks(24));
        for (var i = 0; i < Math.Min(vm.Disks.Count, 25); i++)
        {
            var at = $"/disks/{i}";
            if (vm.Disks[i] is not { } disk)
            {
                Add(at, "required", Say.DiskIsNull);
                continue;
            }

            DeviceName($"{at}/name", disk.Name, names);
            if (disk.Pool != "default")
                Add($"{at}/pool", "unknown-pool", Say.OnlyDefaultPool);
            Range($"{at}/limits/iops", disk.Limits.Iops, 0, 100_000_000, Say.UnitIops);
            Range($"{at}/limits/bytesPerSecond", disk.Limits.BytesPerSecond, 0, 1L << 42, Say.UnitBytes);
            if (disk.Cdrom)
                Cdrom(at, disk);
            else
                HardDisk(at, disk);
        }
    }

    private void Cdrom(string at, DiskDefinition disk)
    {
        if (disk.Bus == DiskBusChoice.VirtioBlk)
            Add($"{at}/bus", "wrong-bus", Say.CdromBus, DiskBusChoice.Sata);
        if (disk.SizeGiB is not null)
            Add($"{at}/sizeGiB", "not-allowed", Say.CdromNoSize);
        Image($"{at}/image", disk.Image, Say.UseCdrom, ImageKind.Iso, ImageKind.Raw);
    }

    private void HardDisk(string at, DiskDefinition disk)
    {
        if (disk.Bus == DiskBusChoice.Sata)
            Add($"{at}/bus", "wrong-bus", Say.SataForCdrom, DiskBusChoice.VirtioBlk);
        if (disk.SizeGiB is { } size)
            Range($"{at}/sizeGiB", size, 1, 65_536, "GiB");
        else if (disk.Image is null)
            Add($"{at}/sizeGiB", "required", Say.BlankNeedsSize, 10);
        var image = Image($"{at}/image", disk.Image, Say.UseDisk, ImageKind.Qcow2, ImageKind.Raw);
        if (image is not null && disk.SizeGiB is { } asked && asked * (1L << 30) < image.VirtualSizeBytes)
            Add($"{at}/sizeGiB", "out-of-range", Say.ImageNeedsGib(image.Name, (image.VirtualSizeBytes + (1L << 30) - 1) >> 30), (image.VirtualSizeBytes + (1L << 30) - 1) >> 30);
        if (disk is { Image: not null, Copy: DiskSourceMode.Linked, Format: DiskFormatChoice.Raw })
            Add($"{at}/format", "wrong-format", Say.LinkedIsQcow2, DiskFormatChoice.Qcow2);
    }

    private void Nics(HashSet<string> names)
    {
        if (vm.Nics.Count > 8)
            Add("/nics", "too-many", Say.AtMostNics(8));
        var ports = new HashSet<(ForwardProtocolChoice, int)>();
        var macs = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < Math.Min(vm.Nics.Count, 9); i++)
        {
            var at = $"/nics/{i}";
            if (vm.Nics[i] is not { } nic)
            {
                Add(at, "required", Say.NicIsNull);
                continue;
            }

            DeviceName($"{at}/name", nic.Name, names);
            if (nic.Network != "user")
                Add($"{at}/network", "unknown-network", Say.OnlyUserNetwork);
            if (nic.Mac is { } mac && !MacPattern().IsMatch(mac))
                Add($"{at}/mac", "invalid-mac", Say.MacRule);
            else if (nic.Mac is not null && !macs.Add(nic.Mac))
                Add($"{at}/mac", "duplicate", Say.MacTwice);
            Forwards(at, nic, ports);
        }
    }

    private void Forwards(string at, NicDefinition nic, HashSet<(ForwardProtocolChoice, int)> ports)
    {
        if (nic.Forwards.Count > 64)
            Add($"{at}/forwards", "too-many", Say.AtMostForwards(64));
        for (var f = 0; f < Math.Min(nic.Forwards.Count, 65); f++)
        {
            if (nic.Forwards[f] is not { } forward)
            {
                Add($"{at}/forwards/{f}", "required", Say.ForwardIsNull);
                continue;
            }

            Range($"{at}/forwards/{f}/hostPort", forward.HostPort, 1, 65535, null);
            Range($"{at}/forwards/{f}/guestPort", forward.GuestPort, 1, 65535, null);
            if (!Ipv4Pattern().IsMatch(forward.HostAddress) || !IPAddress.TryParse(forward.HostAddress, out _))
                Add($"{at}/forwards/{f}/hostAddress", "invalid-address", Say.Ipv4Rule);
            if (!ports.Add((forward.Protocol, forward.HostPort)))
                Add($"{at}/forwards/{f}/hostPort", "duplicate", Say.PortTwice(forward.HostPort));
        }
    }

    private void Boot(HashSet<string> names)
    {
        for (var i = 0; i < Math.Min(vm.Boot.Order.Count, 33); i++)
            if (vm.Boot.Order[i] is null || !names.Contains(vm.Boot.Order[i]))
                Add($"/boot/order/{i}", "unknown-device", Say.BootOrderUnknown);
            else if (vm.Boot.Order.Take(i).Contains(vm.Boot.Order[i]))
                Add($"/boot/order/{i}", "duplicate", Say.BootOrderTwice(vm.Boot.Order[i]));
        if (vm.Boot.Direct is not { } direct)
            return;
        if (direct.Kernel is null)
            Add("/boot/direct/kernel", "required", Say.KernelNeeded);
        else
            Image("/boot/direct/kernel", direct.Kernel, Say.UseKernel, ImageKind.Kernel);
        Image("/boot/direct/initrd", direct.Initrd, Say.UseInitrd, ImageKind.Initrd);
        Text("/boot/direct/commandLine", direct.CommandLine, 2048);
        if (vm.Firmware.SecureBoot)
            Add("/boot/direct", "not-enforced", Say.DirectBypassesSecureBoot);
    }

    private void Firmware()
    {
        if (vm.Firmware is { SecureBoot: true, Type: not FirmwareChoice.Uefi })
            Add("/firmware/secureBoot", "needs-uefi", Say.SecureBootNeedsUefi, false);
    }

    private void Microvm()
    {
        if (vm.Machine != MachineChoice.Microvm)
            return;
        const string code = "not-on-microvm";
        if (vm.GuestSystem == GuestSystem.Windows)
            Add("/guestSystem", code, Say.MicrovmNoWindows, GuestSystem.Any);
        if (vm.Boot.Direct is null)
            Add("/boot/direct", code, Say.MicrovmNeedsDirect);
        if (vm.Firmware.Type != FirmwareChoice.Bios)
            Add("/firmware/type", code, Say.MicrovmNoUefi, FirmwareChoice.Bios);
        if (vm.Firmware.Tpm)
            Add("/firmware/tpm", code, Say.MicrovmNoTpm, false);
        if (vm.Consoles.Graphics != GraphicsChoice.None)
            Add("/consoles/graphics", code, Say.MicrovmNoDisplay, GraphicsChoice.None);
        for (var i = 0; i < vm.Disks.Count; i++)
            if (vm.Disks[i] is { Bus: not DiskBusChoice.VirtioBlk })
                Add($"/disks/{i}/bus", code, Say.MicrovmVirtioOnly, DiskBusChoice.VirtioBlk);
        if (vm.Cpu.Max is { } max && max != vm.Cpu.Count)
            Add("/cpu/max", code, Say.MicrovmNoCpuPlug);
    }

    private void CloudInit()
    {
        if (vm.CloudInit is not { } cloud)
            return;
        if (cloud.Hostname is { } host && !HostnamePattern().IsMatch(host))
            Add("/cloudInit/hostname", "invalid-hostname", Say.HostnameRule);
        if (cloud.SshKeys.Count > 32)
            Add("/cloudInit/sshKeys", "too-many", Say.AtMostKeys(32));
        for (var i = 0; i < Math.Min(cloud.SshKeys.Count, 33); i++)
            if (cloud.SshKeys[i] is null || cloud.SshKeys[i].Length > 8192 || cloud.SshKeys[i].Any(char.IsControl))
                Add($"/cloudInit/sshKeys/{i}", "invalid-key", Say.KeyRule(8192));
        if (cloud.UserData is { Length: > 65_536 })
            Add("/cloudInit/userData", "too-long", Say.AtMostKib(64));
    }

    private Image? Image(string pointer, string? reference, Sentence use, params ImageKind[] kinds)
    {
        if (reference is null)
            return null;
        if (!images.TryGetValue(reference, out var image))
        {
            Add(pointer, "unknown-image", Say.UnknownImage(Shorten(reference)));
            return null;
        }

        if (image.State != ImageState.Ready)
            Add(pointer, "image-not-ready", Say.ImageNotReady(image.Name));
        else if (image.Kind is { } kind && !kinds.Contains(kind))
        {
            Add(pointer, "wrong-image-kind", Say.WrongImageKind(image.Name, Data.PortalJson.Text(kind), use, string.Join(" / ", kinds.Select(Data.PortalJson.Text))));
            return null;
        }

        return image;
    }

    private void DeviceName(string pointer, string? name, HashSet<string> names)
    {
        if (name is null || !DevicePattern().IsMatch(name))
            Add(pointer, "invalid-name", Say.DeviceNameRule);
        else if (!names.Add(name))
            Add(pointer, "duplicate", Say.DeviceTwice(name));
    }

    private void Text(string pointer, string? text, int most)
    {
        if (text is null)
            Add(pointer, "required", Say.NotNull);
        else if (text.Length > most)
            Add(pointer, "too-long", Say.AtMostCharacters(most));
        else if (text.Any(c => char.IsControl(c) && c is not ('\n' or '\r' or '\t')) || (pointer.EndsWith("commandLine", StringComparison.Ordinal) && text.Any(char.IsControl)))
            Add(pointer, "control-character", Say.NoControlCharacters);
    }

    private void Range(string pointer, long value, long least, long most, Sentence? unit)
    {
        if (value < least || value > most)
            Add(pointer, "out-of-range", unit is null ? Say.NumberFromTo(least, most) : Say.AmountFromTo(least, most, unit), Math.Clamp(value, least, most));
    }

    private void Add(string pointer, string code, Sentence message, object? fit = null) => problems.Add(new Problem(pointer, code, message).WithFit(fit));

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
