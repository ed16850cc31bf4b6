namespace KvmPortal.Host.Contract;

/// <summary>
/// What a host is made of and how its kernel is set, read through a replaceable root. Whatever could not be read is null or empty, never a guess.
/// CPUs, caches and nodes are told as sets: the kernel's ids for packages, dies and cores repeat, jump and may be -1.
/// </summary>
public sealed record HostInventory
{
    public required CpuInventory Cpu { get; init; }
    /// <summary>Every present CPU (hardware thread), in ascending order.</summary>
    public IReadOnlyList<LogicalCpu> Cpus { get; init; } = [];
    /// <summary>Nodes with and without CPUs, in ascending order; one node 0 where the kernel knows no NUMA.</summary>
    public IReadOnlyList<NumaNode> NumaNodes { get; init; } = [];
    public required MemoryInventory Memory { get; init; }
    /// <summary>By address.</summary>
    public IReadOnlyList<PciDevice> PciDevices { get; init; } = [];
    public IReadOnlyList<IommuGroup> IommuGroups { get; init; } = [];
    public required IommuInventory Iommu { get; init; }
    /// <summary>By name.</summary>
    public IReadOnlyList<NetworkCard> Nics { get; init; } = [];
    /// <summary>By name; whole disks, not partitions.</summary>
    public IReadOnlyList<BlockDeviceFacts> BlockDevices { get; init; } = [];
    public required KvmInventory Kvm { get; init; }
    public required KernelInventory Kernel { get; init; }
    public required SecurityInventory Security { get; init; }
    /// <summary>By number; what the host moves around by itself is not in the comparison of snapshots.</summary>
    public IReadOnlyList<InterruptLine> Irqs { get; init; } = [];
    /// <summary>Installed programs that matter, by name; from the package database.</summary>
    public IReadOnlyList<SoftwareVersion> Software { get; init; } = [];
    /// <summary>User ids from 60000 up that accounts have, or that are given to containers.</summary>
    public IReadOnlyList<UserIdRange> UserIds { get; init; } = [];
    /// <summary>sys_vendor and product_name of SMBIOS.</summary>
    public string? Vendor { get; init; }
    public string? Product { get; init; }
    /// <summary>What could not be read although it should be there, and why: file and reason.</summary>
    public IReadOnlyList<string> Gaps { get; init; } = [];
}

/// <param name="Flags">Of /proc/cpuinfo (`Features` on arm64), all of them, sorted.</param>
/// <param name="VmxFlags">The `vmx flags` line of newer kernels; empty elsewhere.</param>
/// <param name="Microcode">As the kernel writes it, e.g. 0xa0011d3.</param>
/// <param name="Architecture">x86_64, aarch64, ppc64le …; of the tree that was read, not of this process.</param>
/// <param name="SmtControl">smt/control: on, off, forceoff, notsupported, notimplemented.</param>
/// <param name="HypervisorBelow">This host is itself a guest.</param>
public sealed record CpuInventory(string? Vendor, string? Model, string Architecture, IReadOnlyList<string> Flags, IReadOnlyList<string> VmxFlags, string? Microcode,
    string? SmtControl, bool? SmtActive, CpuSet Online, CpuSet Present, CpuSet Isolated, CpuSet NohzFull, bool HypervisorBelow);

/// <summary>Performance or efficiency core; Unknown where all are alike.</summary>
public enum CpuKind { Unknown, Performance, Efficiency }

/// <summary>One hardware thread.</summary>
/// <param name="Package">physical_package_id as written; no key: may repeat or be any number.</param>
/// <param name="Die">die_id as written; -1 and missing are null.</param>
/// <param name="Core">All threads of its core, itself included. Whole cores are given away by this set.</param>
/// <param name="Cluster">CPUs of its cluster (cluster_cpus_list); empty where there is none beyond the core.</param>
/// <param name="L2">CPUs that share its L2; empty where unknown.</param>
/// <param name="L3">CPUs that share its L3; empty where there is none.</param>
/// <param name="Node">NUMA node; -1 where unknown.</param>
/// <param name="MaxMHz">cpufreq's cpuinfo_max_freq.</param>
/// <param name="Governor">cpufreq's scaling_governor.</param>
public sealed record LogicalCpu(int Id, bool Online, int? Package, int? Die, CpuSet Core, CpuSet Cluster, CpuSet L2, CpuSet L3, int Node, CpuKind Kind, int? MaxMHz, string? Governor)
{
    /// <summary>Per-CPU PM QoS (power/pm_qos_resume_latency_us); null: not offered. 0 means no limit.</summary>
    public int? ResumeLatencyMicroseconds { get; init; }
}

/// <param name="Distances">Distance to each node, by node id.</param>
/// <param name="FreeMiB">That can be had: free, or only a cache of files.</param>
public sealed record NumaNode(int Id, CpuSet Cpus, long? MemoryMiB, long? FreeMiB, IReadOnlyDictionary<int, int> Distances, IReadOnlyList<HugePagePool> HugePages);

