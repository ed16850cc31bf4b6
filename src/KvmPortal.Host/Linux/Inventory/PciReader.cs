using System.Buffers.Binary;
using System.Globalization;
using System.Text.RegularExpressions;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>PCI functions and IOMMU groups (Documentation/ABI/testing/sysfs-bus-pci).</summary>
internal static partial class PciReader
{
    private const string Root = "/sys/bus/pci/devices";
    private const int MaxDevices = 8192;

    public static IReadOnlyList<PciDevice> Read(HostTree tree)
    {
        var devices = tree.Names(Root).Where(IsAddress).Take(MaxDevices).AsParallel().AsOrdered().WithDegreeOfParallelism(4).Select(address => Device(tree, address)).OfType<PciDevice>().ToList();
        var names = PciNames.Read(tree, devices);
        return [.. devices.Select(d => d with { VendorName = names.Vendor(d.VendorId), DeviceName = names.Device(d.VendorId, d.DeviceId), ClassName = names.Class(d.Class) }).OrderBy(d => d.Address, StringComparer.Ordinal)];
    }

    public static IReadOnlyList<IommuGroup> Groups(HostTree tree, IReadOnlyList<PciDevice> devices)
    {
        const string Groups = "/sys/kernel/iommu_groups";
        var told = tree.Numbered(Groups, "").Take(MaxDevices).Select(id => new IommuGroup(id, tree.Text($"{Groups}/{id}/type", 64), [.. tree.Names($"{Groups}/{id}/devices")])).ToList();
        // The devices say it as well, where the groups' own folder was not captured.
        return told.Any(g => g.Devices.Count > 0) ? told
            : [.. devices.Where(d => d.IommuGroup is not null).GroupBy(d => d.IommuGroup!.Value).OrderBy(g => g.Key).Select(g => new IommuGroup(g.Key, told.FirstOrDefault(t => t.Id == g.Key)?.Type, [.. g.Select(d => d.Address)]))];
    }

    /// <summary>The address of the PCI function that a path leads through last.</summary>
    public static string? AddressIn(string? path) => path?.Split('/').LastOrDefault(IsAddress);

    public static bool IsAddress(string name) => AddressPattern().IsMatch(name);

    private static PciDevice? Device(HostTree tree, string address)
    {
        var folder = $"{Root}/{address}";
        // Some captures have the configuration space instead of the kernel's words.
        var config = tree.Text($"{folder}/class", 16) is null ? tree.Bytes($"{folder}/config", 64) : null;
        var vendor = Hex(tree, $"{folder}/vendor", 4) ?? Config(config, 0);
        var device = Hex(tree, $"{folder}/device", 4) ?? Config(config, 2);
        var kind = Hex(tree, $"{folder}/class", 6) ?? (config is { Length: >= 12 } ? $"{config[11]:x2}{config[10]:x2}{config[9]:x2}" : null);
        if (vendor is null || device is null)
            return null;
        var bus = address[..address.LastIndexOf(':')];
        return new PciDevice
        {
            Address = address,
            Class = kind ?? "000000",
            VendorId = vendor,
            DeviceId = device,
            SubsystemVendorId = Hex(tree, $"{folder}/subsystem_vendor", 4) ?? Config(config, 0x2c),
            SubsystemId = Hex(tree, $"{folder}/subsystem_device", 4) ?? Config(config, 0x2e),
            Driver = Driver(tree, folder),
            Node = tree.Int($"{folder}/numa_node") is { } node and >= 0 ? node : -1,
            LocalCpus = tree.Cpus($"{folder}/local_cpulist", $"{folder}/local_cpus") ?? tree.Cpus($"/sys/class/pci_bus/{bus}/cpulistaffinity", $"/sys/class/pci_bus/{bus}/cpuaffinity") ?? default,
            IommuGroup = int.TryParse(tree.Link($"{folder}/iommu_group"), NumberStyles.None, CultureInfo.InvariantCulture, out var group) ? group : null,
            ResetMethods = tree.Text($"{folder}/reset_method", 256) is { Length: > 0 } methods ? methods.Split(' ', StringSplitOptions.RemoveEmptyEntries) : [],
            Bars = Bars(tree.Text($"{folder}/resource", 8192)),
            Link = Link(tree, folder),
            Sriov = Sriov(tree, folder),
            PhysicalFunction = tree.Link($"{folder}/physfn") is { } pf && IsAddress(pf) ? pf : null,
            Parent = Parent(tree.Resolve(folder)),
            BootVga = tree.Text($"{folder}/boot_vga", 8) == "1",
        };
    }

