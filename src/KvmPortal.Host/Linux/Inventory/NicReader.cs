using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Network interfaces (Documentation/ABI/testing/sysfs-class-net). Hardware addresses are never read.</summary>
internal static class NicReader
{
    private const string Root = "/sys/class/net";

    public static IReadOnlyList<NetworkCard> Read(HostTree tree) => [.. tree.Names(Root).Where(n => tree.IsFolder($"{Root}/{n}")).Take(4096).Select(name => Card(tree, name))];

    private static NetworkCard Card(HostTree tree, string name)
    {
        var folder = $"{Root}/{name}";
        var pci = PciReader.AddressIn(tree.Resolve($"{folder}/device")) ?? (PciReader.IsAddress(tree.Link($"{folder}/device") ?? "") ? tree.Link($"{folder}/device") : PciReader.AddressIn(tree.Resolve(folder)));
        var queues = tree.Names($"{folder}/queues");
        return new NetworkCard(name, pci, PciReader.Driver(tree, $"{folder}/device"), pci is null && !tree.Exists($"{folder}/device"), tree.Text($"{folder}/operstate", 32), tree.Int($"{folder}/speed") is { } speed and > 0 ? speed : null,
            queues.Count(q => q.StartsWith("rx-", StringComparison.Ordinal)), queues.Count(q => q.StartsWith("tx-", StringComparison.Ordinal)))
        {
            Kind = name == "lo" ? "loopback" : tree.IsFolder($"{folder}/bridge") ? "bridge" : tree.IsFolder($"{folder}/bonding") ? "bond" : tree.Exists($"{folder}/tun_flags") ? "tun" : DevType(tree.Text($"{folder}/uevent", 4096)),
            Master = tree.Link($"{folder}/master"),
        };
    }

    private static string? DevType(string? uevent) => uevent?.Split('\n').FirstOrDefault(l => l.StartsWith("DEVTYPE=", StringComparison.Ordinal))?["DEVTYPE=".Length..];
}
