using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>KVM, vhost and vfio: devices, modules and their parameters.</summary>
internal static class KvmReader
{
    private static readonly string[] Known = ["kvm", "kvm_intel", "kvm_amd", "kvm_pvm", "kvm_hv", "vhost", "vhost_net", "vhost_vsock", "vhost_vdpa", "vfio", "vfio_pci", "vfio_iommu_type1", "irqbypass", "tun", "tap", "macvtap", "nvme"];
    private static readonly string[] Parameters = ["kvm", "kvm_intel", "kvm_amd", "kvm_pvm", "vfio_iommu_type1", "vhost_net", "nvme"];

    public static KvmInventory Read(HostTree tree)
    {
        var loaded = tree.Lines("/proc/modules").Select(l => l.Split(' ', 2)[0]).ToHashSet();
        // What is built in has a folder but no line.
        var modules = Known.Where(m => loaded.Contains(m) || tree.IsFolder($"/sys/module/{m}")).ToList();
        var parameters = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var module in Parameters)
            foreach (var name in tree.Names($"/sys/module/{module}/parameters").Take(64))
                if (tree.Text($"/sys/module/{module}/parameters/{name}", 256) is { } value)
                    parameters[$"{module}.{name}"] = value;
        return new KvmInventory(tree.Exists("/dev/kvm"), modules, parameters)
        {
            SecondLevelPaging = tree.Flag("/sys/module/kvm_intel/parameters/ept") ?? tree.Flag("/sys/module/kvm_amd/parameters/npt"),
            Nested = tree.Flag("/sys/module/kvm_intel/parameters/nested") ?? tree.Flag("/sys/module/kvm_amd/parameters/nested"),
            VhostNet = tree.Exists("/dev/vhost-net") || modules.Contains("vhost_net"),
            VhostVsock = tree.Exists("/dev/vhost-vsock") || modules.Contains("vhost_vsock"),
            VfioDevice = tree.Exists("/dev/vfio/vfio") || modules.Contains("vfio_pci"),
        };
    }
}