    /// <summary>The driver's link; or, where a capture has no links, the word in the device's own description.</summary>
    public static string? Driver(HostTree tree, string folder) =>
        tree.Link($"{folder}/driver") ?? tree.Text($"{folder}/uevent", 4096)?.Split('\n').FirstOrDefault(l => l.StartsWith("DRIVER=", StringComparison.Ordinal))?["DRIVER=".Length..];

    private static string? Parent(string? path) => path?.Split('/') is [.., var above, _] && IsAddress(above) ? above : null;

    private static string? Hex(HostTree tree, string path, int digits) =>
        tree.Text(path, 32) is { } text && text.StartsWith("0x", StringComparison.Ordinal) && uint.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            ? value.ToString($"x{digits}", CultureInfo.InvariantCulture) : null;

    private static string? Config(byte[]? config, int at) => config is not null && config.Length >= at + 2 ? $"{BinaryPrimitives.ReadUInt16LittleEndian(config.AsSpan(at)):x4}" : null;

    /// <summary>Lines of start, end and flags (include/linux/ioport.h: 0x2000 prefetchable, 0x100000 64 bits); six bars and the ROM come first.</summary>
    private static List<PciBar> Bars(string? resource)
    {
        var bars = new List<PciBar>();
        foreach (var (line, index) in (resource ?? "").Split('\n').Take(7).Select((l, i) => (l, i)))
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var start, var end, var flags] && Number(start) is { } from && Number(end) is { } to && Number(flags) is { } bits && to > from && to - from < long.MaxValue)
                bars.Add(new PciBar(index, (long)(to - from + 1), (bits & 0x2000) != 0, (bits & 0x100000) != 0));
        return bars;
    }

    private static ulong? Number(string text) => text.StartsWith("0x", StringComparison.Ordinal) && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static PciLink? Link(HostTree tree, string folder)
    {
        var link = new PciLink(Speed(tree, $"{folder}/current_link_speed"), tree.Int($"{folder}/current_link_width"), Speed(tree, $"{folder}/max_link_speed"), tree.Int($"{folder}/max_link_width"));
        return link is { Speed: null, Width: null, MaxSpeed: null, MaxWidth: null } ? null : link;
    }

    /// <summary>"8.0 GT/s PCIe", older "8 GT/s".</summary>
    private static double? Speed(HostTree tree, string path) =>
        tree.Text(path, 64)?.Split(' ') is [var number, ..] && double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var speed) ? speed : null;

    private static SriovFacts? Sriov(HostTree tree, string folder)
    {
        if (tree.Int($"{folder}/sriov_totalvfs") is not { } total)
            return null;
        var enabled = tree.Int($"{folder}/sriov_numvfs") ?? 0;
        return new SriovFacts(total, enabled, enabled == 0 ? [] : [.. tree.Numbered(folder, "virtfn").Take(1024).Select(i => tree.Link($"{folder}/virtfn{i}")).OfType<string>().Where(IsAddress)]);
    }

    [GeneratedRegex("^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$", RegexOptions.CultureInvariant)]
    private static partial Regex AddressPattern();
}

/// <summary>Names of the devices that a host has, from its pci.ids (format: pci-ids.ucw.cz).</summary>
internal sealed class PciNames
{
    private static readonly string[] Files = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/usr/share/pci.ids"];
    private readonly Dictionary<string, string> names = [];

    public static PciNames Read(HostTree tree, IReadOnlyList<PciDevice> devices)
    {
        var found = new PciNames();
        var wanted = devices.SelectMany(d => (string[])[d.VendorId, d.VendorId + d.DeviceId, "C" + d.Class[..2], "C" + d.Class[..4]]).ToHashSet();
        var above = "";
        foreach (var line in Files.Select(f => tree.Lines(f)).FirstOrDefault(l => l.Length > 1) ?? [])
        {
            // Vendors and classes stand at the line's begin, their devices and subclasses after one tab.
            if (line.Length < 6 || line[0] == '#' || line.StartsWith("\t\t", StringComparison.Ordinal))
                continue;
            var inner = line[0] == '\t';
            var text = inner ? line.AsSpan(1) : line;
            var space = text.IndexOf("  ", StringComparison.Ordinal);
            if (space < 0)
                continue;
            var id = text[..space].ToString();
            var key = inner ? above + id : above = id.StartsWith("C ", StringComparison.Ordinal) ? "C" + id[2..] : id;
            if (wanted.Contains(key))
                found.names.TryAdd(key, text[(space + 2)..].Trim().ToString());
        }

        return found;
    }

    public string? Vendor(string id) => names.GetValueOrDefault(id);

    public string? Device(string vendor, string device) => names.GetValueOrDefault(vendor + device);

    public string? Class(string code) => names.GetValueOrDefault("C" + code[..4]) ?? names.GetValueOrDefault("C" + code[..2]);
}
