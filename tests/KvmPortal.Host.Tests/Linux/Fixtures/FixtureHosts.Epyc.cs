namespace KvmPortal.Host.Tests.Linux.Fixtures;

public static partial class FixtureHosts
{
    private const string EpycFlags = "fpu vme de pse tsc msr pae aes avx2 constant_tsc nonstop_tsc pdpe1gb svm npt lbrv svm_lock nrip_save avic v_vmsave_vmload vgif sev sev_es";

    private static string EpycCpuInfo(string model, int cores, int threads) => $"""
        vendor_id	: AuthenticAMD
        cpu family	: 25
        model		: 1
        model name	: {model}
        stepping	: 1
        microcode	: 0xa0011d3
        siblings	: {threads}
        cpu cores	: {cores}
        flags		: {EpycFlags}
        """;

    /// <summary>F2: two EPYC 7413 with four nodes per socket; each node has one L3.</summary>
    public static FixtureHost Epyc(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 96; c++)
        {
            var k = c % 48;
            var n = k / 6;
            host.Cpu(c, new FixtureCpu(k / 24, k % 24, $"{k},{k + 48}", FixtureCpu.Levels(32, 32, 512, 32768, $"{k},{k + 48}", $"{k},{k + 48}", Epyc7413Node(n))) { MaxKHz = 2_650_000, Governor = "schedutil" });
        }

        host.CpuLists("0-127", "on", "1").CpuInfo(_ => EpycCpuInfo("AMD EPYC 7413 24-Core Processor", 24, 48));
        for (var n = 0; n < 8; n++)
            host.Node(n, Epyc7413Node(n), Distances(n), n switch { 3 => 64_496L, 6 => 64_456, 7 => 64_502, _ => 64_508 } * 1024, (1_048_576, 0), (2048, n == 0 ? 512 : 0));
        EpycCommon(host, nodes: 8, memoryMiB: 515_994);
        host.Pci(new("0000:20:03.1", "060400", "1022:1483") { Node = 2, LocalCpus = Epyc7413Node(2), Driver = "pcieport" })
            .Pci(new("0000:21:00.0", "020700", "15b3:101b") { Under = "0000:20:03.1", Node = 2, LocalCpus = Epyc7413Node(2), Driver = "mlx5_core", Group = 33, Reset = "flr", TotalVfs = 0, Link = ("16.0 GT/s PCIe", 16, "16.0 GT/s PCIe", 16) })
            .Pci(new("0000:a0:03.1", "060400", "1022:1483") { Node = 6, LocalCpus = Epyc7413Node(6), Driver = "pcieport" })
            .Pci(new("0000:a1:00.0", "010802", "144d:a824") { Under = "0000:a0:03.1", Node = 6, LocalCpus = Epyc7413Node(6), Driver = "nvme", Group = 51, Reset = "flr bus" })
            .Nvme(0, "0000:a1:00.0", "SAMSUNG MZWLJ7T6HALA-00007", 15_002_931_888, partitions: 0, multipath: true)
            .Pci(Gpu("0000:61:00.0", 3, 41)).Pci(Gpu("0000:e1:00.0", 7, 66));
        return Packages(host, ("qemu-system-x86", "1:7.2+dfsg-7+deb12u7"), ("ovmf", "2022.11-6+deb12u1"), ("dpdk", "22.11.6-1~deb12u1"));

