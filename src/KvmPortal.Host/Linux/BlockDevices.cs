using System.Globalization;

namespace KvmPortal.Host.Linux;

/// <summary>Which disk is below a folder.</summary>
internal static class BlockDevices
{
    /// <summary>
    /// `major:minor` of the whole disk that holds a folder, as io.max wants it; null when the file system is on several devices or on none (tmpfs, overlay, btrfs).
    /// Source: /proc/self/mountinfo (proc(5)) and /sys/dev/block.
    /// </summary>
    public static string? Below(HostPaths paths, string folder)
    {
        string? best = null, device = null;
        foreach (var line in (HostPaths.Read(paths.Proc("self/mountinfo")) ?? "").Split('\n'))
        {
            var fields = line.Split(' ');
            if (fields.Length < 5)
                continue;
            var at = fields[4].TrimEnd('/');
            if ((folder == at || folder.StartsWith(at + "/", StringComparison.Ordinal)) && at.Length >= (best?.Length ?? -1))
                (best, device) = (at, fields[2]);
        }

        if (device is null || device.StartsWith("0:", StringComparison.Ordinal))
            return null;
        var entry = paths.Sys(string.Create(CultureInfo.InvariantCulture, $"dev/block/{device}"));
        if (!File.Exists(Path.Combine(entry, "partition")))
            return device;
        // A partition is a folder inside its disk's folder.
        var real = new DirectoryInfo(entry).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? entry;
        return HostPaths.Read(Path.Combine(Path.GetDirectoryName(real)!, "dev"));
    }
}
