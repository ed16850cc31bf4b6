using System.Security.Cryptography;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>A spec with the reasons for what was chosen.</summary>
internal sealed record ResolvedSpec(MachineSpec Spec, IReadOnlyList<PlanReason> Reasons, IReadOnlyList<Sentence> Warnings)
{
    /// <summary>Where it goes; null for ordinary machines.</summary>
    public PlacementPlan? Placement { get; init; }
}

/// <summary>Definition + facts → <see cref="MachineSpec"/>. Pure. What this host cannot give is refused with what is missing and what would fit.</summary>
internal static class SpecResolver
{
    public static ResolvedSpec Resolve(VmInputs inputs)
    {
        var (vm, def, facts) = (inputs.Vm, inputs.Definition, inputs.Facts);
        var reasons = new List<PlanReason>();
        var warnings = new List<Sentence>();
        var problems = new List<Problem>();
        Require(def, facts, problems);
        var accelerator = ChooseAccelerator(def, facts, reasons, warnings, problems);
        var model = CpuChoice.Choose(inputs, accelerator, reasons, problems);
        var machineType = ChooseMachineType(vm, def, facts, reasons, problems);
        if (def.Memory.SizeMiB > facts.Memory.TotalMiB)
            problems.Add(new Problem("/memory/sizeMiB", "no-room", Say.MoreThanAllMemory(facts.Memory.TotalMiB)).WithFit(facts.Memory.AvailableMiB >= 64 ? facts.Memory.AvailableMiB / 64 * 64 : null));
        else if (def.Memory.SizeMiB > facts.Memory.AvailableMiB)
            warnings.Add(Say.MemoryTight(facts.Memory.AvailableMiB, def.Memory.SizeMiB));
        var max = def.Cpu.Max ?? def.Cpu.Count;
        if (def.Cpu.Count > facts.Cpu.OnlineCount)
            warnings.Add(Say.CpusShared(def.Cpu.Count, facts.Cpu.OnlineCount));
        if (problems.Count > 0)
            throw PortalException.Invalid(problems);
        if (inputs.Placement is PlacementRefusal refusal)
            throw PortalException.Refused(refusal);
        var placement = inputs.Placement as PlacementPlan;
        warnings.AddRange(placement?.Warnings ?? []);
        reasons.AddRange(PlacementSpec.Reasons(placement));
        if (placement is not null && max > def.Cpu.Count)
            reasons.Add(new PlanReason("cpu-max", $"{max}", Say.CpusReservedForMax(def.Cpu.Count, max)));
        if (placement is not null && def.Memory.MaxMiB > def.Memory.SizeMiB)
            reasons.Add(new PlanReason("memory-max", $"{def.Memory.SizeMiB}", Say.PlacedMemoryFixed));

        var order = BootOrder(def);
        var spec = new MachineSpec
        {
            Id = vm.Id.Value,
            Name = def.Name,
            Accelerator = accelerator,
            MachineType = machineType!,
            Family = def.Machine == MachineChoice.Q35 ? MachineFamily.Q35 : MachineFamily.Microvm,
            Cpu = CpuChoice.With(placement is null ? new CpuSpec(def.Cpu.Count, max, model, def.Cpu.Threads.Value ?? 1) : new CpuSpec(def.Cpu.Count, max, model, placement.Topology.Threads), def, placement),
            LocalClock = def.GuestSystem == GuestSystem.Windows,
            Memory = new MemorySpec(def.Memory.SizeMiB, PageSizeKiB(def.Memory.Pages)) { MaxMiB = placement is null && def.Memory.MaxMiB > def.Memory.SizeMiB ? def.Memory.MaxMiB : null },
            Firmware = FirmwareOf(def),
            Tpm = def.Firmware.Tpm,
            DirectBoot = def.Boot.Direct is { } d ? new DirectBootSpec(PathOf(inputs, d.Kernel), d.Initrd is null ? null : PathOf(inputs, d.Initrd), d.CommandLine) : null,
            Disks = [.. def.Disks.Select(d => DiskOf(inputs, d, order) with { IoThreads = PlacementSpec.IoThreadsOf(d, def, placement, facts.Qemu.QueueMapping) })],
            Nics = [.. def.Nics.Select(n => NicOf(vm, n, order))],
            Vnc = def.Consoles.Graphics == GraphicsChoice.Vnc,
            Serial = def.Consoles.Serial,
            Balloon = def.Memory.Balloon && (placement?.Profile ?? inputs.Profile).Balloon,
            Placement = placement is null ? null : PlacementSpec.Of(placement, def, facts.Qemu.QueueMapping),
            CoreScheduling = def.Placement.CoreScheduling,
            GenerationId = def.Machine == MachineChoice.Q35 ? vm.GenerationId : null,
            RestoreFrom = vm.SuspendPath,
            Confinement = new ConfinementSpec { Uid = vm.Uid, Limits = LimitsOf(def.Limits) },
        };
        return new ResolvedSpec(spec, reasons, warnings) { Placement = placement };
    }

