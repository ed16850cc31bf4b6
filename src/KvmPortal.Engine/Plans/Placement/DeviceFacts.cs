using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Whether single devices may be passed through: IOMMU, group, reset, who uses them.</summary>
internal sealed class DeviceFacts(Standing standing)
{
    private readonly HostInventory inventory = standing.Topology.Inventory;
    private readonly Dictionary<string, PciDevice> byAddress = standing.Topology.Inventory.PciDevices.DistinctBy(d => d.Address).ToDictionary(d => d.Address);
    private readonly Dictionary<int, IommuGroup> groups = standing.Topology.Inventory.IommuGroups.DistinctBy(g => g.Id).ToDictionary(g => g.Id);

    public Finding? IommuOff()
    {
        if (inventory.Iommu.Enabled && inventory.IommuGroups.Count > 0)
            return null;
        var hint = BootHint(inventory);
        return new Finding(PlacementCode.IommuOff, Say.RefuseIommuOff(hint)).With(("bootParameter", hint), ("commandLine", inventory.Kernel.CommandLine));
    }

    internal static string BootHint(HostInventory inventory) =>
        inventory.Cpu.Vendor switch
        {
            "GenuineIntel" => "intel_iommu=on iommu=pt",
            "AuthenticAMD" => "amd_iommu=on iommu=pt",
            _ => "iommu.passthrough=1",
        };

    /// <summary>Devices that meet a need and may be used, or why there are not enough.</summary>
    public (List<DeviceCandidate> Candidates, Finding? Problem) For(DeviceNeed need)
    {
        List<PciDevice> asked;
        if (need.FunctionOf is { } parent)
        {
            if (!byAddress.TryGetValue(parent, out var physical))
                return ([], NotEnough(need, 0));
            if (physical.Sriov is null || physical.Sriov.Total == 0)
                return ([], new Finding(PlacementCode.SriovUnsupported, Say.RefuseNoSriov(parent)).With(("device", parent), ("total", physical.Sriov?.Total)));
            asked = [.. physical.Sriov.Functions.Where(byAddress.ContainsKey).Select(f => byAddress[f])];
            var used = asked.Count(d => standing.Held.Contains(d.Address));
            if (asked.Count - used < need.Count)
            {
                return ([], new Finding(PlacementCode.SriovVfsExhausted, Say.RefuseNoFunctions(parent, need.Count, asked.Count - used, physical.Sriov.Enabled, physical.Sriov.Total))
                    .With(("device", parent), ("total", physical.Sriov.Total), ("enabled", physical.Sriov.Enabled), ("used", used), ("need", need.Count)));
            }
        }
        else
        {
            asked = [.. inventory.PciDevices.Where(d => Meets(d, need))];
        }

        if (asked.Count < need.Count)
            return ([], NotEnough(need, asked.Count));
        var (good, problem) = (new List<DeviceCandidate>(), (Finding?)null);
        foreach (var device in asked.OrderBy(d => d.Address, StringComparer.Ordinal))
        {
            if (Problem(device) is { } why)
                problem ??= why;
            else
                good.Add(new DeviceCandidate(device, standing.Topology.NodeOf(device), Companions(device), RootOf(device)));
        }

        if (good.Count < need.Count)
            return ([], problem);
        if (standing.Policy.StrictDeviceNodes && good.Count(c => c.Node is not null) < need.Count)
        {
            var lost = good.First(c => c.Node is null).Address;
            return ([], new Finding(PlacementCode.DeviceNodeUnknown, Say.RefuseNodeUnknown(lost)).With(("device", lost)));
        }

        return (standing.Policy.StrictDeviceNodes ? [.. good.Where(c => c.Node is not null)] : good, null);
    }

    public static Finding NotEnough(DeviceNeed need, int there) =>
        new Finding(PlacementCode.DeviceNotFound, Say.RefuseNoDevice(need.ToString(), need.Count, there)).With(("need", need.Count), ("selector", need), ("found", there));

