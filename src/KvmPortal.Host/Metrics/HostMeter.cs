using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Metrics;

/// <summary>Reads the host's load; keeps the last CPU counters, so one meter per stream of samples.</summary>
internal sealed class HostMeter(HostPaths paths, TimeProvider time)
{
    private readonly Dictionary<int, (long Busy, long Total)> last = [];

    public HostSample Read(IReadOnlyList<MachineSample> machines)
    {
        var (share, each) = CpuShares();
        var (memory, available) = Memory();
        return new HostSample
        {
            At = time.GetUtcNow(),
            CpuBusy = share,
            CpuBusyEach = each,
            MemoryTotalBytes = memory,
            MemoryAvailableBytes = available,
            Load1 = Load1(),
            Machines = machines,
            CpuPressure = Pressure("cpu"),
            MemoryPressure = Pressure("memory"),
            IoPressure = Pressure("io"),
        };
    }

    /// <summary>Lines `cpu` and `cpuN` of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)).</summary>
    private (double All, float[] Each) CpuShares()
    {
        const int MostCpus = 8192;
        var all = 0.0;
        var each = new List<float>();
        foreach (var line in (HostPaths.Read(paths.Proc("stat")) ?? "").AsSpan().EnumerateLines())
        {
            if (!line.StartsWith("cpu", StringComparison.Ordinal))
                break;
            if (Share(line, out var id) is not { } share)
                continue;
            if (id < 0)
            {
                all = share;
                continue;
            }

            while (each.Count <= id && id < MostCpus)
                each.Add(float.NaN);
            if (id < MostCpus)
                each[id] = (float)share;
        }

        return (all, [.. each]);
    }

    /// <summary>The busy share since the last reading, of CPU <paramref name="id"/> or (-1) of all.</summary>
    private double? Share(ReadOnlySpan<char> line, out int id)
    {
        id = -1;
        long total = 0, idle = 0;
        var field = 0;
        foreach (var part in line.Split(' '))
        {
            var text = line[part];
            if (text.IsEmpty)
                continue;
            if (field == 0 && text.Length > 3 && !int.TryParse(text[3..], NumberStyles.None, CultureInfo.InvariantCulture, out id))
                return null;
            if (field is > 0 and < 9 && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var ticks))
            {
                total += ticks;
                if (field is 4 or 5)
                    idle += ticks;
            }

            field++;
        }

        if (field < 9)
            return null;
        var before = last.GetValueOrDefault(id);
        last[id] = (total - idle, total);
        return total > before.Total ? Math.Clamp((double)(total - idle - before.Busy) / (total - before.Total), 0, 1) : 0;
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
