namespace KvmPortal.Host.Tests.Linux.Fixtures;

public static partial class FixtureHosts
{
    /// <summary>F3: a hybrid laptop without IOMMU, EDAC and SR-IOV.</summary>
    public static FixtureHost Laptop(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 16; c++)
        {
            var pair = $"{c / 2 * 2}-{(c / 2 * 2) + 1}";
            var four = c < 12 ? "8-11" : "12-15";
            host.Cpu(c, c < 8
                ? new FixtureCpu(0, c / 2 * 4, pair, FixtureCpu.Levels(48, 32, 1280, 18432, pair, pair, "0-15")) { MaxKHz = 4_800_000, Cluster = pair, ClusterId = c / 2 * 8, Governor = "powersave", FrequencyDriver = "intel_pstate" }
                : new FixtureCpu(0, 8 + c, $"{c}", FixtureCpu.Levels(32, 64, 2048, 18432, $"{c}", four, "0-15")) { MaxKHz = 3_500_000, Cluster = four, ClusterId = c < 12 ? 32 : 40, Governor = "powersave", FrequencyDriver = "intel_pstate" });
        }

        host.CpuLists("0-15", "on", "1").CpuInfo(_ => """
            vendor_id	: GenuineIntel
            cpu family	: 6
            model		: 154
            model name	: 12th Gen Intel(R) Core(TM) i7-1270P
            stepping	: 3
            microcode	: 0x430
            flags		: fpu vme pse tsc msr pdpe1gb constant_tsc nonstop_tsc tsc_deadline_timer vmx smx tpr_shadow flexpriority ept vpid ept_ad avx2
            vmx flags	: vnmi preemption_timer posted_intr invvpid ept_x_only ept_ad ept_1gb flexpriority apicv tsc_offset vtpr mtf vapic ept vpid unrestricted_guest vapic_reg vid ple ept_mode_based_exec tsc_scaling
            """)
            .File("/sys/devices/cpu_core/cpus", host.Ids.List("0-7")).File("/sys/devices/cpu_atom/cpus", host.Ids.List("8-15"))
            .Node(0, "0-15", "10", 32_542_668, (1_048_576, 0), (2048, 0)).File("/sys/devices/system/node/online", "0").Memory(32_542_668).Pools("/sys/kernel/mm/hugepages", (1_048_576, 0), (2048, 0));
        Systemd(Kernel(host, "6.5.0-21-generic", "BOOT_IMAGE=/boot/vmlinuz root=/dev/mapper/vg-root ro quiet splash"));
        const string all = "0-15";
        host.Pci(new("0000:00:00.0", "060000", "8086:4621") { LocalCpus = all, Driver = "igen6_edac" }).Pci(new("0000:00:02.0", "030000", "8086:46a6") { LocalCpus = all, Driver = "i915", BootVga = true })
            .Pci(new("0000:00:14.3", "028000", "8086:51f0") { LocalCpus = all, Driver = "iwlwifi" }).Pci(new("0000:00:06.0", "060400", "8086:464d") { LocalCpus = all, Driver = "pcieport" })
            .Pci(new("0000:04:00.0", "010802", "144d:a80a") { Under = "0000:00:06.0", LocalCpus = all, Driver = "nvme", Reset = "flr bus" })
            .Nvme(0, "0000:04:00.0", "SAMSUNG MZVL21T0HCLR-00BL7", 2_000_409_264, partitions: 2).Nic("wlp0s20f3", "0000:00:14.3", 1, null).VirtualNic("lo", ("type", "772"))
            .Disk("/sys/devices/virtual/block/dm-0", "dm-0", 1_900_000_000, rotational: false, "none").Disk("/sys/devices/virtual/block/loop0", "loop0", 8192, rotational: false, "[none] mq-deadline")
            .File("/sys/devices/virtual/block/dm-0/dm/uuid", "CRYPT-LUKS2-" + Secrets.Uuid).File("/sys/devices/virtual/block/dm-0/dm/name", "vg-root")
            .File("/proc/mounts", "/dev/mapper/vg-root / ext4 rw 0 0\n/dev/nvme0n1p1 /boot/efi vfat rw 0 0").File("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/swapfile                               file\t\t2097148\t\t0\t\t-2");
        host.Files.Link("/sys/class/block/nvme0n1p2/holders/dm-0", "/sys/devices/virtual/block/dm-0").Remove("/sys/class/block/nvme0n1p2/holders/dm-0").Folder("/sys/kernel/iommu_groups").Folder("/sys/class/edac");
        var partition = "/sys/devices/pci0000:00/0000:00:06.0/0000:04:00.0/nvme/nvme0/nvme0n1/nvme0n1p2";
        host.Files.Link($"{partition}/holders/dm-0", "/sys/devices/virtual/block/dm-0").Link("/sys/devices/virtual/block/dm-0/slaves/nvme0n1p2", partition);
        return host.Module("kvm", ("halt_poll_ns", "200000")).Module("kvm_intel", ("ept", "Y"), ("nested", "Y")).File("/dev/kvm", "").Dmi("LENOVO", "21CBCTO1WW").File("/sys/class/tpm/tpm0/tpm_version_major", "2");
    }

    /// <summary>F4: a small cloud machine. Variant A has a /dev/kvm whose guests hang, B has none.</summary>
    public static FixtureHost Cloud(Renaming ids, bool kvm)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 4; c++)
            host.Cpu(c, new FixtureCpu(0, c, $"{c}", FixtureCpu.Levels(48, 32, 2048, 266_240, $"{c}", $"{c}", "0-3")));
        host.CpuLists("0-3", "notsupported", "0").CpuInfo(_ => """
            vendor_id	: GenuineIntel
            cpu family	: 6
            model		: 207
            model name	: Intel(R) Xeon(R) Processor
            stepping	: 2
            microcode	: 0x1
            flags		: fpu vme tsc msr pdpe1gb constant_tsc nonstop_tsc tsc_known_freq hypervisor avx512f amx_tile
            """)
            .Node(0, "0-3", "10", 24_681_992, (1_048_576, 0), (2048, 160)).File("/sys/devices/system/node/online", "0").Memory(24_681_992).Pools("/sys/kernel/mm/hugepages", (1_048_576, 0), (2048, 160));
        Kernel(host, "6.1.0-virt", "console=ttyS0 quiet reboot=k panic=1");
        host.File("/proc/1/comm", "process_api").File("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority")
            .File("/proc/mounts", "/dev/vda / ext4 rw 0 0\ntmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0").File("/sys/fs/cgroup/unified/cgroup.controllers", "")
            .File("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc kvm-clock ");
        host.Files.Folder("/sys/fs/cgroup/cpu");
        Vulnerabilities(host, ("itlb_multihit", "Not affected"), ("meltdown", "Not affected"), ("spectre_v1", "Mitigation: usercopy/swapgs barriers and __user pointer sanitization"));
        host.Pci(new("0000:00:00.0", "060000", "8086:0d57") { LocalCpus = "0-3" }).Pci(Virtio("0000:00:01.0", "ffff00", "1af4:1045")).Pci(Virtio("0000:00:02.0", "018000", "1af4:1042")).Pci(Virtio("0000:00:03.0", "020000", "1af4:1041"))
            .Pci(Virtio("0000:00:04.0", "ffff00", "1af4:1053")).Pci(Virtio("0000:00:05.0", "ffff00", "1af4:1044")).VirtioDisk("vda", "0000:00:02.0", 1, 536_870_912).VirtioNic("eth0", "0000:00:03.0", 2, 1).VirtualNic("lo", ("type", "772"))
            .Irq(36, "virtio1-req.0", "3", "3", "0000:00:02.0").Irq(26, "ttyS0", "0-3", "1");
        if (kvm)
            host.Module("kvm", ("halt_poll_ns", "200000")).Module("kvm_pvm").File("/dev/kvm", "");
        return Packages(host, ("qemu-system-x86", "1:7.2+dfsg-7+deb12u7"));

        static FixturePci Virtio(string address, string @class, string id) => new(address, @class, id) { LocalCpus = "0-3", Driver = "virtio-pci" };
    }

    /// <summary>F4c: a cloud machine with nested VT-x and a P100, without IOMMU.</summary>
    public static FixtureHost CloudNested(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 8; c++)
        {
            var pair = $"{c / 2 * 2}-{(c / 2 * 2) + 1}";
            host.Cpu(c, new FixtureCpu(0, c / 2, pair, FixtureCpu.Levels(32, 32, 256, 46_080, pair, pair, "0-7")));
        }

        host.CpuLists("0-7", "on", "1").CpuInfo(_ => """
            vendor_id	: GenuineIntel
            cpu family	: 6
            model		: 79
            model name	: Intel(R) Xeon(R) CPU E5-2695 v4 @ 2.10GHz
            stepping	: 1
            flags		: fpu vme tsc msr pdpe1gb constant_tsc vmx hypervisor tpr_shadow ept vpid avx2
            vmx flags	: vnmi invvpid ept_x_only ept_ad ept_1gb tsc_offset vtpr mtf ept vpid unrestricted_guest
            """)
            .Node(0, "0-7", "10", 57_671_680, (1_048_576, 0), (2048, 0)).Memory(57_671_680);
        Systemd(Kernel(host, "5.15.0-105-generic", "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro console=ttyS0"));
        return host.Pci(new("0000:00:02.0", "030000", "1b36:0100") { LocalCpus = "0-7", BootVga = true }).Pci(new("0000:00:05.0", "030200", "10de:15f8") { LocalCpus = "0-7", Driver = "nvidia", Bars = [(0, 16, false), (1, 16384, true), (3, 32, true)] })
            .Pci(new("0000:00:03.0", "020000", "1af4:1041") { LocalCpus = "0-7", Driver = "virtio-pci" }).Pci(new("0000:00:04.0", "010000", "1af4:1042") { LocalCpus = "0-7", Driver = "virtio-pci" })
            .VirtioNic("ens3", "0000:00:03.0", 0, 4).VirtioDisk("vda", "0000:00:04.0", 1, 209_715_200).Module("kvm").Module("kvm_intel", ("ept", "Y"), ("nested", "Y")).File("/dev/kvm", "")
            .Dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)").File("/usr/share/hwdata/pci.ids", PciIds);
    }
}
