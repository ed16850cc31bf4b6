using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>IOMMU, disks, network cards and GPUs.</summary>
internal static class DeviceChecks
{
    /// <summary>Drivers of cards that DPDK has a driver of its own for (doc.dpdk.org, network interface controller drivers).</summary>
    private static readonly HashSet<string> KnownToDpdk = ["ixgbe", "ixgbevf", "i40e", "iavf", "ice", "igb", "igbvf", "igc", "e1000", "e1000e", "mlx4_core", "mlx5_core", "bnxt_en", "ena", "virtio-pci", "virtio_net", "vmxnet3", "hns3", "qede", "sfc", "cxgb4", "enic", "nfp", "ionic", "hinic", "octeontx2-nicpf", "thunder-nicvf", "gve", "mana", "txgbe", "ngbe", "vfio-pci", "uio_pci_generic", "igb_uio"];

    public static IReadOnlyList<Check> All { get; } =
    [
        new("iommu", Say.IommuTitle, Say.IommuMeaning, Iommu)
        {
            MattersFor = [Audience.Gpu, Audience.BareMetalClass, Audience.Isolation],
            RequiredFor = [Purpose.GpuPassthrough, Purpose.SriovNetworking],
            HelpsFor = [Purpose.BareMetal, Purpose.Dpdk],
        },
        new("iommu-groups", Say.IommuGroupsTitle, Say.IommuGroupsMeaning, Groups) { MattersFor = [Audience.Gpu, Audience.Isolation], HelpsFor = [Purpose.GpuPassthrough, Purpose.SriovNetworking] },
        new("interrupt-remapping", Say.InterruptRemappingTitle, Say.InterruptRemappingMeaning, Remapping) { MattersFor = [Audience.Gpu, Audience.Isolation], HelpsFor = [Purpose.GpuPassthrough, Purpose.SriovNetworking] },
        new("gpu", Say.GpuTitle, Say.GpuMeaning, Gpu) { MattersFor = [Audience.Gpu], RequiredFor = [Purpose.GpuPassthrough] },
        new("fast-storage", Say.StorageTitle, Say.StorageMeaning, Storage) { MattersFor = [Audience.EveryVm, Audience.BareMetalClass], HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal] },
        new("multiqueue-nic", Say.NicTitle, Say.NicMeaning, Nics) { MattersFor = [Audience.EveryVm, Audience.BareMetalClass], HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal, Purpose.Dpdk] },
        new("sriov", Say.SriovTitle, Say.SriovMeaning, Sriov) { MattersFor = [Audience.BareMetalClass, Audience.LowLatency], RequiredFor = [Purpose.SriovNetworking] },
        new("dpdk-nic", Say.DpdkTitle, Say.DpdkMeaning, Dpdk) { MattersFor = [Audience.LowLatency], RequiredFor = [Purpose.Dpdk] },
        new("pci-links", Say.LinkTitle, Say.LinkMeaning, Links) { MattersFor = [Audience.Gpu, Audience.BareMetalClass], HelpsFor = [Purpose.GpuPassthrough, Purpose.BareMetal] },
        new("device-locality", Say.LocalityTitle, Say.LocalityMeaning, Locality) { MattersFor = [Audience.BareMetalClass, Audience.LowLatency], HelpsFor = [Purpose.BareMetal] },
    ];

    private static bool IsGpu(PciDevice d) => d.Class.StartsWith("03", StringComparison.Ordinal);

    /// <summary>Display and 3D controllers, network, NVMe, and what accelerates (class 12).</summary>
    private static bool Passable(PciDevice d) => IsGpu(d) || d.Class.StartsWith("02", StringComparison.Ordinal) || d.Class.StartsWith("0108", StringComparison.Ordinal) || d.Class.StartsWith("12", StringComparison.Ordinal);

    private static string Name(PciDevice d) => Short(d.DeviceName is { } name ? $"{d.Address} {name}" : $"{d.Address} {d.VendorId}:{d.DeviceId}", 90);

    private static bool HasIommu(HostInventory host) => host.Iommu.Enabled && host.IommuGroups.Count > 0;

    private static Finding Iommu(ReadinessInput input)
    {
        var host = input.Inventory;
        IReadOnlyList<Evidence> evidence = [File("/sys/class/iommu", host.Iommu.Units.Count == 0 ? null : Some(host.Iommu.Units)), File("/sys/kernel/iommu_groups", host.IommuGroups.Count == 0 ? "" : $"{host.IommuGroups.Count}"), File("/proc/cmdline", Short(host.Kernel.CommandLine))];
        if (HasIommu(host))
            return Ready(Say.IommuOn(host.Iommu.Units.Count, host.IommuGroups.Count), evidence);
        if (host.Cpu.HypervisorBelow)
            return Missing(Say.IommuOff, [Firmware(Say.NestedBelowFix)], evidence);
        var line = host.Cpu.Vendor == "AuthenticAMD" ? "amd_iommu=on iommu=pt" : host.Cpu.Architecture == "x86_64" ? "intel_iommu=on iommu=pt" : "iommu.passthrough=1";
        return Missing(host.Iommu.Units.Count > 0 ? Say.IommuHalf : Say.IommuOff, [Firmware(Say.IommuFirmware), Boot(Say.AddBootParameter, line)], evidence);
    }

    private static Finding Groups(ReadinessInput input)
    {
        var host = input.Inventory;
        if (!HasIommu(host))
            return Unknown(Say.IommuGroupsNone, File("/sys/kernel/iommu_groups", host.IommuGroups.Count == 0 ? "" : $"{host.IommuGroups.Count}"));
        var byAddress = host.PciDevices.DistinctBy(d => d.Address).ToDictionary(d => d.Address);
        var shared = host.IommuGroups.Where(g => g.Devices.Any(a => byAddress.TryGetValue(a, out var d) && Passable(d)) && Slots(g, byAddress) > 1).OrderBy(g => g.Id).ToList();
        var evidence = shared.Take(8).Select(g => File($"/sys/kernel/iommu_groups/{g.Id}/devices", Some(g.Devices))).ToList();
        return shared.Count == 0 ? Ready(Say.IommuGroupsClean, File("/sys/kernel/iommu_groups", $"{host.IommuGroups.Count}"))
            : But(Say.IommuGroupsShared(Some(shared.Select(g => $"{g.Id}: {string.Join(" ", g.Devices.Take(4))}"))), [Firmware(Say.IommuGroupsFix)], evidence);
    }

    /// <summary>Functions of one device go together anyway, and bridges are not given away.</summary>
    private static int Slots(IommuGroup group, Dictionary<string, PciDevice> byAddress) =>
        group.Devices.Where(a => !byAddress.TryGetValue(a, out var d) || !d.Class.StartsWith("06", StringComparison.Ordinal)).Select(a => a.Split('.')[0]).Distinct().Count();

    private static Finding Remapping(ReadinessInput input)
    {
        var on = input.Inventory.Iommu.InterruptRemapping;
        var evidence = File("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", input.Inventory.Kvm.Parameters.GetValueOrDefault("vfio_iommu_type1.allow_unsafe_interrupts"));
        return on switch
        {
            true => Ready(Say.InterruptRemappingOn, evidence),
            false => But(Say.InterruptRemappingOff, [Firmware(Say.InterruptRemappingFix)], evidence),
            null => Unknown(Say.CannotBeTold, evidence),
        };
    }

    private static Finding Gpu(ReadinessInput input)
    {
        var gpus = input.Inventory.PciDevices.Where(d => IsGpu(d) || d.Class.StartsWith("12", StringComparison.Ordinal)).ToList();
        var evidence = gpus.Take(8).Select(d => File($"/sys/bus/pci/devices/{d.Address}", $"class {d.Class}, driver {d.Driver ?? "-"}, reset {(d.ResetMethods.Count == 0 ? "-" : string.Join(" ", d.ResetMethods))}, iommu_group {(d.IommuGroup is { } g ? $"{g}" : "-")}")).ToList();
        if (gpus.Count == 0)
            return Missing(Say.GpuNone, [Purchase(Say.GpuFix)], File("/sys/bus/pci/devices/*/class", "no 0x03…"));
        // What drives the host's own screen: the boot display, or graphics inside of a board management controller or laptop.
        var free = gpus.Where(d => !d.BootVga && d.Driver is not ("ast" or "mgag200" or "i915" or "xe" or "bochs-drm" or "virtio-pci" or "cirrus" or "hibmc-drm" or "simpledrm")).ToList();
        if (free.Count == 0)
            return Missing(Say.GpuOnlyHost(Some(gpus.Select(Name))), [Purchase(Say.GpuFix)], evidence);
        if (!HasIommu(input.Inventory))
            return Missing(Say.GpuNoIommu(Some(free.Select(Name))), Iommu(input).Fixes, evidence);
        var ready = free.Where(d => d.ResetMethods.Count > 0 && d.IommuGroup is not null).ToList();
        return ready.Count == 0 ? But(Say.GpuNoReset(Some(free.Select(Name))), [Purchase(Say.GpuFix)], evidence) : Ready(Say.GpuThere(Some(ready.Select(Name))), evidence);
    }

    private static Finding Storage(ReadinessInput input)
    {
        var disks = input.Inventory.BlockDevices.Where(b => b.Kind is not (BlockKind.Loop or BlockKind.Zram or BlockKind.DeviceMapper) && b.SizeBytes > 0).ToList();
        var evidence = disks.Take(8).Select(b => File($"/sys/block/{b.Name}/queue/rotational", b.Rotational is { } r ? r ? "1" : "0" : null)).ToList();
        string Words(IEnumerable<BlockDeviceFacts> some) => Some(some.Select(b => Short($"{b.Name} {b.Raid ?? b.Model}".Trim(), 60)));
        if (disks.Count == 0 && input.Facts is null)
            return Unknown(Say.CannotBeTold, File("/sys/block", null));
        if (disks.Count == 0)
            return Missing(Say.StorageNone, [Purchase(Say.StorageFix)], File("/sys/block", ""));
        var good = disks.Where(b => b.Kind is BlockKind.Nvme or BlockKind.Raid).ToList();
        if (good.Count > 0)
            return Ready(Say.StorageNvme(Words(good)), evidence);
        if (disks.All(b => b.Kind == BlockKind.Virtio))
            return Unknown(Say.StorageVirtual(Words(disks)), evidence);
        var solid = disks.Where(b => b.Rotational == false && b.Kind != BlockKind.Virtio).ToList();
        return But(solid.Count > 0 ? Say.StorageSolid(Words(solid)) : Say.StorageSlow(Words(disks)), [Purchase(Say.StorageFix)], evidence);
    }

    private static Finding Nics(ReadinessInput input)
    {
        var cards = input.Inventory.Nics.Where(n => !n.Virtual).ToList();
        string Words(IEnumerable<NetworkCard> some) => Some(some.Select(n => $"{n.Name} {n.Driver} {n.RxQueues} rx / {n.TxQueues} tx"));
        var evidence = cards.Take(8).Select(n => File($"/sys/class/net/{n.Name}/queues", $"{n.RxQueues} rx, {n.TxQueues} tx")).ToList();
        if (cards.Count == 0 && input.Facts is null && (input.Inventory.Nics.Count == 0 || input.Inventory.PciDevices.Any(d => d.Class.StartsWith("0200", StringComparison.Ordinal))))
            return Unknown(Say.CannotBeTold, File("/sys/class/net", null));
        if (cards.Count == 0)
            return Missing(Say.NicNone, [Purchase(Say.NicFix)], File("/sys/class/net/*/device", null));
        var many = cards.Where(n => n.RxQueues > 1 && n.TxQueues > 1).ToList();
        return many.Count > 0 ? Ready(Say.NicThere(Words(many)), evidence) : But(Say.NicSingle(Words(cards)), [Purchase(Say.NicFix)], evidence);
    }

    private static Finding Sriov(ReadinessInput input)
    {
        var cards = input.Inventory.PciDevices.Where(d => d.Sriov is not null && d.Class.StartsWith("02", StringComparison.Ordinal)).ToList();
        var evidence = cards.Take(8).Select(d => File($"/sys/bus/pci/devices/{d.Address}/sriov_totalvfs", d.Sriov!.Total)).ToList();
        if (cards.Count == 0)
            return Missing(Say.SriovNone, [Purchase(Say.SriovPurchase)], File("/sys/bus/pci/devices/*/sriov_totalvfs", null));
        var on = cards.Where(d => d.Sriov!.Total > 0).ToList();
        return on.Count > 0 ? Ready(Say.SriovThere(Some(on.Select(d => $"{Name(d)}: {d.Sriov!.Enabled}/{d.Sriov.Total}"))), evidence)
            : Missing(Say.SriovFirmwareOff(Some(cards.Select(Name))), [Firmware(Say.SriovFirmware)], evidence);
    }

    private static Finding Dpdk(ReadinessInput input)
    {
        var known = input.Inventory.PciDevices.Where(d => d.Class.StartsWith("0200", StringComparison.Ordinal) && d.Driver is not null && KnownToDpdk.Contains(d.Driver)).ToList();
        return known.Count > 0 ? Ready(Say.DpdkThere(Some(known.Select(Name))), known.Take(8).Select(d => File($"/sys/bus/pci/devices/{d.Address}/driver", d.Driver)).ToList())
            : Missing(Say.DpdkNone, [Purchase(Say.NicFix)], File("/sys/bus/pci/devices/*/driver", null));
    }

    private static Finding Links(ReadinessInput input)
    {
        var linked = input.Inventory.PciDevices.Where(d => Passable(d) && d.Link is { Width: > 0, MaxWidth: > 0 and < 255 }).ToList();
        var narrow = linked.Where(d => d.Link!.Width < d.Link.MaxWidth || d.Link.Speed < d.Link.MaxSpeed).ToList();
        string Word(PciDevice d) => System.FormattableString.Invariant($"{d.Link!.Speed:0.#} GT/s x{d.Link.Width} of {d.Link.MaxSpeed:0.#} GT/s x{d.Link.MaxWidth}");
        var evidence = narrow.Take(8).Select(d => File($"/sys/bus/pci/devices/{d.Address}/current_link_width", Word(d))).ToList();
        return linked.Count == 0 ? Unknown(Say.LinkUnknown, File("/sys/bus/pci/devices/*/current_link_width", null))
            : narrow.Count == 0 ? Ready(Say.LinkFull)
            : But(Say.LinkNarrow(Some(narrow.Select(d => $"{Name(d)} ({Word(d)})"), 4)), [Command(Say.LinkFix)], evidence);
    }

    private static Finding Locality(ReadinessInput input)
    {
        var host = input.Inventory;
        var nodes = host.NumaNodes.Where(n => !n.Cpus.IsEmpty).ToList();
        if (nodes.Count < 2)
            return Ready(Say.LocalityOneNode);
        var lost = host.PciDevices.Where(d => Passable(d) && d.Node < 0 && !nodes.Any(n => !d.LocalCpus.IsEmpty && d.LocalCpus.IsSubsetOf(n.Cpus))).ToList();
        return lost.Count == 0 ? Ready(Say.LocalityKnown)
            : But(Say.LocalityUnknown(Some(lost.Select(Name))), [Firmware(Say.LocalityFix)], lost.Take(8).Select(d => File($"/sys/bus/pci/devices/{d.Address}/numa_node", $"{d.Node}, local_cpulist {d.LocalCpus}")).ToList());
    }
}
