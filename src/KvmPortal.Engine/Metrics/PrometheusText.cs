using System.Diagnostics;
using System.Globalization;
using System.Text;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Metrics;

/// <summary>Writes the latest values in Prometheus' text format 0.0.4. Counters are passed on as the host counts them: Prometheus makes rates itself.</summary>
internal sealed class PrometheusText(RecentMetrics recent, VmTracker tracker, PortalStore store)
{
    private const int FlushAt = 32 * 1024;

    private static readonly (string Name, string Type, string Help, Func<MachineSample, double?> Value)[] VmFamilies =
    [
        ("cpu_seconds_total", "counter", "CPU time of the machine's process.", m => m.CpuNanoseconds / 1e9),
        ("memory_resident_bytes", "gauge", "Resident memory of the machine's process.", m => m.RssBytes),
        ("memory_balloon_bytes", "gauge", "Memory that the guest has now by its balloon.", m => m.BalloonBytes),
        ("disk_read_bytes_total", "counter", "Bytes read from all disks.", m => m.DiskReadBytes),
        ("disk_write_bytes_total", "counter", "Bytes written to all disks.", m => m.DiskWriteBytes),
        ("disk_reads_total", "counter", "Read operations on all disks.", m => m.DiskReadOperations),
        ("disk_writes_total", "counter", "Write operations on all disks.", m => m.DiskWriteOperations),
        ("network_receive_bytes_total", "counter", "Bytes that the guest received.", m => m.NetReceiveBytes),
        ("network_transmit_bytes_total", "counter", "Bytes that the guest sent.", m => m.NetTransmitBytes),
        ("network_receive_packets_total", "counter", "Packets that the guest received.", m => m.NetReceivePackets),
        ("network_transmit_packets_total", "counter", "Packets that the guest sent.", m => m.NetTransmitPackets),
    ];

    private static readonly (string Name, string Help, Func<HostPoint, double?> Value)[] HostFamilies =
    [
        ("cpu_busy_ratio", "Busy share of all CPUs, 0 to 1.", h => h.CpuBusy),
        ("memory_total_bytes", "Memory of the host.", h => h.MemoryTotalBytes),
        ("memory_available_bytes", "Memory that programs could still have.", h => h.MemoryAvailableBytes),
        ("load1", "Load average of a minute.", h => h.Load1),
        ("cpu_pressure_percent", "Share of time in which some task waited for a CPU (PSI some avg10).", h => h.CpuPressure),
        ("memory_pressure_percent", "Share of time in which some task waited for memory (PSI some avg10).", h => h.MemoryPressure),
        ("io_pressure_percent", "Share of time in which some task waited for I/O (PSI some avg10).", h => h.IoPressure),
    ];

    public async Task WriteAsync(Stream output, CancellationToken ct)
    {
        var vms = await tracker.AllAsync(ct);
        var text = new StringBuilder();
        Head(text, "kvmportal_vms", "gauge", "Virtual machines by state.");
        var byState = vms.CountBy(v => v.Status.State).ToDictionary();
        foreach (var state in Enum.GetValues<VmState>())
            Line(text, "kvmportal_vms", $"{{state=\"{PortalJson.Text(state)}\"}}", byState.GetValueOrDefault(state));
        Head(text, "kvmportal_jobs_active", "gauge", "Jobs queued or running.");
        Line(text, "kvmportal_jobs_active", "", await store.ReadAsync(db => db.Jobs.CountAsync(j => j.State == JobState.Queued || j.State == JobState.Running, ct), ct));
        if (recent.LatestHost() is { } host)
            foreach (var (name, help, value) in HostFamilies)
                if (value(host) is { } v)
                {
                    Head(text, $"kvmportal_host_{name}", "gauge", help);
                    Line(text, $"kvmportal_host_{name}", "", v);
                }

        Process(text);
        var names = vms.ToDictionary(v => v.Id.Value, v => v.Name);
        var machines = recent.LatestCounters().Where(m => names.ContainsKey(m.MachineId))
            .Select(m => (Sample: m, Labels: $"{{vm_id=\"{m.MachineId:D}\",name=\"{Escape(names[m.MachineId])}\"}}")).ToList();
        foreach (var (name, type, help, value) in VmFamilies)
        {
            var full = $"kvmportal_vm_{name}";
            Head(text, full, type, help);
            foreach (var (sample, labels) in machines)
            {
                if (value(sample) is { } v)
                    Line(text, full, labels, v);
                if (text.Length >= FlushAt)
                    await FlushAsync(text, output, ct);
            }
        }

        await FlushAsync(text, output, ct);
    }

    private static void Process(StringBuilder text)
    {
        using var self = System.Diagnostics.Process.GetCurrentProcess();
        Head(text, "process_cpu_seconds_total", "counter", "CPU time of the portal.");
        Line(text, "process_cpu_seconds_total", "", self.TotalProcessorTime.TotalSeconds);
        Head(text, "process_resident_memory_bytes", "gauge", "Resident memory of the portal.");
        Line(text, "process_resident_memory_bytes", "", self.WorkingSet64);
        Head(text, "process_start_time_seconds", "gauge", "Start of the portal in Unix time.");
        Line(text, "process_start_time_seconds", "", new DateTimeOffset(self.StartTime).ToUnixTimeMilliseconds() / 1000.0);
        Head(text, "dotnet_gc_heap_bytes", "gauge", "Managed heap of the portal.");
        Line(text, "dotnet_gc_heap_bytes", "", GC.GetTotalMemory(forceFullCollection: false));
        Head(text, "dotnet_threadpool_threads", "gauge", "Threads of the pool.");
        Line(text, "dotnet_threadpool_threads", "", ThreadPool.ThreadCount);
    }

    private static void Head(StringBuilder text, string name, string type, string help) =>
        text.Append("# HELP ").Append(name).Append(' ').Append(help).Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

    private static void Line(StringBuilder text, string name, string labels, double value) =>
        text.Append(name).Append(labels).Append(' ').Append(CultureInfo.InvariantCulture, $"{value}").Append('\n');

    private static string Escape(string label) => label.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n");

    private static async Task FlushAsync(StringBuilder text, Stream output, CancellationToken ct)
    {
        await output.WriteAsync(Encoding.UTF8.GetBytes(text.ToString()), ct);
        text.Clear();
    }
}
