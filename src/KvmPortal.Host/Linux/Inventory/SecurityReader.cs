using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>TPM, Secure Boot, confidential computing, and processors on cards.</summary>
internal static class SecurityReader
{
    /// <summary>The GUID of the UEFI specification's global variables.</summary>
    private const string Global = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

    /// <summary>Mellanox/NVIDIA BlueField, AMD Pensando, Intel IPU (pci.ids).</summary>
    private static readonly HashSet<string> DpuIds = ["15b3:a2d2", "15b3:a2d6", "15b3:a2dc", "15b3:c2d2", "15b3:c2d3", "15b3:c2d5", "1dd8:1002", "1dd8:1003", "8086:1452", "8086:145c"];

    public static SecurityInventory Read(HostTree tree, CpuInventory cpu, KvmInventory kvm, IReadOnlyList<PciDevice> pci) =>
        new(tree.Int("/sys/class/tpm/tpm0/tpm_version_major") ?? (tree.IsFolder("/sys/class/tpm/tpm0") ? 1 : null), tree.IsFolder("/sys/firmware/efi"), Variable(tree, "SecureBoot"), Variable(tree, "SetupMode"),
            tree.Choice("/sys/kernel/security/lockdown"))
        {
            Sgx = State(cpu, "sgx", tree.Exists("/dev/sgx_enclave") || tree.Exists("/dev/sgx_vepc")),
            Sev = State(cpu, "sev", On(kvm, "kvm_amd.sev")),
            SevEs = State(cpu, "sev_es", On(kvm, "kvm_amd.sev_es")),
            SevSnp = State(cpu, "sev_snp", On(kvm, "kvm_amd.sev_snp")),
            Tdx = State(cpu, "tdx_host_platform", On(kvm, "kvm_intel.tdx")),
            Dpus = [.. pci.Where(d => DpuIds.Contains($"{d.VendorId}:{d.DeviceId}")).Select(d => d.Address)],
            Vdpa = [.. tree.Names("/sys/bus/vdpa/devices").Take(1024)],
        };

    private static bool On(KvmInventory kvm, string parameter) => kvm.Parameters.GetValueOrDefault(parameter) is "Y" or "1";

    private static ConfidentialState State(CpuInventory cpu, string flag, bool on) => on ? ConfidentialState.Enabled : cpu.Flags.Contains(flag) ? ConfidentialState.CpuOnly : ConfidentialState.Absent;

    /// <summary>Four bytes of attributes, then the value (Documentation/filesystems/efivarfs.rst).</summary>
    private static bool? Variable(HostTree tree, string name) => tree.Bytes($"/sys/firmware/efi/efivars/{name}-{Global}", 64) is { Length: >= 5 } bytes ? bytes[4] == 1 : null;
}
