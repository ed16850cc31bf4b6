using KvmPortal.Host.Qemu;

namespace KvmPortal.Host.Tests.Qemu;

/// <summary>The QEMUs that golden command lines are written for.</summary>
internal static class CapabilitySets
{
    private static readonly FirmwareFiles Uefi = new("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd");
    private static readonly FirmwareFiles SecureBoot = new("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd");

    public static QemuCapabilities Get(string name) => name switch
    {
        "qemu-7.2" => Full(7, 2),
        "qemu-8.2" => Full(8, 2),
        "qemu-9.2" => Full(9, 2),
        "qemu-10.0" => Full(10, 0),
        "qemu-11.0" => Full(11, 0),
        "qemu-9.2-restricted" => Full(9, 2) with { IoUring = false, NativeAio = false },
        "qemu-8.2-native" => Full(8, 2) with { IoUring = false },
        "qemu-8.2-minimal" => Full(8, 2) with { Devices = new HashSet<string>(), Tpm = false, Uefi = null, SecureBoot = null },
        _ => throw new ArgumentException($"No capability set {name}."),
    };

    /// <summary>The name of the full set for a version.</summary>
    public static string NameOf(Version version) => $"qemu-{version.Major}.{version.Minor}";

    private static QemuCapabilities Full(int major, int minor) => new()
    {
        Binary = "/usr/bin/qemu-system-x86_64",
        Version = new Version(major, minor, 0),
        Q35Machine = $"pc-q35-{major}.{minor}",
        Microvm = true,
        IoUring = true,
        NativeAio = true,
        QueueMapping = major >= 9,
        Devices = new HashSet<string> { "pvpanic-pci", "virtio-mem-pci", "tpm-crb", "vmgenid" },
        Uefi = Uefi,
        SecureBoot = SecureBoot,
        Tpm = true,
    };
}
