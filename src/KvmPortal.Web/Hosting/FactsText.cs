using System.Globalization;
using System.Text;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Hosting;

/// <summary>An inventory as a table for a terminal.</summary>
internal static class FactsText
{
    public static string Of(HostInventory host)
    {
        var text = new StringBuilder();
        Host(text, host);
        Topology(text, host);
        Devices(text, host);
        foreach (var gap in host.Gaps)
            Line(text, "Not read", gap);
        // What a captured tree holds may be anything: control characters do not reach the terminal.
        return string.Concat(text.ToString().Where(c => c == '\n' || !char.IsControl(c)));
    }

    private static void Host(StringBuilder text, HostInventory host)
    {
        var kernel = host.Kernel;
        Line(text, "Host", string.Join(' ', new[] { host.Vendor, host.Product }.Where(w => w is { Length: > 0 }).DefaultIfEmpty("unknown")));
        Line(text, "Processor", $"{host.Cpu.Model ?? "unknown"} ({host.Cpu.Architecture}), CPUs {Or(host.Cpu.Online)} online of {Or(host.Cpu.Present)}, SMT {host.Cpu.SmtControl ?? "unknown"}{(host.Cpu.HypervisorBelow ? ", itself a guest" : "")}");
        Line(text, "Memory", $"{host.Memory.TotalMiB} MiB, ECC {PortalJson.Text(host.Memory.Ecc)}{(host.Memory.CorrectedErrors is > 0 and var errors ? $", {errors} errors corrected" : "")}");
        Line(text, "Kernel", $"{kernel.Version ?? "unknown"}, cgroup {kernel.CgroupVersion}, clock {kernel.ClockSource ?? "unknown"}, THP {kernel.TransparentHugePages ?? "unknown"}, KSM {kernel.Ksm?.ToString(CultureInfo.InvariantCulture) ?? "absent"}");
        Line(text, "Command line", kernel.CommandLine ?? "unknown");
        Line(text, "KVM", $"/dev/kvm {(host.Kvm.Device ? "there" : "absent")}, modules {Words(host.Kvm.Modules)}, nested {YesNo(host.Kvm.Nested)}, second-level paging {YesNo(host.Kvm.SecondLevelPaging)}");
        Line(text, "IOMMU", host.Iommu.Enabled ? $"on, {host.IommuGroups.Count} groups, interrupt remapping {YesNo(host.Iommu.InterruptRemapping)}" : "off or absent");
        Line(text, "Security", $"TPM {host.Security.TpmVersion?.ToString(CultureInfo.InvariantCulture) ?? "absent"}, {(host.Security.Uefi ? "UEFI" : "BIOS")}, Secure Boot {YesNo(host.Security.SecureBoot)}, SGX {PortalJson.Text(host.Security.Sgx)}, SEV {PortalJson.Text(host.Security.Sev)}, TDX {PortalJson.Text(host.Security.Tdx)}");
        Line(text, "Software", Words(host.Software.Select(s => $"{s.Name} {s.Version}")));
    }

    private static void Topology(StringBuilder text, HostInventory host)
    {
        var cores = host.Cpus.Where(c => c.Online).Select(c => c.Core).Distinct().ToList();
        var caches = host.Cpus.Select(c => c.L3).Where(c => !c.IsEmpty).Distinct().ToList();
        Line(text, "Topology", $"{host.Cpus.Where(c => c.Package is not null).Select(c => c.Package).Distinct().Count()} packages, {cores.Count} cores, {caches.Count} groups with an L3 cache");
        foreach (var node in host.NumaNodes)
            Line(text, $"Node {node.Id}", $"CPUs {Or(node.Cpus)}, {node.MemoryMiB?.ToString(CultureInfo.InvariantCulture) ?? "?"} MiB, distances {Words(node.Distances.Select(d => $"{d.Key}:{d.Value}"))}, huge pages {Words(node.HugePages.Select(p => $"{p.SizeKiB}kB {p.Free}/{p.Total}"))}");
    }

    private static void Devices(StringBuilder text, HostInventory host)
    {
        foreach (var d in host.PciDevices)
            Line(text, d.Address, $"{d.Class} {d.VendorId}:{d.DeviceId} {d.DeviceName ?? d.ClassName}, driver {d.Driver ?? "none"}, node {d.Node}{(d.IommuGroup is { } group ? $", IOMMU group {group}" : "")}{(d.Sriov is { Total: > 0 } vfs ? $", {vfs.Enabled} of {vfs.Total} virtual functions" : "")}".Replace(" ,", ",", StringComparison.Ordinal));
        foreach (var nic in host.Nics)
            Line(text, nic.Name, $"{nic.Kind ?? (nic.Virtual ? "virtual" : "network card")} {nic.Pci}, {nic.State ?? "unknown"}{(nic.SpeedMbps is { } speed ? $", {speed} Mbit/s" : "")}, queues {nic.RxQueues}/{nic.TxQueues}".Replace(" ,", ",", StringComparison.Ordinal));
        foreach (var disk in host.BlockDevices.Where(b => b.SizeBytes > 0))
            Line(text, disk.Name, $"{PortalJson.Text(disk.Kind)} {disk.Model}, {disk.SizeBytes >> 20} MiB{(disk.UsedBy.Count > 0 ? $", used by {Words(disk.UsedBy)}" : "")}".Replace(" ,", ",", StringComparison.Ordinal));
        Line(text, "Interrupts", $"{host.Irqs.Count}, {host.Irqs.Count(i => i.Managed == true)} of them placed by the kernel");
    }

    private static void Line(StringBuilder text, string name, string value) => text.Append(CultureInfo.InvariantCulture, $"{name,-14} {value}\n");

    private static string Or(CpuSet set) => set.IsEmpty ? "none" : set.ToString();

    private static string Words(IEnumerable<string> words) => string.Join(" ", words) is { Length: > 0 } text ? text : "none";

    private static string YesNo(bool? value) => value switch { true => "yes", false => "no", null => "unknown" };
}
