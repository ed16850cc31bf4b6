using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>Hosts with the layout of real ones: servers of two packages, several nodes per package, hybrid laptops, clouds, arm64 and oddities.</summary>
internal static class Hosts
{
    private const long G1 = 1024 * 1024;
    private const long M2 = 2048;

    /// <summary>2 packages of 32 cores with 2 threads, 64 pages of 1 GiB per node, a GPU and a NIC at each node.</summary>
    public static HostInventory TwoSockets()
    {
        var host = new HostBuilder();
        for (var k = 0; k < 64; k++)
            host.Core([k, k + 64], k / 32, k / 32, CpuSet.Parse(k < 32 ? "0-31,64-95" : "32-63,96-127"));
        host.Node(0, "0-31,64-95", 257655, [10, 20], null, (G1, 64), (M2, 0)).Node(1, "32-63,96-127", 258044, [20, 10], null, (G1, 64), (M2, 0));
        host.Device("0000:31:00.0", "030200", "10de:20f1", 0, "0-31,64-95", 17, new SriovFacts(16, 0, [])).Device("0000:b1:00.0", "030200", "10de:20f1", 1, "32-63,96-127", 61);
        host.Device("0000:4b:00.0", "020000", "15b3:101d", 0, "0-31,64-95", 38, new SriovFacts(8, 2, ["0000:4b:00.2", "0000:4b:00.3"]))
            .Device("0000:4b:00.1", "020000", "15b3:101d", 0, "0-31,64-95", 39, new SriovFacts(8, 2, ["0000:4b:01.2", "0000:4b:01.3"]));
        foreach (var (vf, i) in new[] { "0000:4b:00.2", "0000:4b:00.3", "0000:4b:01.2", "0000:4b:01.3" }.Select((v, i) => (v, i)))
            host.Device(vf, "020000", "15b3:101e", 0, "0-31,64-95", 40 + i, null, i < 2 ? "0000:4b:00.0" : "0000:4b:00.1");
        host.Device("0000:98:00.0", "020000", "8086:1583", 1, "32-63,96-127", 88, new SriovFacts(64, 4, ["0000:98:02.0", "0000:98:02.1", "0000:98:02.2", "0000:98:02.3"]));
        for (var i = 0; i < 4; i++)
            host.Device($"0000:98:02.{i}", "020000", "8086:154c", 1, "32-63,96-127", 90 + i, null, "0000:98:00.0");
        host.Device("0000:65:00.0", "010802", "144d:a824", -1, "0-127", 70, driver: "nvme");
        host.Device("0000:17:00.0", "040300", "8086:0001", 0, "0-31,64-95", 24).Device("0000:18:00.0", "030000", "8086:0002", 0, "0-31,64-95", 24);
        host.Disks.Add(new BlockDeviceFacts("nvme0n1", BlockKind.Nvme, null, 1L << 40, false, null, "0000:65:00.0", null, ["/"]));
        host.Irqs.Add(new InterruptLine(140, "mlx5_comp3@pci:0000:4b:00.0", CpuSet.Of(3), CpuSet.Of(3), null));
        host.Irqs.Add(new InterruptLine(141, "nvme0q5", CpuSet.Of(4, 68), CpuSet.Of(4), true));
        host.Irqs.Add(new InterruptLine(142, "eth0", CpuSet.Range(0, 127), CpuSet.Of(5), false));
        host.Irqs.Add(new InterruptLine(143, "eth1", CpuSet.Of(40), CpuSet.Of(40), false));
        return host.Build();
    }

    /// <summary>2 packages of 4 nodes with 6 cores, an L3 each.</summary>
    public static HostInventory FourNodesPerSocket(long pages = 16)
    {
        var host = new HostBuilder { Vendor = "AuthenticAMD" };
        for (var n = 0; n < 8; n++)
        {
            var list = $"{6 * n}-{(6 * n) + 5},{48 + (6 * n)}-{48 + (6 * n) + 5}";
            for (var c = 6 * n; c < (6 * n) + 6; c++)
                host.Core([c, c + 48], n, n / 4, CpuSet.Parse(list));
            host.Node(n, list, 64508, [.. Enumerable.Range(0, 8).Select(m => m == n ? 10 : m / 4 == n / 4 ? 12 : 32)], null, (G1, pages), (M2, 0));
        }

        return host.Device("0000:21:00.0", "020000", "15b3:101b", 2, "", 5).Device("0000:a1:00.0", "010802", "144d:a824", 6, "", 6)
            .Device("0000:41:00.0", "030200", "10de:2235", 3, "", 7).Device("0000:c1:00.0", "030200", "10de:2235", 7, "", 8).Build();
    }

    /// <summary>2 packages of 4 nodes with 16 cores, two L3 per node; 256 threads.</summary>
    public static HostInventory TwoCachesPerNode(bool smt = true)
    {
        var host = new HostBuilder { Vendor = "AuthenticAMD" };
        for (var n = 0; n < 8; n++)
        {
            for (var c = 16 * n; c < (16 * n) + 16; c++)
            {
                var g = c / 8;
                host.Core(smt ? [c, c + 128] : [c], n, n / 4, CpuSet.Parse(smt ? $"{8 * g}-{(8 * g) + 7},{128 + (8 * g)}-{128 + (8 * g) + 7}" : $"{8 * g}-{(8 * g) + 7}"));
            }

            var list = $"{16 * n}-{(16 * n) + 15}" + (smt ? $",{128 + (16 * n)}-{128 + (16 * n) + 15}" : "");
            host.Node(n, list, smt ? 64502 : 32000, [.. Enumerable.Range(0, 8).Select(m => m == n ? 10 : m / 4 == n / 4 ? 12 : 32)], null, (G1, 24), (M2, 2048));
        }

        return host.Build();
    }