/// <param name="SizeKiB">Page size.</param>
/// <param name="Surplus">Beyond the pool, by overcommit.</param>
public sealed record HugePagePool(long SizeKiB, long Total, long Free, long Surplus);

/// <summary>Whether memory errors are corrected. EDAC's driver alone is no proof.</summary>
public enum EccState { Unknown, Absent, Present }

/// <param name="EccEvidence">Which file said so.</param>
/// <param name="CorrectedErrors">Sum of all controllers since boot; null without EDAC.</param>
public sealed record MemoryInventory(long TotalMiB, EccState Ecc, string? EccEvidence, long? CorrectedErrors, long? UncorrectedErrors, IReadOnlyList<string> DimmTypes);

/// <summary>One function of a PCI device.</summary>
public sealed record PciDevice
{
    /// <summary>domain:bus:device.function, e.g. 0000:31:00.0.</summary>
    public required string Address { get; init; }
    /// <summary>Six hex digits, e.g. 030200.</summary>
    public required string Class { get; init; }
    /// <summary>From pci.ids; null where the host has none.</summary>
    public string? ClassName { get; init; }
    /// <summary>Four hex digits.</summary>
    public required string VendorId { get; init; }
    public required string DeviceId { get; init; }
    public string? SubsystemVendorId { get; init; }
    public string? SubsystemId { get; init; }
    public string? VendorName { get; init; }
    public string? DeviceName { get; init; }
    public string? Driver { get; init; }
    /// <summary>As the kernel says, -1 where it does not; see <see cref="LocalCpus"/>.</summary>
    public int Node { get; init; } = -1;
    public CpuSet LocalCpus { get; init; }
    public int? IommuGroup { get; init; }
    /// <summary>flr, bus, pm …, in the kernel's order.</summary>
    public IReadOnlyList<string> ResetMethods { get; init; } = [];
    public IReadOnlyList<PciBar> Bars { get; init; } = [];
    public PciLink? Link { get; init; }
    public SriovFacts? Sriov { get; init; }
    /// <summary>Of a virtual function: the address of its physical function.</summary>
    public string? PhysicalFunction { get; init; }
    /// <summary>Address of the bridge or root port above; null at a root bus.</summary>
    public string? Parent { get; init; }
    public bool BootVga { get; init; }
}

/// <param name="Index">0 to 5; 6 is the expansion ROM.</param>
public sealed record PciBar(int Index, long SizeBytes, bool Prefetchable, bool Is64Bit);

/// <summary>Speeds in GT/s.</summary>
public sealed record PciLink(double? Speed, int? Width, double? MaxSpeed, int? MaxWidth);

/// <param name="Total">sriov_totalvfs; 0 where the firmware has it switched off.</param>
/// <param name="Enabled">sriov_numvfs.</param>
/// <param name="Functions">Addresses of the enabled virtual functions.</param>
public sealed record SriovFacts(int Total, int Enabled, IReadOnlyList<string> Functions);

/// <param name="Type">DMA, DMA-FQ, identity …; null where the kernel does not say.</param>
/// <param name="Devices">PCI addresses.</param>
public sealed record IommuGroup(int Id, string? Type, IReadOnlyList<string> Devices);

/// <param name="Units">dmar0, ivhd0, smmu3.0x…</param>
/// <param name="InterruptRemapping">False where vfio would need allow_unsafe_interrupts; null: not known.</param>
public sealed record IommuInventory(bool Enabled, IReadOnlyList<string> Units, bool? InterruptRemapping);

/// <summary>A network interface. Never with its hardware address.</summary>
/// <param name="Pci">Its PCI function; null for virtual interfaces and other buses.</param>
/// <param name="SpeedMbps">Null without link.</param>
public sealed record NetworkCard(string Name, string? Pci, string? Driver, bool Virtual, string? State, int? SpeedMbps, int RxQueues, int TxQueues)
{
    /// <summary>bridge, bond, vlan, tun, loopback … for virtual ones.</summary>
    public string? Kind { get; init; }
    /// <summary>The bridge or bond that it is part of.</summary>
    public string? Master { get; init; }
}

public enum BlockKind { Other, Nvme, Virtio, Scsi, Sata, Mmc, Raid, DeviceMapper, Loop, Zram }

/// <param name="Raid">raid0, raid1 … of an md device.</param>
/// <param name="UsedBy">Mount points, holders (md0, dm-0), `swap`, `zfs`; of the disk and of its partitions.</param>
public sealed record BlockDeviceFacts(string Name, BlockKind Kind, string? Model, long SizeBytes, bool? Rotational, string? Raid, string? Pci, string? Scheduler, IReadOnlyList<string> UsedBy);

/// <param name="Device">/dev/kvm is there.</param>
/// <param name="Modules">Loaded of kvm, kvm_intel, kvm_amd, kvm_pvm, vhost, vhost_net, vhost_vsock, vfio, vfio_pci, vfio_iommu_type1 …</param>
/// <param name="Parameters">`module.parameter` → value as written.</param>
public sealed record KvmInventory(bool Device, IReadOnlyList<string> Modules, IReadOnlyDictionary<string, string> Parameters)
{
    /// <summary>kvm_intel.ept or kvm_amd.npt; null where neither is loaded.</summary>
    public bool? SecondLevelPaging { get; init; }
    public bool? Nested { get; init; }
    public bool VhostNet { get; init; }
    public bool VhostVsock { get; init; }
    public bool VfioDevice { get; init; }
}

