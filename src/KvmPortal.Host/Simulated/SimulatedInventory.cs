using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>A server of two nodes with 16 cores each, a network card with SR-IOV and a GPU, well set up.</summary>
internal static class SimulatedInventory
{
    private const int Threads = 64;

    public static HostInventory Make() => new()
    {
        Cpu = new CpuInventory("GenuineIntel", "Simulated 64-core CPU", "x86_64", ["aes", "constant_tsc", "ept", "nonstop_tsc", "pdpe1gb", "vmx"], ["apicv", "ept", "posted_intr"], "0x1", "on", true, CpuSet.Range(0, Threads - 1),
            CpuSet.Range(0, Threads - 1), default, default, false),
        Cpus = [.. Enumerable.Range(0, Threads).Select(Thread)],
        NumaNodes = [.. Enumerable.Range(0, 2).Select(id => new NumaNode(id, OfNode(id), 65_536, 60_000, new Dictionary<int, int> { [0] = id == 0 ? 10 : 20, [1] = id == 1 ? 10 : 20 }, [new HugePagePool(2048, 0, 0, 0), new HugePagePool(1 << 20, 16, 16, 0)]))],
        Memory = new MemoryInventory(131_072, EccState.Present, "/sys/devices/system/edac/mc/mc*/dimm*/dimm_edac_mode = SECDED", 0, 0, ["Registered-DDR5"]),
        PciDevices =
        [
            new PciDevice { Address = "0000:31:00.0", Class = "030200", ClassName = "3D controller", VendorId = "10de", DeviceId = "20f1", VendorName = "NVIDIA Corporation", DeviceName = "GA100 [A100 PCIe 40GB]", Driver = "vfio-pci", Node = 0, LocalCpus = OfNode(0), IommuGroup = 17, ResetMethods = ["flr", "bus"], Bars = [new PciBar(1, 64L << 30, true, true)], Link = new PciLink(16, 16, 16, 16) },
            new PciDevice { Address = "0000:4b:00.0", Class = "020000", ClassName = "Ethernet controller", VendorId = "15b3", DeviceId = "101d", VendorName = "Mellanox Technologies", DeviceName = "MT2892 Family [ConnectX-6 Dx]", Driver = "mlx5_core", Node = 0, LocalCpus = OfNode(0), IommuGroup = 40, ResetMethods = ["flr"], Sriov = new SriovFacts(8, 0, []), Link = new PciLink(16, 8, 16, 16) },
            new PciDevice { Address = "0000:98:00.0", Class = "010802", ClassName = "Non-Volatile memory controller", VendorId = "144d", DeviceId = "a824", VendorName = "Samsung Electronics Co Ltd", DeviceName = "NVMe SSD Controller PM173X", Driver = "nvme", Node = 1, LocalCpus = OfNode(1), IommuGroup = 61, ResetMethods = ["flr"], Link = new PciLink(16, 4, 16, 4) },
        ],
        IommuGroups = [new IommuGroup(17, "DMA-FQ", ["0000:31:00.0"]), new IommuGroup(40, "DMA-FQ", ["0000:4b:00.0"]), new IommuGroup(61, "DMA-FQ", ["0000:98:00.0"])],
        Iommu = new IommuInventory(true, ["dmar0", "dmar1"], true),
        Nics = [new NetworkCard("ens5f0np0", "0000:4b:00.0", "mlx5_core", false, "up", 100_000, 32, 32), new NetworkCard("lo", null, null, true, "unknown", null, 1, 1) { Kind = "loopback" }],
        BlockDevices = [new BlockDeviceFacts("nvme0n1", BlockKind.Nvme, "Simulated NVMe", 2L << 40, false, null, "0000:98:00.0", "none", ["/"])],
        Kvm = new KvmInventory(true, ["kvm", "kvm_intel", "vhost", "vhost_net"], new Dictionary<string, string> { ["kvm_intel.ept"] = "Y", ["kvm_intel.enable_apicv"] = "Y", ["kvm_intel.nested"] = "Y" }) { SecondLevelPaging = true, Nested = true, VhostNet = true, VhostVsock = true, VfioDevice = true },
        Kernel = new KernelInventory
        {
            Version = "6.1.0-simulated",
            CommandLine = "root=/dev/nvme0n1p2 ro intel_iommu=on iommu=pt hugepagesz=1G hugepages=32",
            TransparentHugePages = "madvise",
            Ksm = 0,
            NumaBalancing = true,
            ClockSource = "tsc",
            CgroupVersion = "v2",
            CgroupControllers = ["cpuset", "cpu", "io", "memory", "pids"],
            Systemd = true,
            SecurityModules = ["lockdown", "capability", "apparmor"],
            Vulnerabilities = new Dictionary<string, string> { ["meltdown"] = "Not affected", ["mds"] = "Mitigation: Clear CPU buffers; SMT vulnerable" },
            IdleStates = [new IdleState("POLL", 0, false), new IdleState("C1", 2, false), new IdleState("C6", 190, false)],
            Irqbalance = true,
            TimeService = "chronyd",
        },
        Security = new SecurityInventory(2, true, true, false, "none") { Sgx = ConfidentialState.CpuOnly },
        Irqs = [.. Enumerable.Range(0, 32).Select(i => new InterruptLine(64 + i, $"mlx5_comp{i}@pci:0000:4b:00.0", CpuSet.Of(i), CpuSet.Of(i), null) { Pci = "0000:4b:00.0" })],
        Software = [new SoftwareVersion("ovmf", "2022.11"), new SoftwareVersion("qemu", "7.2"), new SoftwareVersion("swtpm", "0.7.1")],
        Vendor = "Simulated",
        Product = "Server",
    };

    // Node 0 has cores 0-15 with the sibling threads 32-47, node 1 the rest.
    private static CpuSet OfNode(int id) => CpuSet.Range(id * 16, (id * 16) + 15) | CpuSet.Range(32 + (id * 16), 47 + (id * 16));

    private static LogicalCpu Thread(int id)
    {
        var (core, node) = (id % 32, id % 32 / 16);
        return new LogicalCpu(id, true, node, 0, CpuSet.Of(core, core + 32), default, CpuSet.Of(core, core + 32), OfNode(node), node, CpuKind.Unknown, 3500, "performance") { ResumeLatencyMicroseconds = 0 };
    }
}
