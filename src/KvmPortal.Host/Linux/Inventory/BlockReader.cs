using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Disks and what they are used for (Documentation/ABI/stable/sysfs-block). Serial numbers are never read.</summary>
internal static class BlockReader
{
    private const string Root = "/sys/block";
    private const int SectorBytes = 512;

    public static IReadOnlyList<BlockDeviceFacts> Read(HostTree tree)
    {
        var uses = Uses(tree);
        return [.. tree.Names(Root).Where(Counts).Take(4096).Select(name => Disk(tree, name, uses))];
    }

    private static bool Counts(string name) => !(name.StartsWith("ram", StringComparison.Ordinal) || name.StartsWith("fd", StringComparison.Ordinal) || name.StartsWith("sr", StringComparison.Ordinal));

    private static BlockDeviceFacts Disk(HostTree tree, string name, ILookup<string, string> uses)
    {
        var folder = $"{Root}/{name}";
        var path = tree.Resolve(folder);
        var raid = tree.Text($"{folder}/md/level", 32);
        var parts = tree.Names(folder).Where(n => n.StartsWith(name, StringComparison.Ordinal) && tree.Exists($"{folder}/{n}/partition")).ToList();
        IEnumerable<string> used = [.. parts.Append(name).SelectMany(n => uses[n]), .. tree.Names($"{folder}/holders"), .. parts.SelectMany(p => tree.Names($"{folder}/{p}/holders"))];
        if (tree.Text($"{folder}/dm/name", 256) is { Length: > 0 } mapped)
            used = used.Concat(uses[$"mapper/{mapped}"]);
        return new BlockDeviceFacts(name, Kind(name, path, raid), tree.Text($"{folder}/device/model", 256)?.Trim(), Math.Clamp(tree.Number($"{folder}/size") ?? 0, 0, long.MaxValue / SectorBytes) * SectorBytes,
            tree.Flag($"{folder}/queue/rotational"), raid, PciReader.AddressIn(path) ?? PciReader.AddressIn(tree.Resolve($"{folder}/device")), tree.Choice($"{folder}/queue/scheduler"), [.. used.Distinct().Take(64)]);
    }

    private static BlockKind Kind(string name, string? path, string? raid) =>
        raid is not null || name.StartsWith("md", StringComparison.Ordinal) ? BlockKind.Raid
        : name.StartsWith("nvme", StringComparison.Ordinal) ? BlockKind.Nvme
        : name.StartsWith("vd", StringComparison.Ordinal) ? BlockKind.Virtio
        : name.StartsWith("dm-", StringComparison.Ordinal) ? BlockKind.DeviceMapper
        : name.StartsWith("loop", StringComparison.Ordinal) ? BlockKind.Loop
        : name.StartsWith("zram", StringComparison.Ordinal) ? BlockKind.Zram
        : name.StartsWith("mmcblk", StringComparison.Ordinal) ? BlockKind.Mmc
        : name.StartsWith("sd", StringComparison.Ordinal) ? path?.Contains("/ata", StringComparison.Ordinal) == true ? BlockKind.Sata : BlockKind.Scsi
        : BlockKind.Other;

    /// <summary>Device name without /dev/ → mount points, `swap`.</summary>
    private static ILookup<string, string> Uses(HostTree tree)
    {
        var mounts = tree.Lines("/proc/mounts").Select(l => l.Split(' ')).Where(f => f.Length > 1 && f[0].StartsWith("/dev/", StringComparison.Ordinal)).Select(f => (Device: f[0]["/dev/".Length..], Use: f[1]));
        var swaps = tree.Lines("/proc/swaps").Skip(1).Select(l => l.Split(' ', 2)[0]).Where(d => d.StartsWith("/dev/", StringComparison.Ordinal)).Select(d => (Device: d["/dev/".Length..], Use: "swap"));
        return mounts.Concat(swaps).Take(4096).ToLookup(u => u.Device, u => u.Use);
    }
}
