namespace KvmPortal.Host.Tests.Linux.Fixtures;

public static partial class FixtureHosts
{
    private const string XeonCpuInfo = """
        vendor_id	: GenuineIntel
        cpu family	: 6
        model		: 106
        model name	: Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz
        stepping	: 6
        microcode	: 0xd0003b9
        flags		: fpu vme de pse tsc msr pae aes avx512f constant_tsc nonstop_tsc pdpe1gb tsc_deadline_timer vmx smx tpr_shadow flexpriority ept vpid ept_ad sgx sgx_lc
        vmx flags	: vnmi preemption_timer posted_intr invvpid ept_x_only ept_ad ept_1gb flexpriority apicv tsc_offset vtpr mtf vapic ept vpid unrestricted_guest vapic_reg vid ple shadow_vmcs pml ept_mode_based_exec tsc_scaling
        bogomips	: 5200.00
        """;

    /// <summary>F1: two sockets, two A100, SR-IOV cards, an NVMe without node, ECC, Secure Boot.</summary>
    public static FixtureHost Xeon(Renaming ids)
    {
        const string near = "0-31,64-95", far = "32-63,96-127";
        var host = new FixtureHost(ids);
        for (var c = 0; c < 128; c++)
        {
            var k = c % 64;
            var core = $"{k},{k + 64}";
            host.Cpu(c, new FixtureCpu(k / 32, c % 32, core, FixtureCpu.Levels(48, 32, 1280, 49152, core, core, k < 32 ? near : far)) { MaxKHz = 3_400_000 });
        }

        host.CpuLists("0-127", "on", "1", "(null)").CpuInfo(_ => XeonCpuInfo)
            .Node(0, near, "10 20", 263_839_112, (1_048_576, 64), (2048, 0)).Node(1, far, "20 10", 264_201_900, (1_048_576, 64), (2048, 0)).Memory(528_041_012)
            .In("/sys/devices/system/node", ("online", "0-1"), ("possible", "0-1"), ("has_cpu", "0-1"), ("has_memory", "0-1"))
            .Pools("/sys/kernel/mm/hugepages", (1_048_576, 128), (2048, 0));
        Kernel(host, "6.8.0-45-generic", $"BOOT_IMAGE=/vmlinuz-6.8.0 root=/dev/nvme0n1p2 ro ip={Secrets.Address} intel_iommu=on iommu=pt default_hugepagesz=1G hugepagesz=1G hugepages=128");
        Systemd(host);
        Idle(host, "intel_idle", ("POLL", 0), ("C1", 1), ("C1E", 4), ("C6", 170));
        Vulnerabilities(host, ("itlb_multihit", "Not affected"), ("mmio_stale_data", "Mitigation: Clear CPU buffers; SMT vulnerable"), ("spectre_v2", "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional"));
        XeonDevices(host, near, far);
        host.Module("kvm", ("halt_poll_ns", "200000"), ("ignore_msrs", "N"), ("nx_huge_pages", "N")).Module("kvm_intel", ("ept", "Y"), ("vpid", "Y"), ("unrestricted_guest", "Y"), ("nested", "Y"), ("enable_apicv", "Y"))
            .Module("vfio").Module("vfio_pci").Module("vfio_iommu_type1", ("allow_unsafe_interrupts", "N")).Module("vhost").Module("vhost_net")
            .File("/dev/kvm", "").File("/dev/vhost-net", "").File("/dev/vfio/vfio", "")
            .Dmi("Inspur", "NF5280M6").File("/sys/class/tpm/tpm0/tpm_version_major", "2").File("/dev/tpm0", "");
        const string guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
        host.Files.Bytes($"/sys/firmware/efi/efivars/SecureBoot-{guid}", [6, 0, 0, 0, 1]).Bytes($"/sys/firmware/efi/efivars/SetupMode-{guid}", [6, 0, 0, 0, 0]).Folder("/sys/fs/resctrl");
        // A memory device (type 17) of 34 bytes, 72 bits wide for 64 of data; its texts follow.
        byte[] dimm = [0x11, 0x22, 0x0c, 0x11, 0x00, 0x10, 0xfe, 0xff, 0x48, 0x00, 0x40, 0x00, .. new byte[22], .. System.Text.Encoding.ASCII.GetBytes(Secrets.Serial), 0, 0];
        host.Files.Bytes("/sys/firmware/dmi/entries/17-0/raw", dimm);
        for (var mc = 0; mc < 8; mc++)
            host.In($"/sys/devices/system/edac/mc/mc{mc}", ("mc_name", $"Intel_10nm Socket#{mc / 4} IMC#{mc % 4}"), ("ce_count", mc == 3 ? "2" : "0"), ("ue_count", "0"), ("dimm0/dimm_edac_mode", "SECDED"), ("dimm0/dimm_mem_type", "Registered-DDR4"), ("dimm0/dimm_label", "CPU_SrcID#0_MC#0_Chan#0_DIMM#0"));
        host.File("/usr/share/misc/pci.ids", PciIds).File("/proc/mounts", "/dev/nvme0n1p2 / ext4 rw,relatime 0 0\n/dev/nvme0n1p1 /boot/efi vfat rw 0 0\nproc /proc proc rw 0 0\nsysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0")
            .File("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/nvme0n1p3                          partition\t8388604\t\t0\t\t-2");
        return Packages(host, ("qemu-system-x86", "1:8.2.2+ds-0ubuntu1.4"), ("ovmf", "2024.02-2"), ("swtpm", "0.7.3-0ubuntu5"), ("virtiofsd", "1.10.0-2"), ("openvswitch-switch", "3.3.0-1ubuntu3.2"));
    }

