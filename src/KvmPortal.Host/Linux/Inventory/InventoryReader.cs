using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Reads a whole host: its parts at once, because each waits for the kernel most of the time.</summary>
internal static class InventoryReader
{
    public static HostInventory Read(HostTree tree)
    {
        var pci = Task.Run(() => PciReader.Read(tree));
        var irqs = Task.Run(() => IrqReader.Read(tree));
        var software = Task.Run(() => SoftwareReader.Read(tree));
        var kernel = Task.Run(() => KernelReader.Read(tree));
        var rest = Task.Run(() => (Nics: NicReader.Read(tree), Blocks: BlockReader.Read(tree), Memory: MemoryReader.Read(tree), Kvm: KvmReader.Read(tree)));
        var nodes = NumaReader.Read(tree);
        var (nics, blocks, memory, kvm) = Ended(rest);
        var (cpu, cpus) = CpuReader.Read(tree, nodes);
        nodes = [.. nodes.Select(n => n with { Cpus = n.Cpus & cpu.Online, MemoryMiB = n.MemoryMiB ?? (nodes.Count == 1 && memory.TotalMiB > 0 ? memory.TotalMiB : null) })];
        if (memory.TotalMiB == 0)
            memory = memory with { TotalMiB = nodes.Sum(n => n.MemoryMiB ?? 0) };
        var groups = PciReader.Groups(tree, Ended(pci));
        return new HostInventory
        {
            Cpu = cpu,
            Cpus = cpus,
            NumaNodes = nodes,
            Memory = memory,
            PciDevices = Ended(pci),
            IommuGroups = groups,
            Iommu = new IommuInventory(groups.Count > 0, [.. tree.Names("/sys/class/iommu").Take(256)], IrqReader.Remapped(tree, cpu, groups.Count > 0)),
            Nics = nics,
            BlockDevices = blocks,
            Kvm = kvm,
            Kernel = Ended(kernel),
            Security = SecurityReader.Read(tree, cpu, kvm, Ended(pci)),
            Irqs = Ended(irqs),
            Software = Ended(software),
            UserIds = UserIdReader.Read(tree),
            Vendor = tree.Text("/sys/class/dmi/id/sys_vendor", 256)?.Trim(),
            Product = tree.Text("/sys/class/dmi/id/product_name", 256)?.Trim(),
            Gaps = [.. Gaps(tree, cpus)],
        };
    }

    private static IEnumerable<string> Gaps(HostTree tree, IReadOnlyList<LogicalCpu> cpus)
    {
        if (cpus.Count == 0)
            yield return "/sys/devices/system/cpu: no CPU";
        if (!tree.IsFolder("/sys/devices/system/node"))
            yield return "/sys/devices/system/node: absent; the host is taken as one node";
        if (!tree.IsFolder("/sys/bus/pci/devices"))
            yield return "/sys/bus/pci/devices: absent";
        if (!tree.IsFolder("/proc/irq"))
            yield return "/proc/irq: absent";
    }

    // The reading has a thread of its own; the parts are pool threads that only wait for files.
    private static T Ended<T>(Task<T> part) => part.GetAwaiter().GetResult();
}
