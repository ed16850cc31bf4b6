using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Versions of programs that matter, from dpkg's database (dpkg(1), /var/lib/dpkg/status); where there is none, the programs themselves are looked for.</summary>
internal static class SoftwareReader
{
    private static readonly (string Package, string Name)[] Packages =
    [
        ("qemu-system-x86", "qemu"), ("qemu-system-arm", "qemu"), ("qemu-system-misc", "qemu"), ("ovmf", "ovmf"), ("qemu-efi-aarch64", "ovmf"), ("swtpm", "swtpm"), ("virtiofsd", "virtiofsd"),
        ("dpdk", "dpdk"), ("openvswitch-switch", "openvswitch"), ("openvswitch-switch-dpdk", "openvswitch-dpdk"), ("libvirt-daemon", "libvirt"), ("irqbalance", "irqbalance"), ("tuned", "tuned"),
    ];

    /// <summary>The packages that are looked for.</summary>
    public static IReadOnlySet<string> Names { get; } = Packages.Select(p => p.Package).ToHashSet();

    private static readonly (string File, string Name)[] Programs =
    [
        ("/usr/bin/qemu-system-x86_64", "qemu"), ("/usr/bin/qemu-system-aarch64", "qemu"), ("/usr/libexec/qemu-kvm", "qemu"), ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"), ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "ovmf"),
        ("/usr/bin/swtpm", "swtpm"), ("/usr/lib/qemu/virtiofsd", "virtiofsd"), ("/usr/libexec/virtiofsd", "virtiofsd"), ("/usr/bin/dpdk-testpmd", "dpdk"), ("/usr/sbin/ovs-vswitchd", "openvswitch"),
    ];

    public static IReadOnlyList<SoftwareVersion> Read(HostTree tree)
    {
        var found = new SortedDictionary<string, string>(StringComparer.Ordinal);
        string? package = null;
        var installed = false;
        foreach (var line in tree.Lines("/var/lib/dpkg/status"))
        {
            if (line.StartsWith("Package: ", StringComparison.Ordinal))
                (package, installed) = (line["Package: ".Length..].Trim(), false);
            else if (line.StartsWith("Status: ", StringComparison.Ordinal))
                installed = line.EndsWith(" installed", StringComparison.Ordinal);
            else if (installed && line.StartsWith("Version: ", StringComparison.Ordinal) && Packages.FirstOrDefault(p => p.Package == package).Name is { } name)
                found.TryAdd(name, line["Version: ".Length..].Trim());
        }

        foreach (var (file, name) in Programs)
            if (!found.ContainsKey(name) && tree.Exists(file))
                found[name] = "?";
        return [.. found.Select(f => new SoftwareVersion(f.Key, f.Value))];
    }
}
