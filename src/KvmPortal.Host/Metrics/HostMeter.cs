using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Metrics;

/// <summary>Reads the host's load; keeps the last CPU counters, so one meter per stream of samples.</summary>
internal sealed class HostMeter(HostPaths paths, TimeProvider time)
{
    private long lastBusy;
    private long lastTotal;

    public HostSample Read(IReadOnlyList<MachineSample> machines)
    {
        var (busy, total) = CpuTicks();
        var share = total > lastTotal ? Math.Clamp((double)(busy - lastBusy) / (total - lastTotal), 0, 1) : 0;
        (lastBusy, lastTotal) = (busy, total);
        var (memory, available) = Memory();
        return new HostSample
        {
            At = time.GetUtcNow(),
            CpuBusy = share,
            MemoryTotalBytes = memory,
            MemoryAvailableBytes = available,
            Load1 = Load1(),
            Machines = machines,
            CpuPressure = Pressure("cpu"),
            MemoryPressure = Pressure("memory"),
            IoPressure = Pressure("io"),
        };
    }

    /// <summary>First line of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)).</summary>
    private (long Busy, long Total) CpuTicks()
    {
        var fields = (HostPaths.Read(paths.Proc("stat")) ?? "").Split('\n')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length < 9)
            return (lastBusy, lastTotal);
        var ticks = fields[1..9].Select(f => long.TryParse(f, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : 0).ToArray();
        var total = ticks.Sum();
        return (total - ticks[3] - ticks[4], total);
    }

    private (long Total, long Available) Memory()
    {
        long total = 0, available = 0;
        foreach (var line in (HostPaths.Read(paths.Proc("meminfo")) ?? "").Split('\n').Take(4))
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 2 && long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var kib))
                (total, available) = fields[0] switch { "MemTotal:" => (kib << 10, available), "MemAvailable:" => (total, kib << 10), _ => (total, available) };
        }

        return (total, available);
    }

    private double Load1() => double.TryParse((HostPaths.Read(paths.Proc("loadavg")) ?? "").Split(' ')[0], NumberStyles.Float, CultureInfo.InvariantCulture, out var load) ? load : 0;

    /// <summary>`some avg10=…` of /proc/pressure (Documentation/accounting/psi.rst); null where the kernel has none.</summary>
    private double? Pressure(string what)
    {
        var text = HostPaths.Read(paths.Proc($"pressure/{what}"));
        var start = text?.IndexOf("avg10=", StringComparison.Ordinal) ?? -1;
        if (start < 0)
            return null;
        var end = text!.IndexOf(' ', start);
        return double.TryParse(text.AsSpan(start + 6, (end < 0 ? text.Length : end) - start - 6), NumberStyles.Float, CultureInfo.InvariantCulture, out var value) ? value : null;
    }
}