    private static void XeonDevices(FixtureHost host, string near, string far)
    {
        (int, long, bool)[] a100 = [(0, 16, false), (1, 65536, true), (3, 32, true)];
        var fast = ("16.0 GT/s PCIe", 16, "16.0 GT/s PCIe", 16);
        FixturePci Port(string address, int node, string cpus) => new(address, "060400", "8086:347a") { Node = node, LocalCpus = cpus, Driver = "pcieport" };
        FixturePci Gpu(string address, string under, int node, string cpus, int group) => new(address, "030200", "10de:20f1")
        {
            Under = under,
            Subsystem = "10de:145f",
            Node = node,
            LocalCpus = cpus,
            Driver = "vfio-pci",
            Group = group,
            GroupType = "identity",
            Reset = "flr bus",
            Bars = a100,
            Link = fast,
            TotalVfs = 16,
        };
        FixturePci Card(string address, string under, string id, int node, string cpus, string driver, int group, int? vfs, params string[] functions) => new(address, "020000", id)
        {
            Under = under,
            Node = node,
            LocalCpus = cpus,
            Driver = driver,
            Group = group,
            Reset = "flr",
            Link = vfs is null ? null : ("8.0 GT/s PCIe", 8, "16.0 GT/s PCIe", 16),
            TotalVfs = vfs,
            Functions = functions,
            Bars = [(0, vfs is null ? 1 : 32, true)],
        };
        host.Pci(new("0000:17:00.0", "030000", "1a03:2000") { Node = 0, LocalCpus = near, Group = 24, BootVga = true, Driver = "ast", Bars = [(0, 64, false)] })
            .Pci(new("0000:17:00.1", "040300", "1a03:2010") { Node = 0, LocalCpus = near, Group = 24, Driver = "snd_hda_intel" })
            .Pci(Port("0000:30:02.0", 0, near)).Pci(Gpu("0000:31:00.0", "0000:30:02.0", 0, near, 17))
            .Pci(Port("0000:b0:02.0", 1, far)).Pci(Gpu("0000:b1:00.0", "0000:b0:02.0", 1, far, 61))
            .Pci(Port("0000:4a:02.0", 0, near)).Pci(Card("0000:4b:00.0", "0000:4a:02.0", "15b3:101d", 0, near, "mlx5_core", 40, 8, "0000:4b:00.2", "0000:4b:00.3"))
            .Pci(Card("0000:4b:00.1", "0000:4a:02.0", "15b3:101d", 0, near, "mlx5_core", 41, 8))
            .Pci(Card("0000:4b:00.2", "0000:4a:02.0", "15b3:101e", 0, near, "mlx5_core", 42, null)).Pci(Card("0000:4b:00.3", "0000:4a:02.0", "15b3:101e", 0, near, "mlx5_core", 43, null))
            .Pci(Port("0000:97:04.0", 1, far)).Pci(Card("0000:98:00.0", "0000:97:04.0", "8086:1583", 1, far, "i40e", 88, 64, "0000:98:02.0", "0000:98:02.1", "0000:98:02.2", "0000:98:02.3"))
            .Pci(Card("0000:98:00.1", "0000:97:04.0", "8086:1583", 1, far, "i40e", 89, 64));
        for (var vf = 0; vf < 4; vf++)
            host.Pci(Card($"0000:98:02.{vf}", "0000:97:04.0", "8086:154c", 1, far, "iavf", 90 + vf, null));
        host.Pci(Port("0000:64:02.0", -1, "0-127"))
            .Pci(new("0000:65:00.0", "010802", "144d:a824") { Under = "0000:64:02.0", Node = -1, LocalCpus = "0-127", Driver = "nvme", Group = 70, Reset = "flr bus", Bars = [(0, 1, false)], Link = ("16.0 GT/s PCIe", 4, "16.0 GT/s PCIe", 4) })
            .Nvme(0, "0000:65:00.0", "SAMSUNG MZWLR3T8HBLS-00007", 7_501_476_528, partitions: 3)
            .Nic("ens5f0np0", "0000:4b:00.0", 63, 100_000).Nic("ens5f1np1", "0000:4b:00.1", 63, null).Nic("ens7f0", "0000:98:00.0", 64, 40_000).Nic("ens7f1", "0000:98:00.1", 64, null)
            .Nic("ens5f0v0", "0000:4b:00.2", 11, 100_000).Nic("ens7f0v0", "0000:98:02.0", 4, 40_000)
            .VirtualNic("lo", ("type", "772")).VirtualNic("br0", ("bridge/stp_state", "0"), ("uevent", "DEVTYPE=bridge\nINTERFACE=br0"))
            .Iommu([.. Enumerable.Range(0, 10).Select(i => $"dmar{i}")]);
        for (var i = 0; i < 63; i++)
            host.Irq(200 + i, $"mlx5_comp{i}@pci:0000:4b:00.0", $"{(i < 32 ? i : i + 32)}", $"{(i < 32 ? i : i + 32)}", "0000:4b:00.0");
        for (var i = 1; i <= 64; i++)
            host.Irq(300 + i, $"nvme0q{i}", $"{i - 1},{i + 63}", $"{i - 1}", "0000:65:00.0");
    }
}
