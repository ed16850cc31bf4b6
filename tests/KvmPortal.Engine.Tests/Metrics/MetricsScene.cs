using KvmPortal.Engine.Data;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Engine.Tests.Metrics;

/// <summary>A recorder that a test feeds second by second.</summary>
internal sealed class MetricsScene
{
    public static readonly DateTimeOffset Noon = new(2026, 5, 4, 12, 0, 0, TimeSpan.Zero);

    public MetricsScene(TestPortal portal, DateTimeOffset? start = null)
    {
        Time = new ManualTime(start ?? Noon);
        Rollups = new RollupStore(portal.Store);
        Recorder = new MetricsRecorder(portal.SimulatedHost, Recent, Rollups, Time, NullLogger<MetricsRecorder>.Instance);
        Queries = new MetricsQueries(Recent, Rollups, portal.Get<VmTracker>(), portal.Get<PrometheusText>(), Time);
    }

    public ManualTime Time { get; }
    public RecentMetrics Recent { get; } = new();
    public RollupStore Rollups { get; }
    public MetricsRecorder Recorder { get; }
    public MetricsQueries Queries { get; }

    /// <summary>Takes one sample per second, of machines that each use as many CPUs and bytes as asked.</summary>
    public void Run(int seconds, params (Guid Id, double Cpus)[] machines)
    {
        for (var i = 0; i < seconds; i++)
        {
            var at = Time.GetUtcNow();
            Recorder.Take(Sample(at, [.. machines.Select(m => Machine(m.Id, (at - Noon.AddYears(-1)).TotalSeconds, m.Cpus))]));
            Time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    public static HostSample Sample(DateTimeOffset at, params MachineSample[] machines) => new()
    {
        At = at,
        CpuBusy = 0.5,
        MemoryTotalBytes = 64L << 30,
        MemoryAvailableBytes = 32L << 30,
        Load1 = 2,
        Machines = machines,
    };

    public static MachineSample Machine(Guid id, double age, double cpus, int vcpus = 2, long rss = 512L << 20) => new()
    {
        MachineId = id,
        CpuNanoseconds = (long)(age * cpus * 1e9),
        VcpuNanoseconds = [.. Enumerable.Repeat((long)(age * cpus / vcpus * 1e9), vcpus)],
        RssBytes = rss,
        DiskReadBytes = (long)(age * 1000),
        DiskReadOperations = (long)(age * 10),
        NetReceiveBytes = (long)(age * 500),
        NetReceivePackets = (long)(age * 5),
    };
}