    private static bool Meets(PciDevice device, DeviceNeed need) =>
        need.Address is not null ? device.Address == need.Address
        : need.Model is not null ? string.Equals($"{device.VendorId}:{device.DeviceId}", need.Model, StringComparison.OrdinalIgnoreCase)
        : need.Class is { Length: > 0 } && device.Class.StartsWith(need.Class, StringComparison.OrdinalIgnoreCase);

    private Finding? Problem(PciDevice device)
    {
        var address = device.Address;
        if (InUse(device) is { } use)
            return use;
        if (device.IommuGroup is not { } group)
            return new Finding(PlacementCode.IommuOff, Say.RefuseNoGroup(address)).With(("device", address));
        var strangers = Members(group).Where(d => d.Address != address && !Along(device, d) && !d.Class.StartsWith("06", StringComparison.Ordinal))
            .Concat(Members(group).Where(d => Along(device, d) && InUse(d) is not null)).Select(d => d.Address).Distinct().Order(StringComparer.Ordinal).ToList();
        if (strangers.Count > 0)
        {
            var members = string.Join(", ", strangers);
            return new Finding(PlacementCode.IommuGroupShared, Say.RefuseGroupShared(address, group, members)).With(("device", address), ("group", group), ("members", members));
        }

        return device.ResetMethods.Count == 0 ? new Finding(PlacementCode.NoSafeReset, Say.RefuseNoReset(address)).With(("device", address)) : null;
    }

    private Finding? InUse(PciDevice device)
    {
        var address = device.Address;
        if (standing.Held.Contains(address))
            return Used(device, Say.UsedByMachine(standing.Others.First(r => r.Devices.Contains(address)).Vm), "ledger");
        if (device.Sriov?.Functions.FirstOrDefault(standing.Held.Contains) is { } function)
            return Used(device, Say.UsedByFunction(function), "ledger");
        if (inventory.BlockDevices.FirstOrDefault(b => b.Pci == address && b.UsedBy.Count > 0) is { } disk)
            return Used(device, Say.UsedByMount(disk.Name, string.Join(", ", disk.UsedBy)), disk.Name);
        // A physical port that is up may be the host's own way out.
        if (inventory.Nics.FirstOrDefault(n => n.Pci == address && (n.Master is not null || (n.State == "up" && device.PhysicalFunction is null))) is { } nic)
            return Used(device, Say.UsedByInterface(nic.Name), nic.Name);
        return null;
    }

    private static Finding Used(PciDevice device, Sentence how, string by) =>
        new Finding(PlacementCode.DeviceInUse, Say.RefuseDeviceInUse(device.Address, how)).With(("device", device.Address), ("driver", device.Driver), ("by", by));

    private IEnumerable<PciDevice> Members(int group) =>
        groups.TryGetValue(group, out var told) ? told.Devices.Where(byAddress.ContainsKey).Select(a => byAddress[a]) : inventory.PciDevices.Where(d => d.IommuGroup == group);

    /// <summary>Another function of the same card, e.g. a GPU's sound.</summary>
    private static bool Along(PciDevice device, PciDevice other) =>
        other.Address != device.Address && device.PhysicalFunction is null && other.PhysicalFunction is null && Slot(device.Address) == Slot(other.Address);

    private IReadOnlyList<string> Companions(PciDevice device) =>
        [.. Members(device.IommuGroup!.Value).Where(d => Along(device, d)).Select(d => d.Address).Order(StringComparer.Ordinal)];

    private static string Slot(string address) => address.LastIndexOf('.') is var dot and > 0 ? address[..dot] : address;

    private string RootOf(PciDevice device)
    {
        var at = device;
        for (var i = 0; i < 32 && at.Parent is { } up; i++)
        {
            if (!byAddress.TryGetValue(up, out var bridge))
                return up;
            at = bridge;
        }

        return at == device && device.Address.Split(':') is [var domain, var bus, _] ? $"{domain}:{bus}" : at.Address;
    }
}