    /// <summary>A MAC address that stays the same for a VM's card: 52:54:00 (QEMU's prefix) and three bytes of a digest of VM id and card name.</summary>
    public static string MacFor(Data.VmId id, string nic)
    {
        var digest = SHA256.HashData(System.Text.Encoding.UTF8.GetBytes($"{id.Value:N}/{nic}"));
        return $"52:54:00:{digest[0]:x2}:{digest[1]:x2}:{digest[2]:x2}";
    }

    public static FirmwareSpec FirmwareOf(VmDefinition def) => new(def.Firmware.Type == FirmwareChoice.Uefi ? FirmwareType.Uefi : FirmwareType.Bios, def.Firmware.SecureBoot);

    private static ControlGroupSpec LimitsOf(LimitsDefinition limits) => new()
    {
        CpuWeight = limits.CpuWeight,
        CpuPercent = limits.CpuPercent,
        MemoryMaxMiB = limits.MemoryMaxMiB,
        IoWeight = limits.IoWeight,
        IoReadMiBps = limits.IoReadMiBps,
        IoWriteMiBps = limits.IoWriteMiBps,
        IoReadIops = limits.IoReadIops,
        IoWriteIops = limits.IoWriteIops,
        TasksMax = limits.TasksMax,
    };

    private static void Require(VmDefinition def, HostFacts facts, List<Problem> problems)
    {
        if (facts.Qemu.Version is null)
            problems.Add(new Problem("", "no-qemu", Say.NoQemu));
        if (def.Firmware.Type == FirmwareChoice.Uefi && !facts.Qemu.UefiAvailable)
            problems.Add(new Problem("/firmware/type", "no-uefi", Say.NoUefi).WithFit(FirmwareChoice.Bios));
        if (def.Firmware.SecureBoot && !facts.Qemu.SecureBootAvailable)
            problems.Add(new Problem("/firmware/secureBoot", "no-secure-boot", Say.NoSecureBoot).WithFit(false));
        if (def.Firmware.Tpm && !facts.Qemu.TpmAvailable)
            problems.Add(new Problem("/firmware/tpm", "no-swtpm", Say.NoSwtpm).WithFit(false));
        if (def.Machine == MachineChoice.Microvm && !facts.Qemu.MicrovmAvailable)
            problems.Add(new Problem("/machine", "no-microvm", Say.NoMicrovm).WithFit(MachineChoice.Q35));
    }

    private static Accelerator ChooseAccelerator(VmDefinition def, HostFacts facts, List<PlanReason> reasons, List<Sentence> warnings, List<Problem> problems)
    {
        var works = facts.Kvm.Verdict == KvmVerdict.Works;
        switch (def.Accelerator)
        {
            case AcceleratorChoice.Kvm when !works && facts.Kvm.Verdict != KvmVerdict.Unproven:
                problems.Add(new Problem("/accelerator", "kvm-not-usable", Say.KvmNotUsable(HostSentences.Read(facts.Kvm.Evidence))).WithFit(AcceleratorChoice.Auto));
                return Accelerator.Tcg;
            case AcceleratorChoice.Kvm:
                reasons.Add(new PlanReason("accelerator", "kvm", works ? Say.KvmAskedProven : Say.KvmAskedUnproven));
                return Accelerator.Kvm;
            case AcceleratorChoice.Tcg:
                reasons.Add(new PlanReason("accelerator", "tcg", Say.AskedFor));
                warnings.Add(Say.TcgWarning);
                return Accelerator.Tcg;
            case AcceleratorChoice.Auto when works:
                reasons.Add(new PlanReason("accelerator", "kvm", HostSentences.Read(facts.Kvm.Evidence)));
                return Accelerator.Kvm;
            default:
                reasons.Add(new PlanReason("accelerator", "tcg", HostSentences.Read(facts.Kvm.Evidence)));
                warnings.Add(Say.TcgChosen(HostSentences.Read(facts.Kvm.Evidence)));
                return Accelerator.Tcg;
        }
    }

