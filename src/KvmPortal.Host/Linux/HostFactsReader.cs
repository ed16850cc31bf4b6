using System.Globalization;
using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux;

/// <summary>Reads the host's plain facts. Every file may be missing.</summary>
internal sealed class HostFactsReader(HostPaths paths)
{
    /// <summary>Changes with each boot (proc(5), /proc/sys/kernel/random/boot_id).</summary>
    public string BootId => HostPaths.Read(paths.Proc("sys/kernel/random/boot_id")) ?? "unknown";

    public string HostName => HostPaths.Read(paths.Proc("sys/kernel/hostname")) ?? "localhost";

    public string KernelVersion => HostPaths.Read(paths.Proc("sys/kernel/osrelease")) ?? "unknown";

    /// <summary>os-release(5): the file in /etc, else the vendor's.</summary>
    public string OsName => (HostPaths.Read(paths.Etc("os-release")) ?? HostPaths.Read(paths.In("usr/lib/os-release")))?.Split('\n')
        .FirstOrDefault(l => l.StartsWith("PRETTY_NAME=", StringComparison.Ordinal))?["PRETTY_NAME=".Length..].Trim().Trim('"', '\'') is { Length: > 0 } name ? name : "Linux";

    public CpuFacts Cpu()
    {
        string? model = null, vendor = null;
        var processors = 0;
        foreach (var line in (HostPaths.Read(paths.Proc("cpuinfo")) ?? "").Split('\n'))
        {
            if (line.Split(':', 2) is not [var key, var value])
                continue;
            switch (key.Trim())
            {
                case "processor":
                    processors++;
                    break;
                case "model name":
                    model ??= value.Trim();
                    break;
                case "vendor_id":
                    vendor ??= value.Trim();
                    break;
                case "CPU implementer":
                    vendor ??= $"implementer {value.Trim()}";
                    break;
                case "CPU part":
                    model ??= $"part {value.Trim()}";
                    break;
            }
        }

        var online = CountList(HostPaths.Read(paths.Sys("devices/system/cpu/online"))) ?? Math.Max(processors, 1);
        return new CpuFacts(model ?? "unknown", vendor ?? "unknown", online, RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "aarch64" : "x86_64");
    }

    public MemoryFacts Memory()
    {
        long total = 0, free = 0;
        long? available = null;
        foreach (var line in (HostPaths.Read(paths.Proc("meminfo")) ?? "").Split('\n'))
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 2 && long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var kib))
            {
                switch (fields[0])
                {
                    case "MemTotal:":
                        total = kib / 1024;
                        break;
                    case "MemFree:":
                        free = kib / 1024;
                        break;
                    case "MemAvailable:":
                        available = kib / 1024;
                        break;
                }
            }
        }

        // Some containers show no MemAvailable; what is free is surely available.
        return new MemoryFacts(total, available ?? free);
    }

    /// <summary>The file system that holds a folder, or will hold it: a folder that is not there yet is looked up in its parents.</summary>
    public static StorageFacts Storage(string folder)
    {
        var asked = folder;
        while (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { Length: > 0 } parent)
            folder = parent;
        var drive = new DriveInfo(folder);
        return new StorageFacts(asked, drive.TotalSize, drive.AvailableFreeSpace);
    }

    /// <summary>Number of CPUs in a kernel list such as `0-3,8`; null when it is not one.</summary>
    public static int? CountList(string? list)
    {
        if (string.IsNullOrWhiteSpace(list))
            return null;
        var count = 0;
        foreach (var part in list.Trim().Split(','))
        {
            var ends = part.Split('-');
            if (!int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out var first) || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var last) || last < first)
                return null;
            count += last - first + 1;
        }

        return count;
    }
}