/// <summary>The kernel and how it is set; words are the kernel's own.</summary>
public sealed record KernelInventory
{
    public string? Version { get; init; }
    /// <summary>/proc/cmdline, without values that look like secrets or addresses.</summary>
    public string? CommandLine { get; init; }
    /// <summary>always, madvise or never.</summary>
    public string? TransparentHugePages { get; init; }
    public string? TransparentHugePageDefrag { get; init; }
    /// <summary>ksm/run: 0, 1 or 2.</summary>
    public int? Ksm { get; init; }
    public bool? NumaBalancing { get; init; }
    /// <summary>Swap areas with their sizes in MiB.</summary>
    public IReadOnlyList<SwapArea> Swap { get; init; } = [];
    public string? ClockSource { get; init; }
    public IReadOnlyList<string> ClockSources { get; init; } = [];
    /// <summary>cpuidle's driver and the states' names with exit latency in microseconds, of the first online CPU.</summary>
    public string? IdleDriver { get; init; }
    public IReadOnlyList<IdleState> IdleStates { get; init; } = [];
    public string? FrequencyDriver { get; init; }
    /// <summary>File name → text of /sys/devices/system/cpu/vulnerabilities.</summary>
    public IReadOnlyDictionary<string, string> Vulnerabilities { get; init; } = new Dictionary<string, string>();
    /// <summary>Security modules in order: capability, yama, apparmor …</summary>
    public IReadOnlyList<string> SecurityModules { get; init; } = [];
    /// <summary>v2, hybrid, v1 or none.</summary>
    public string CgroupVersion { get; init; } = "none";
    /// <summary>Controllers of the v2 hierarchy.</summary>
    public IReadOnlyList<string> CgroupControllers { get; init; } = [];
    public bool Systemd { get; init; }
    /// <summary>PREEMPT_RT (/sys/kernel/realtime).</summary>
    public bool Realtime { get; init; }
    /// <summary>A resctrl file system is mounted or offered by the kernel.</summary>
    public bool Resctrl { get; init; }
    /// <summary>irqbalance runs (a process of that name).</summary>
    public bool? Irqbalance { get; init; }
    /// <summary>A time service runs: chronyd, ntpd, systemd-timesyncd …; null: none seen.</summary>
    public string? TimeService { get; init; }
    /// <summary>vm.overcommit_memory.</summary>
    public int? OvercommitMemory { get; init; }
}

public sealed record SwapArea(string Name, long SizeMiB, bool Encrypted);

public sealed record IdleState(string Name, int LatencyMicroseconds, bool Disabled);

/// <param name="TpmVersion">1 or 2; null without TPM.</param>
/// <param name="Uefi">Booted by UEFI.</param>
/// <param name="SecureBoot">Null where it cannot be known.</param>
/// <param name="Lockdown">none, integrity or confidentiality.</param>
public sealed record SecurityInventory(int? TpmVersion, bool Uefi, bool? SecureBoot, bool? SetupMode, string? Lockdown)
{
    public ConfidentialState Sgx { get; init; }
    public ConfidentialState Sev { get; init; }
    public ConfidentialState SevEs { get; init; }
    public ConfidentialState SevSnp { get; init; }
    public ConfidentialState Tdx { get; init; }
    /// <summary>Data processing units that were recognised, by PCI address.</summary>
    public IReadOnlyList<string> Dpus { get; init; } = [];
    /// <summary>vDPA devices (/sys/bus/vdpa/devices).</summary>
    public IReadOnlyList<string> Vdpa { get; init; } = [];
}

/// <summary>A flag of the CPU does not mean that the firmware has switched it on.</summary>
public enum ConfidentialState { Absent, CpuOnly, Enabled }

/// <param name="Name">Of /proc/interrupts, e.g. mlx5_comp3@pci:0000:4b:00.0.</param>
/// <param name="Affinity">smp_affinity_list.</param>
/// <param name="Effective">effective_affinity_list; empty where the kernel does not say.</param>
/// <param name="Managed">The kernel places it and refuses others; null: found out only by trying.</param>
public sealed record InterruptLine(int Number, string Name, CpuSet Affinity, CpuSet Effective, bool? Managed)
{
    /// <summary>The PCI function that raises it, where the kernel says so (msi_irqs).</summary>
    public string? Pci { get; init; }
}

/// <param name="Name">qemu, ovmf, swtpm, virtiofsd, dpdk, openvswitch …</param>
public sealed record SoftwareVersion(string Name, string Version);

/// <param name="Owner">The account.</param>
/// <param name="Source">/etc/passwd, or /etc/subuid for ids that it may give to containers.</param>
public sealed record UserIdRange(string Owner, long First, long Last, string Source);
