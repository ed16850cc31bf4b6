namespace KvmPortal.Host.Tests.Linux.Fixtures;

public static partial class FixtureHosts
{
    /// <summary>F5: two Kunpeng 920; package ids 36 and 8442, no dies, clusters of four, four sizes of huge pages.</summary>
    public static FixtureHost Kunpeng(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 128; c++)
        {
            var cluster = $"{c / 4 * 4}-{(c / 4 * 4) + 3}";
            var node = $"{c / 32 * 32}-{(c / 32 * 32) + 31}";
            host.Cpu(c, new FixtureCpu(c < 64 ? 36 : 8442, c, $"{c}", FixtureCpu.Levels(64, 64, 512, 32768, $"{c}", $"{c}", node)) { Die = -1, Cluster = cluster, ClusterId = 138 + (c / 4 * 24), Capacity = 1024 });
        }

        host.CpuLists("0-127", "notimplemented", "0").CpuInfo(_ => """
            BogoMIPS	: 200.00
            Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma dcpop asimddp asimdfhm
            CPU implementer	: 0x48
            CPU architecture: 8
            CPU variant	: 0x1
            CPU part	: 0xd01
            CPU revision	: 0
            Serial		: S3CR3T-SERIAL-4711
            """);
        (string Cpus, string Distance, long KiB)[] nodes = [("0-31", "10 16 32 33", 131_732_940), ("32-63", "16 10 25 32", 132_117_940), ("64-95", "32 25 10 16", 132_117_936), ("96-127", "33 32 16 10", 131_062_408)];
        for (var n = 0; n < 4; n++)
            host.Node(n, nodes[n].Cpus, nodes[n].Distance, nodes[n].KiB, (64, 0), (2048, 0), (32_768, 0), (1_048_576, 0));
        Systemd(Kernel(host, "5.10.0-182.0.0.95.oe2203sp3.aarch64", "BOOT_IMAGE=/vmlinuz root=/dev/sda2 ro smmu.bypassdev=0x1000:0x17"));
        return host.File("/sys/devices/system/node/online", "0-3").Memory(527_031_224)
            .In("/sys/devices/system/clocksource/clocksource0", ("current_clocksource", "arch_sys_counter"), ("available_clocksource", "arch_sys_counter "))
            .Pci(new("0000:7c:00.0", "060400", "19e5:a121") { Node = 0, LocalCpus = "0-31", Driver = "pcieport" })
            .Pci(new("0000:7d:00.0", "020000", "19e5:a222") { Under = "0000:7c:00.0", Node = 0, LocalCpus = "0-31", Driver = "hns3", Group = 20, Reset = "flr", TotalVfs = 3, Functions = ["0000:7d:01.0"] })
            .Pci(new("0000:7d:01.0", "020000", "19e5:a22e") { Under = "0000:7c:00.0", Node = 0, LocalCpus = "0-31", Driver = "hns3vf", Group = 21 }).Nic("enp125s0f0", "0000:7d:00.0", 16, 25_000)
            .Iommu("smmu3.0x0000000148000000").Module("vfio_iommu_type1", ("allow_unsafe_interrupts", "N")).File("/dev/kvm", "").Dmi("Huawei", "XA320 V2 ").File("/sys/devices/virtual/dmi/id/chassis_type", "17");
    }

    /// <summary>F6: four E7-4870 whose CPUs go round the nodes; network cards without a node.</summary>
    public static FixtureHost InterleavedE7(Renaming ids)
    {
        var host = new FixtureHost(ids);
        static string Node(int n) => string.Join(',', Enumerable.Range(0, 10).Select(i => (4 * i) + n));
        for (var c = 0; c < 40; c++)
            host.Cpu(c, new FixtureCpu(c % 4, c / 4, $"{c}", FixtureCpu.Levels(32, 32, 256, 30_720, $"{c}", $"{c}", Node(c % 4))) { Modern = false });
        host.CpuLists("0-79", nohzFull: null).CpuInfo(_ => "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) CPU E7- 4870  @ 2.40GHz\nflags\t\t: fpu pdpe1gb constant_tsc vmx smx ept vpid");
        for (var n = 0; n < 4; n++)
            host.Node(n, Node(n), string.Join(' ', Enumerable.Range(0, 4).Select(m => m == n ? 10 : 20)), n == 0 ? 134_204_252 : 134_217_728, (2048, 0));
        return Kernel(host, "3.2.0-4-amd64", "ro quiet").Memory(536_857_436).Pci(new("0000:10:00.0", "020000", "14e4:1639") { LocalCpus = "0-39", Driver = "bnx2" }).Pci(new("0000:10:00.1", "020000", "14e4:1639") { LocalCpus = "0-39", Driver = "bnx2" })
            .Nic("eth0", "0000:10:00.0", 8, 1000).Nic("eth1", "0000:10:00.1", 8, null);
    }

    /// <summary>F6: four Opteron 6276, eight nodes whose distances are no matter of sockets; threads in modules, cache lists that end in a space.</summary>
    public static FixtureHost Opteron(Renaming ids)
    {
        string[] distances = ["10 16 16 22 16 22 16 22", "16 10 22 16 16 22 22 16", "16 22 10 16 16 16 16 16", "22 16 16 10 16 16 22 22", "16 16 16 16 10 16 16 22", "22 22 16 16 16 10 22 16", "16 22 16 22 16 22 10 16", "22 16 16 22 22 16 16 10"];
        var host = new FixtureHost(ids);
        for (var c = 0; c < 64; c++)
        {
            var pair = $"{c / 2 * 2}-{(c / 2 * 2) + 1}";
            host.Cpu(c, new FixtureCpu(c / 16, c % 8, pair, FixtureCpu.Levels(16, 64, 2048, 6144, $"{c}", pair, $"{c / 8 * 8}-{(c / 8 * 8) + 7}")) { Modern = false });
        }

        host.CpuLists("0-63", nohzFull: null).CpuInfo(_ => "vendor_id\t: AuthenticAMD\nmodel name\t: AMD Opteron(TM) Processor 6276                 \nflags\t\t: fpu pdpe1gb constant_tsc svm npt lbrv svm_lock nrip_save");
        for (var n = 0; n < 8; n++)
            host.Node(n, $"{8 * n}-{(8 * n) + 7}", distances[n], n == 5 ? 8_388_608 : 16_777_216, (2048, 0));
        return Kernel(host, "2.6.32-5-amd64", "ro").Memory(125_829_120);
    }

    /// <summary>F6: POWER9 with nodes 0, 8 and 250 to 255; the lists of the first two also hold CPUs that are not there.</summary>
    public static FixtureHost Power9(Renaming ids)
    {
        var host = new FixtureHost(ids);
        foreach (var c in Enumerable.Range(0, 16).Concat(Enumerable.Range(88, 16)))
        {
            var (four, eight) = ($"{c / 4 * 4}-{(c / 4 * 4) + 3}", $"{c / 8 * 8}-{(c / 8 * 8) + 7}");
            host.Cpu(c, new FixtureCpu(c < 88 ? 0 : 8, c / 4 * 4, four, FixtureCpu.Levels(32, 32, 512, 10_240, four, eight, eight)) { Modern = false });
        }

        host.CpuLists("0-175").CpuInfo(_ => "cpu\t\t: POWER9, altivec supported\nclock\t\t: 3450.000000MHz\nrevision\t: 2.1 (pvr 004e 1201)")
            .Node(0, "0-87", "10 40 80 80 80 80 80 80", 129_839_104, (2048, 0), (1_048_576, 0)).Node(8, "88-175", "40 10 80 80 80 80 80 80", 133_952_000, (2048, 0), (1_048_576, 0));
        for (var n = 250; n < 256; n++)
            host.Node(n, "", string.Join(' ', new[] { 0, 8, 250, 251, 252, 253, 254, 255 }.Select(m => m == n ? 10 : 80)), 15_728_640, (2048, 0), (1_048_576, 0));
        return Kernel(host, "4.14.0-115.el7a.ppc64le", "root=/dev/sda2 ro").In("/sys/devices/system/node", ("online", "0,8,250-255"), ("possible", "0,8,250-255"), ("has_cpu", "0,8"), ("has_memory", "0,8,250-255")).Memory(358_162_944)
            .Pci(new("0004:04:00.0", "030200", "10de:1db5") { Node = 255, LocalCpus = "", Driver = "nvidia", Group = 9 }).Pci(new("0035:03:00.0", "030200", "10de:1db5") { Node = 252, LocalCpus = "", Driver = "nvidia", Group = 12 }).File("/dev/kvm", "").Module("kvm_hv");
    }

    /// <summary>F6: two E5-2680 with an NVMe that says node -1 and yet CPUs 0-3.</summary>
    public static FixtureHost E5(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 16; c++)
            host.Cpu(c, new FixtureCpu(c / 8, c % 8, $"{c}", FixtureCpu.Levels(32, 32, 256, 20_480, $"{c}", $"{c}", c < 8 ? "0-7" : "8-15")) { Modern = false });
        host.CpuLists("0-127", nohzFull: null).CpuInfo(_ => "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) CPU E5-2680 0 @ 2.70GHz\nflags\t\t: fpu pdpe1gb constant_tsc vmx smx ept vpid")
            .Node(0, "0-7", "10 21", 16_747_124, (2048, 0)).Node(1, "8-15", "21 10", 16_777_216, (2048, 0)).File("/sys/devices/system/node/online", "0-1").Memory(33_524_340);
        return Kernel(host, "3.10.0-el7", "ro").Pci(new("0000:00:02.0", "060400", "8086:3c04") { Node = 0, LocalCpus = "0-7", Driver = "pcieport" })
            .Pci(new("0000:07:00.0", "010802", "8086:0953") { Under = "0000:00:02.0", LocalCpus = "0-3", Driver = "nvme" }).Nvme(0, "0000:07:00.0", "INTEL SSDPEDMD400G4", 781_422_768);
    }

    /// <summary>F6: an i7-1370P of a kernel without the hybrid PMU folders: kinds show only in caches and frequencies.</summary>
    public static FixtureHost HybridWithoutPmu(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 20; c++)
        {
            var (pair, four) = ($"{c / 2 * 2}-{(c / 2 * 2) + 1}", $"{c / 4 * 4}-{(c / 4 * 4) + 3}");
            host.Cpu(c, c < 12
                ? new FixtureCpu(0, c / 2 * 4, pair, FixtureCpu.Levels(48, 32, 1280, 24_576, pair, pair, "0-19")) { Cluster = pair, ClusterId = c / 2 * 8, MaxKHz = c is 4 or 5 ? 5_200_000 : 5_000_000, FrequencyDriver = "intel_pstate" }
                : new FixtureCpu(0, 12 + c, $"{c}", FixtureCpu.Levels(32, 64, 2048, 24_576, $"{c}", four, "0-19")) { Cluster = four, ClusterId = c / 4 * 16, MaxKHz = 3_900_000, FrequencyDriver = "intel_pstate" });
        }

        host.CpuLists("0-19", "on", "1").CpuInfo(_ => "vendor_id\t: GenuineIntel\nmodel name\t: 13th Gen Intel(R) Core(TM) i7-1370P\nmicrocode\t: 0x4119\nflags\t\t: fpu pdpe1gb constant_tsc vmx smx ept vpid ept_ad hfi")
            .Node(0, "0-19", "10", 32_489_480, (1_048_576, 0), (2048, 0)).Memory(32_489_480);
        return Kernel(host, "6.1.0-13-amd64", "quiet");
    }
}
