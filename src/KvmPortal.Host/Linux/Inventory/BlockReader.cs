using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Disks and what they are used for (Documentation/ABI/stable/sysfs-block). Serial numbers are never read.</summary>
internal static class BlockReader
{
    private const string Root = "/sys/block";
    private const int SectorBytes = 512;

    public static IReadOnlyList<BlockDeviceFacts> Read(HostTree tree)
    {
        var names = tree.Names(Root).Where(Counts).Take(4096).ToList();
        var uses = Uses(tree, names);
        return [.. names.Select(name => Disk(tree, name, uses))];
    }

    private static bool Counts(string name) => !(name.StartsWith("ram", StringComparison.Ordinal) || name.StartsWith("fd", StringComparison.Ordinal) || name.StartsWith("sr", StringComparison.Ordinal));

    private static BlockDeviceFacts Disk(HostTree tree, string name, ILookup<string, string> uses)
    {
        var folder = $"{Root}/{name}";
        var path = tree.Resolve(folder);
        var raid = tree.Text($"{folder}/md/level", 32);
        var parts = Partitions(tree, name);
        var pci = PciReader.AddressIn(path) ?? PciReader.AddressIn(tree.Resolve($"{folder}/device")) ?? Subsystem(tree, name);
        IEnumerable<string> used = [.. parts.Append(name).SelectMany(n => uses[n]), .. tree.Names($"{folder}/holders"), .. parts.SelectMany(p => tree.Names($"{folder}/{p}/holders"))];
        if (tree.Text($"{folder}/dm/name", 256) is { Length: > 0 } mapped)
            used = used.Concat(uses[$"mapper/{mapped}"]);
        return new BlockDeviceFacts(name, Kind(tree, name, path, pci, raid), (tree.Text($"{folder}/device/model", 256) ?? (pci is null ? null : tree.Text($"/sys/class/nvme/{name.Split('n')[0]}/model", 256)))?.Trim() ?? tree.Text($"{folder}/device/model", 256)?.Trim(), Math.Clamp(tree.Number($"{folder}/size") ?? 0, 0, long.MaxValue / SectorBytes) * SectorBytes,
            tree.Flag($"{folder}/queue/rotational"), raid, pci, tree.Choice($"{folder}/queue/scheduler"), [.. used.Distinct().Take(64)]);
    }

    private static BlockKind Kind(HostTree tree, string name, string? path, string? pci, string? raid) =>
        raid is not null || name.StartsWith("md", StringComparison.Ordinal) ? BlockKind.Raid
        : name.StartsWith("nvme", StringComparison.Ordinal) ? BlockKind.Nvme
        : name.StartsWith("vd", StringComparison.Ordinal) ? BlockKind.Virtio
        : name.StartsWith("dm-", StringComparison.Ordinal) ? BlockKind.DeviceMapper
        : name.StartsWith("loop", StringComparison.Ordinal) ? BlockKind.Loop
        : name.StartsWith("zram", StringComparison.Ordinal) ? BlockKind.Zram
        : name.StartsWith("mmcblk", StringComparison.Ordinal) ? BlockKind.Mmc
        : name.StartsWith("sd", StringComparison.Ordinal) ? path?.Contains("/ata", StringComparison.Ordinal) == true || tree.Text($"/sys/bus/pci/devices/{pci}/class", 16)?.StartsWith("0x0106", StringComparison.Ordinal) == true ? BlockKind.Sata : BlockKind.Scsi
        : BlockKind.Other;

    private static List<string> Partitions(HostTree tree, string name) =>
        [.. tree.Names($"{Root}/{name}").Where(n => n.StartsWith(name, StringComparison.Ordinal) && tree.Exists($"{Root}/{name}/{n}/partition"))];

    /// <summary>With multipath, an NVMe disk hangs on a subsystem that links to its controllers.</summary>
    private static string? Subsystem(HostTree tree, string name) => !name.StartsWith("nvme", StringComparison.Ordinal) ? null
        : tree.Numbered($"{Root}/{name}/device", "nvme").Select(n => PciReader.AddressIn(tree.Resolve($"{Root}/{name}/device/nvme{n}"))).FirstOrDefault(a => a is not null);

    /// <summary>Device name without /dev/ → mount points, `swap`.</summary>
    private static ILookup<string, string> Uses(HostTree tree, List<string> disks)
    {
        var mounts = tree.Lines("/proc/mounts").Select(l => l.Split(' ')).Where(f => f.Length > 1 && f[0].StartsWith("/dev/", StringComparison.Ordinal)).Select(f => (Device: f[0]["/dev/".Length..], Use: f[1]));
        var swaps = tree.Lines("/proc/swaps").Skip(1).Select(l => l.Split(' ', 2)[0]).Where(d => d.StartsWith("/dev/", StringComparison.Ordinal)).Select(d => (Device: d["/dev/".Length..], Use: "swap"));
        // The root file system may be mounted as /dev/root: mountinfo also has the device's number.
        var numbers = disks.SelectMany(d => Partitions(tree, d).Select(p => (Name: p, Folder: $"{Root}/{d}/{p}")).Append((Name: d, Folder: $"{Root}/{d}")))
            .Select(d => (d.Name, Number: tree.Text($"{d.Folder}/dev", 32))).Where(d => d.Number is not null).ToLookup(d => d.Number!, d => d.Name);
        var numbered = tree.Lines("/proc/self/mountinfo").Select(l => l.Split(' ')).Where(f => f.Length > 4).SelectMany(f => numbers[f[2]].Select(n => (Device: n, Use: f[4])));
        return mounts.Concat(swaps).Concat(numbered).Take(8192).Distinct().ToLookup(u => u.Device, u => u.Use);
    }
}
