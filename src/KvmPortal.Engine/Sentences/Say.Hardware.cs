namespace KvmPortal.Engine;

// What of a host has changed between two looks.
public static partial class Say
{
    public static Sentence HardwareProcessor => Make("Processor");
    public static Sentence HardwareNode(string id) => Make($"NUMA node {id}");
    public static Sentence HardwareMemory => Make("Memory");
    public static Sentence HardwarePci(string name, string address) => Make($"PCI device {name} ({address})");
    public static Sentence HardwareNic(string name) => Make($"Network card {name}");
    public static Sentence HardwareNicAt(string name, string address) => Make($"Network card {name} ({address})");
    public static Sentence HardwareDisk(string name) => Make($"Disk {name}");
    public static Sentence HardwareIommu => Make("IOMMU");
    public static Sentence HardwareKvm => Make("KVM");
    public static Sentence HardwareKernel => Make("Kernel");
    public static Sentence HardwareSecurity => Make("Security");
    public static Sentence HardwareSoftware(string name) => Make($"Program {name}");
    public static Sentence HardwareVulnerability(string name) => Make($"CPU vulnerability {name}");
    public static Sentence HardwareAppeared(Sentence what) => Make($"{what} appeared.");
    public static Sentence HardwareDisappeared(Sentence what) => Make($"{what} disappeared.");
    public static Sentence HardwareChanged(Sentence what, string field, string from, string to) => Make($"{what}: {field} was {from} and is {to} now.");
    public static Sentence HardwareMore(int count) => Make($"{count} more changes of the host.");
}
