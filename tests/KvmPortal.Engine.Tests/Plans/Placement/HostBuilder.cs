using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>Builds the inventory of a host from the sets that matter for placement.</summary>
internal sealed class HostBuilder
{
    private readonly List<LogicalCpu> cpus = [];
    private readonly List<NumaNode> nodes = [];
    private readonly List<PciDevice> devices = [];

    public string Architecture { get; init; } = "x86_64";
    public string? Vendor { get; init; } = "GenuineIntel";
    public IReadOnlyList<string> Flags { get; init; } = ["pdpe1gb", "vmx"];
    public bool Iommu { get; init; } = true;
    public KernelInventory Kernel { get; init; } = new() { CgroupVersion = "v2", CgroupControllers = ["cpuset"], ClockSource = "tsc", TransparentHugePages = "madvise" };
    public List<InterruptLine> Irqs { get; } = [];
    public List<BlockDeviceFacts> Disks { get; } = [];
    public List<NetworkCard> Nics { get; } = [];

    /// <summary>A core of these threads.</summary>
    public HostBuilder Core(int[] threads, int node, int package, CpuSet l3, CpuSet cluster = default, CpuKind kind = CpuKind.Unknown)
    {
        foreach (var thread in threads)
            cpus.Add(new LogicalCpu(thread, true, package, null, CpuSet.Of(threads), cluster, CpuSet.Empty, l3, node, kind, null, null));
        return this;
    }

    /// <param name="distances">To the nodes in their order.</param>
    public HostBuilder Node(int id, string list, long mib, int[] distances, int[]? others = null, params (long KiB, long Pages)[] pools)
    {
        var to = (others ?? [.. Enumerable.Range(0, distances.Length)]).Zip(distances).ToDictionary(d => d.First, d => d.Second);
        nodes.Add(new NumaNode(id, CpuSet.Parse(list), mib, mib - (pools.Sum(p => p.KiB * p.Pages) / 1024) - 1024, to, [.. pools.Select(p => new HugePagePool(p.KiB, p.Pages, p.Pages, 0))]));
        return this;
    }

    public HostBuilder Device(string address, string kind, string model, int node, string local, int? group = null, SriovFacts? sriov = null, string? functionOf = null, string[]? resets = null, string? driver = null)
    {
        var ids = model.Split(':');
        devices.Add(new PciDevice
        {
            Address = address,
            Class = kind,
            VendorId = ids[0],
            DeviceId = ids[1],
            Node = node,
            LocalCpus = CpuSet.Parse(local),
            IommuGroup = group,
            Sriov = sriov,
            PhysicalFunction = functionOf,
            ResetMethods = resets ?? ["flr", "bus"],
            Driver = driver,
        });
        return this;
    }

    public HostInventory Build()
    {
        var all = CpuSet.Of(cpus.Select(c => c.Id));
        return new HostInventory
        {
            Cpu = new CpuInventory(Vendor, null, Architecture, Flags, [], null, null, null, all, all, CpuSet.Empty, CpuSet.Empty, false),
            Cpus = [.. cpus.OrderBy(c => c.Id)],
            NumaNodes = nodes,
            Memory = new MemoryInventory(nodes.Sum(n => n.MemoryMiB ?? 0), EccState.Unknown, null, null, null, []),
            PciDevices = [.. devices.OrderBy(d => d.Address, StringComparer.Ordinal)],
            IommuGroups = Iommu ? [.. devices.Where(d => d.IommuGroup is not null).GroupBy(d => d.IommuGroup!.Value).Select(g => new IommuGroup(g.Key, "identity", [.. g.Select(d => d.Address)]))] : [],
            Iommu = new IommuInventory(Iommu, Iommu ? ["dmar0"] : [], true),
            Nics = Nics,
            BlockDevices = Disks,
            Kvm = new KvmInventory(true, ["kvm"], new Dictionary<string, string>()),
            Kernel = Kernel,
            Security = new SecurityInventory(null, false, null, null, null),
            Irqs = Irqs,
        };
    }
}