    private static string? ChooseMachineType(Vm vm, VmDefinition def, HostFacts facts, List<PlanReason> reasons, List<Problem> problems)
    {
        if (def.Machine == MachineChoice.Microvm)
            return "microvm";
        if (vm.MachineType is { } recorded && vm.MachineTypeOf == def.Machine)
        {
            reasons.Add(new PlanReason("machine-type", recorded, Say.MachineTypeRecorded));
            return recorded;
        }

        if (facts.Qemu.Q35Machine is { } current)
        {
            reasons.Add(new PlanReason("machine-type", current, Say.MachineTypeNewest));
            return current;
        }

        if (facts.Qemu.Version is not null)
            problems.Add(new Problem("/machine", "no-q35", Say.NoQ35));
        return null;
    }

    private static Dictionary<string, int> BootOrder(VmDefinition def)
    {
        var names = def.Boot.Order.Count > 0 ? def.Boot.Order : [.. def.Disks.Select(d => d.Name)];
        return names.Select((name, i) => (name, i)).ToDictionary(x => x.name, x => x.i + 1);
    }

    private static DiskSpec DiskOf(VmInputs inputs, DiskDefinition disk, Dictionary<string, int> order)
    {
        int? boot = order.TryGetValue(disk.Name, out var at) ? at : null;
        var bus = disk.Bus switch { DiskBusChoice.VirtioBlk => DiskBus.VirtioBlk, DiskBusChoice.VirtioScsi => DiskBus.VirtioScsi, DiskBusChoice.Sata => DiskBus.Sata };
        if (disk.Cdrom)
            return new DiskSpec
            {
                Name = disk.Name,
                Bus = bus,
                Format = DiskFormat.Raw,
                Path = disk.Image is null ? null : PathOf(inputs, disk.Image),
                Cdrom = true,
                ReadOnly = true,
                BootIndex = boot,
            };
        var row = inputs.Vm.Disks.First(d => d.Name == disk.Name);
        return new DiskSpec
        {
            Name = disk.Name,
            Bus = bus,
            Format = row.Format,
            Path = row.Path,
            ReadOnly = disk.ReadOnly,
            BootIndex = boot,
            IoThread = bus == DiskBus.VirtioBlk,
            Limits = new DiskLimitsSpec(disk.Limits.Iops, disk.Limits.BytesPerSecond),
            Backing = Backing(inputs, row),
        };
    }

    private static List<BackingFile> Backing(VmInputs inputs, Disk row) =>
        row is { Linked: true, ImageId: { } id } && inputs.DiskImages.TryGetValue(id, out var image)
            ? [new BackingFile(image.Path!, image.Kind == ImageKind.Qcow2 ? DiskFormat.Qcow2 : DiskFormat.Raw)]
            : [];

    private static NicSpec NicOf(Vm vm, NicDefinition nic, Dictionary<string, int> order) => new()
    {
        Name = nic.Name,
        Kind = NicKind.User,
        Mac = nic.Mac?.ToLowerInvariant() ?? MacFor(vm.Id, nic.Name),
        BootIndex = order.TryGetValue(nic.Name, out var at) ? at : null,
        Forwards = [.. nic.Forwards.Select(f => new PortForward(f.Protocol == ForwardProtocolChoice.Tcp ? ForwardProtocol.Tcp : ForwardProtocol.Udp, f.HostAddress, f.HostPort, f.GuestPort))],
    };

    private static string PathOf(VmInputs inputs, string reference) => inputs.Images[reference].Path!;

    private static int PageSizeKiB(PagesChoice pages) => pages switch { PagesChoice.Auto or PagesChoice.Small => 4, PagesChoice.Huge2M => 2048, PagesChoice.Huge1G => 1048576 };
}