        FixturePci Gpu(string address, int node, int group) => new(address, "030000", "10de:2235") { Node = node, LocalCpus = Epyc7413Node(node), Driver = "nvidia", Group = group, Reset = "flr bus", Bars = [(0, 16, false), (1, 65536, true), (3, 32, true)], TotalVfs = 32 };
    }

    /// <summary>F2b: two sockets of 64 cores, four nodes each, two L3 per node.</summary>
    public static FixtureHost Epyc64(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 256; c++)
        {
            var k = c % 128;
            var g = k / 8;
            host.Cpu(c, new FixtureCpu(k / 64, k % 64, $"{k},{k + 128}", FixtureCpu.Levels(32, 32, 512, 32768, $"{k},{k + 128}", $"{k},{k + 128}", $"{8 * g}-{(8 * g) + 7},{128 + (8 * g)}-{135 + (8 * g)}")));
        }

        host.CpuLists("0-255", "on", "1").CpuInfo(_ => EpycCpuInfo("AMD EPYC 7763 64-Core Processor", 64, 128));
        for (var n = 0; n < 8; n++)
            host.Node(n, $"{16 * n}-{(16 * n) + 15},{128 + (16 * n)}-{143 + (16 * n)}", Distances(n), 64_502L * 1024, (1_048_576, 0), (2048, 0));
        EpycCommon(host, nodes: 8, memoryMiB: 516_016);
        return host;
    }

    /// <summary>The same sockets with SMT switched off at run time: half of the CPUs are present and offline.</summary>
    public static FixtureHost EpycSmtOff(Renaming ids)
    {
        var host = new FixtureHost(ids);
        for (var c = 0; c < 256; c++)
        {
            var k = c % 128;
            var g = k / 8;
            host.Cpu(c, new FixtureCpu(k / 64, k % 64, $"{k}", FixtureCpu.Levels(32, 32, 512, 32768, $"{k}", $"{k}", $"{8 * g}-{(8 * g) + 7}")) { Online = c < 128 });
        }

        host.CpuLists("0-255", "off", "0").CpuInfo(_ => EpycCpuInfo("AMD EPYC 7763 64-Core Processor", 64, 64));
        for (var n = 0; n < 8; n++)
            host.Node(n, $"{16 * n}-{(16 * n) + 15}", Distances(n), 32_236L * 1024, (1_048_576, 0), (2048, 0));
        EpycCommon(host, nodes: 8, memoryMiB: 257_888);
        return host;
    }

    private static string Epyc7413Node(int n) => $"{6 * n}-{(6 * n) + 5},{48 + (6 * n)}-{53 + (6 * n)}";

    private static string Distances(int n) => string.Join(' ', Enumerable.Range(0, 8).Select(m => m == n ? 10 : m / 4 == n / 4 ? 12 : 32));

    private static void EpycCommon(FixtureHost host, int nodes, long memoryMiB)
    {
        host.In("/sys/devices/system/node", ("online", $"0-{nodes - 1}"), ("possible", "0-31"), ("has_cpu", $"0-{nodes - 1}"), ("has_memory", $"0-{nodes - 1}")).Memory(memoryMiB * 1024)
            .Pools("/sys/kernel/mm/hugepages", (1_048_576, 0), (2048, 0));
        Systemd(Kernel(host, "6.1.0-25-amd64", "BOOT_IMAGE=/boot/vmlinuz-6.1.0-25-amd64 root=UUID=" + Secrets.Uuid + " ro amd_iommu=on iommu=pt quiet"));
        Idle(host, "acpi_idle", ("POLL", 0), ("C1", 1), ("C2", 400));
        Vulnerabilities(host, ("itlb_multihit", "Not affected"), ("spec_rstack_overflow", "Mitigation: Safe RET"));
        host.Module("kvm", ("halt_poll_ns", "200000")).Module("kvm_amd", ("nested", "1"), ("npt", "Y"), ("sev", "Y"), ("sev_es", "N"), ("avic", "N")).Module("vfio_iommu_type1", ("allow_unsafe_interrupts", "N"))
            .File("/dev/kvm", "").File("/dev/sev", "").Iommu([.. Enumerable.Range(0, 8).Select(i => $"ivhd{i}")]).Dmi("Supermicro", "AS -2124GQ-NART")
            .File("/proc/mounts", "/dev/nvme0n1 /srv xfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0").File("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority");
        host.Files.Folder("/sys/firmware/efi/efivars");
    }
}