    /// <summary>4 fast cores of 2 threads, 8 slow ones; no IOMMU.</summary>
    public static HostInventory Hybrid()
    {
        var host = new HostBuilder { Iommu = false };
        var l3 = CpuSet.Range(0, 15);
        for (var c = 0; c < 8; c += 2)
            host.Core([c, c + 1], 0, 0, l3, CpuSet.Of(c, c + 1), CpuKind.Performance);
        for (var c = 8; c < 16; c++)
            host.Core([c], 0, 0, l3, c < 12 ? CpuSet.Range(8, 11) : CpuSet.Range(12, 15), CpuKind.Efficiency);
        host.Node(0, "0-15", 31780, [10], null, (G1, 0), (M2, 0));
        host.Device("0000:00:02.0", "030000", "8086:46a6", -1, "0-15").Device("0000:00:14.3", "028000", "8086:51f0", -1, "0-15").Device("0000:04:00.0", "010802", "144d:a80a", -1, "0-15");
        return host.Build();
    }

    /// <summary>A small guest of a cloud: 4 CPUs, no IOMMU, cgroup v1.</summary>
    public static HostInventory Cloud(bool largePages = true)
    {
        var host = new HostBuilder { Iommu = false, Flags = largePages ? ["pdpe1gb"] : ["sse2"], Kernel = new KernelInventory { CgroupVersion = "hybrid", ClockSource = "tsc" } };
        for (var c = 0; c < 4; c++)
            host.Core([c], 0, 0, CpuSet.Range(0, 3));
        return host.Node(0, "0-3", 24103, [10], null, (M2, 160)).Build();
    }

    /// <summary>arm64: 4 nodes of 32 cores without SMT, clusters of 4, packages with odd numbers.</summary>
    public static HostInventory Arm()
    {
        var host = new HostBuilder { Architecture = "aarch64", Vendor = null, Flags = ["fp", "asimd"] };
        int[][] distances = [[10, 16, 32, 33], [16, 10, 25, 32], [32, 25, 10, 16], [33, 32, 16, 10]];
        for (var c = 0; c < 128; c++)
            host.Core([c], c / 32, c < 64 ? 36 : 8442, CpuSet.Range(c / 32 * 32, (c / 32 * 32) + 31), CpuSet.Range(c / 4 * 4, (c / 4 * 4) + 3));
        for (var n = 0; n < 4; n++)
            host.Node(n, $"{32 * n}-{(32 * n) + 31}", 128645, distances[n], null, (64, 0), (M2, 0), (32768, 0), (G1, 32));
        return host.Build();
    }

    /// <summary>4 packages whose CPUs are interleaved, and a device that is local to all of them.</summary>
    public static HostInventory Interleaved()
    {
        var host = new HostBuilder();
        for (var c = 0; c < 40; c++)
            host.Core([c], c % 4, c % 4, CpuSet.Of(Enumerable.Range(0, 10).Select(i => (i * 4) + (c % 4))));
        for (var n = 0; n < 4; n++)
            host.Node(n, CpuSet.Of(Enumerable.Range(0, 10).Select(i => (i * 4) + n)).ToString(), 64000, [.. Enumerable.Range(0, 4).Select(m => m == n ? 10 : 20)], null, (G1, 16));
        return host.Device("0000:05:00.0", "020000", "8086:10c9", -1, "0-39", 3).Device("0000:06:00.0", "010802", "8086:0953", -1, "1,5,9", 4).Build();
    }

    /// <summary>8 nodes without caches told, whose distances are not the same both ways.</summary>
    public static HostInventory Asymmetric()
    {
        var host = new HostBuilder { Vendor = "AuthenticAMD" };
        for (var c = 0; c < 64; c++)
            host.Core([c], c / 8, c / 16, CpuSet.Empty);
        for (var n = 0; n < 8; n++)
            host.Node(n, $"{8 * n}-{(8 * n) + 7}", 32000, [.. Enumerable.Range(0, 8).Select(m => m == n ? 10 : m / 2 == n / 2 ? 16 : (m + n) % 2 == 0 ? 16 : m > n ? 22 : 20)], null, (G1, 8));
        return host.Build();
    }

    /// <summary>Nodes 0 and 8 with CPUs of 4 threads, 250 to 255 with the memory of GPUs and no CPU.</summary>
    public static HostInventory MemoryNodes()
    {
        var host = new HostBuilder { Architecture = "ppc64le", Vendor = null };
        int[] ids = [0, 8, 250, 251, 252, 253, 254, 255];
        for (var c = 0; c < 128; c += 4)
            host.Core([c, c + 1, c + 2, c + 3], c < 64 ? 0 : 8, c < 64 ? 0 : 8, CpuSet.Range(c / 8 * 8, (c / 8 * 8) + 7));
        host.Node(0, "0-63", 250000, [10, 40, 80, 80, 80, 80, 80, 80], ids, (G1, 32)).Node(8, "64-127", 250000, [40, 10, 80, 80, 80, 80, 80, 80], ids, (G1, 32));
        foreach (var id in ids[2..])
            host.Node(id, "", 16000, [.. ids.Select(i => i == id ? 10 : 80)], ids);
        return host.Build();
    }
}
