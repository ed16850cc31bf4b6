using System.Text.Json.Serialization;

namespace KvmPortal.Engine.Hosts.Inventories;

public enum InventoryChangeKind { Appeared, Disappeared, Changed }

/// <summary>What kind of thing has changed.</summary>
public enum InventorySubject { Processor, Node, Memory, PciDevice, NetworkCard, Disk, Iommu, Kvm, Kernel, Security, Software, Vulnerability }

/// <summary>One difference between two inventories of a host.</summary>
/// <param name="Key">Which one: an address, a name; empty where there is only one.</param>
/// <param name="Name">What people call it.</param>
/// <param name="Field">Of a change: what of it.</param>
public sealed record InventoryChange(InventorySubject Subject, string Key, string Name, InventoryChangeKind Kind, string? Field, string? From, string? To)
{
    /// <summary>The thing in words.</summary>
    [JsonIgnore]
    public Sentence What => Subject switch
    {
        InventorySubject.Processor => Say.HardwareProcessor,
        InventorySubject.Node => Say.HardwareNode(Key),
        InventorySubject.Memory => Say.HardwareMemory,
        InventorySubject.PciDevice => Say.HardwarePci(Name, Key),
        InventorySubject.NetworkCard => Name == Key ? Say.HardwareNic(Key) : Say.HardwareNicAt(Key, Name),
        InventorySubject.Disk => Say.HardwareDisk(Name),
        InventorySubject.Iommu => Say.HardwareIommu,
        InventorySubject.Kvm => Say.HardwareKvm,
        InventorySubject.Kernel => Say.HardwareKernel,
        InventorySubject.Security => Say.HardwareSecurity,
        InventorySubject.Software => Say.HardwareSoftware(Name),
        InventorySubject.Vulnerability => Say.HardwareVulnerability(Name),
    };

    /// <summary>The difference in words.</summary>
    public Sentence Text => Kind switch
    {
        InventoryChangeKind.Appeared => Say.HardwareAppeared(What),
        InventoryChangeKind.Disappeared => Say.HardwareDisappeared(What),
        InventoryChangeKind.Changed => Say.HardwareChanged(What, Field ?? "", From is { Length: > 0 } ? From : "—", To is { Length: > 0 } ? To : "—"),
    };
}
