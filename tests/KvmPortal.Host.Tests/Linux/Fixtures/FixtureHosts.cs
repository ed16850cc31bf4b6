namespace KvmPortal.Host.Tests.Linux.Fixtures;

/// <summary>The hosts that the inventory, the readiness report and the planner are judged by, and their variants.</summary>
public static partial class FixtureHosts
{
    /// <summary>Name and maker of each.</summary>
    public static IReadOnlyDictionary<string, Func<Renaming, FixtureHost>> All { get; } = new SortedDictionary<string, Func<Renaming, FixtureHost>>(StringComparer.Ordinal)
    {
        ["f1-xeon-2s-a100"] = Xeon,
        ["f2-epyc-nps4"] = Epyc,
        ["f2b-epyc-64c-nps4"] = Epyc64,
        ["f2c-epyc-64c-smt-off"] = EpycSmtOff,
        ["f3-laptop-no-iommu"] = Laptop,
        ["f4a-cloud-kvm-unusable"] = ids => Cloud(ids, kvm: true),
        ["f4b-cloud-no-kvm"] = ids => Cloud(ids, kvm: false),
        ["f4c-cloud-nested-p100"] = CloudNested,
        ["f5-arm64-kunpeng"] = Kunpeng,
        ["f6a-e7-interleaved"] = InterleavedE7,
        ["f6b-opteron-asymmetric"] = Opteron,
        ["f6c-power9-gpu-nodes"] = Power9,
        ["f6d-e5-nvme-no-node"] = E5,
        ["f6e-hybrid-no-pmu"] = HybridWithoutPmu,
    };

    /// <summary>Builds one of <see cref="All"/> with the ids that it really has.</summary>
    public static HostTreeFiles Build(string name, Renaming? ids = null) => All[name](ids ?? Renaming.None).Files;

    private static FixtureHost Kernel(FixtureHost host, string release, string commandLine) => host
        .In("/proc/sys/kernel", ("osrelease", release), ("hostname", Secrets.HostName), ("numa_balancing", "1"), ("random/boot_id", Secrets.Uuid))
        .File("/proc/version", $"Linux version {release} (builder@{Secrets.HostName}) (gcc 12) #1 SMP PREEMPT_DYNAMIC")
        .File("/proc/cmdline", commandLine).File("/proc/sys/vm/overcommit_memory", "0").File("/etc/hostname", Secrets.HostName)
        .In("/sys/kernel/mm/transparent_hugepage", ("enabled", "always [madvise] never"), ("defrag", "always defer defer+madvise [madvise] never"))
        .In("/sys/kernel/mm/ksm", ("run", "0"), ("pages_sharing", "0"))
        .In("/sys/devices/system/clocksource/clocksource0", ("current_clocksource", "tsc"), ("available_clocksource", "tsc hpet acpi_pm "));

    /// <summary>A Debian with systemd, cgroup v2 and AppArmor.</summary>
    private static FixtureHost Systemd(FixtureHost host)
    {
        host.Files.Folder("/run/systemd/system");
        return host.File("/proc/1/comm", "systemd").File("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc").File("/sys/fs/cgroup/cgroup.subtree_control", "cpuset cpu io memory pids")
            .File("/sys/kernel/security/lsm", "lockdown,capability,landlock,yama,apparmor\n").File("/sys/kernel/security/lockdown", "[none] integrity confidentiality");
    }

    private static FixtureHost Idle(FixtureHost host, string driver, params (string Name, int Latency)[] states)
    {
        host.File("/sys/devices/system/cpu/cpuidle/current_driver", driver);
        foreach (var (_, cpu) in host.Cpus)
            for (var i = 0; i < states.Length; i++)
                host.In($"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state{i}", ("name", states[i].Name), ("latency", $"{states[i].Latency}"), ("disable", "0"));
        return host;
    }

    private static FixtureHost Vulnerabilities(FixtureHost host, params (string Name, string Text)[] files) => host.In("/sys/devices/system/cpu/vulnerabilities", files);

    /// <summary>dpkg's database with what matters and something that does not.</summary>
    private static FixtureHost Packages(FixtureHost host, params (string Name, string Version)[] packages) => host.File("/var/lib/dpkg/status",
        string.Join("\n\n", packages.Prepend(("bash", "5.2.15-2+b2")).Select(p => $"Package: {p.Item1}\nStatus: install ok installed\nPriority: optional\nVersion: {p.Item2}\nDescription: something\n with a second line\n Version: 0.0-not-this")) + "\n\nPackage: dpdk\nStatus: deinstall ok config-files\nVersion: 19.11.14\n");

    private const string PciIds = """
        # A part of the list of PCI ids
        10de  NVIDIA Corporation
        	15f8  GP100GL [Tesla P100 PCIe 16GB]
        	20f1  GA100 [A100 PCIe 40GB]
        		10de 145f  A subsystem that is no device
        	2235  GA102GL [A40]
        144d  Samsung Electronics Co Ltd
        	a824  NVMe SSD Controller PM173X
        15b3  Mellanox Technologies
        	101b  MT28908 Family [ConnectX-6]
        	101d  MT2892 Family [ConnectX-6 Dx]
        	101e  ConnectX Family mlx5Gen Virtual Function
        8086  Intel Corporation
        	154c  Ethernet Virtual Function 700 Series
        	1583  Ethernet Controller XL710 for 40GbE QSFP+
        C 01  Mass storage controller
        	08  Non-Volatile memory controller
        		02  NVM Express
        C 02  Network controller
        	00  Ethernet controller
        C 03  Display controller
        	00  VGA compatible controller
        	02  3D controller
        C 06  Bridge
        	04  PCI bridge
        """;
}
