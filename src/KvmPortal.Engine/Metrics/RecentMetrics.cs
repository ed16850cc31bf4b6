using System.Threading.Channels;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Metrics;

/// <summary>The last hour at one point per second, in memory: of the host and of every VM that ran within it; and those who watch.</summary>
internal sealed class RecentMetrics
{
    public static readonly TimeSpan Kept = TimeSpan.FromHours(1);
    private const int Slots = VmSeries.ChunkTicks * VmSeries.Chunks;
    private const int WatcherCapacity = 64;
    private readonly Lock gate = new();
    private readonly HostPoint?[] host = new HostPoint?[Slots];
    private readonly Dictionary<Guid, VmSeries> series = [];
    private readonly Dictionary<Guid, List<Channel<VmPoint>>> vmWatchers = [];
    private readonly List<Channel<HostPoint>> hostWatchers = [];
    private IReadOnlyDictionary<VmId, VmPoint>? latest;
    private IReadOnlyList<float> hostCpus = [];
    private long ticks;

    /// <summary>Busy share of each CPU in the last sample, as <see cref="HostSample.CpuBusyEach"/>.</summary>
    public IReadOnlyList<float> HostCpus => Volatile.Read(ref hostCpus);

    /// <param name="passed">Time that really passed since the sample before.</param>
    public void Add(HostSample sample, TimeSpan passed)
    {
        Volatile.Write(ref hostCpus, sample.CpuBusyEach);
        lock (gate)
        {
            var seconds = host[Slot(ticks - 1)] is { } before && ticks > 0 ? VmReading.Seconds(before.At, sample.At, passed) : null;
            var point = Of(sample);
            host[Slot(ticks)] = point;
            foreach (var machine in sample.Machines)
            {
                if (!series.TryGetValue(machine.MachineId, out var one))
                    series[machine.MachineId] = one = new VmSeries();
                one.Add(ticks, machine, seconds);
            }

            ticks++;
            latest = null;
            if (ticks % VmSeries.ChunkTicks == 0)
                Free(sample.At);
            foreach (var watcher in hostWatchers)
                watcher.Writer.TryWrite(point);
            foreach (var (id, watchers) in vmWatchers)
                if (series.TryGetValue(id, out var one) && one.LastTick == ticks - 1)
                {
                    var vmPoint = PointAt(one, ticks - 1);
                    foreach (var watcher in watchers)
                        watcher.Writer.TryWrite(vmPoint);
                }
        }
    }

    /// <summary>Points of a VM from a moment on, oldest first, with vCPUs.</summary>
    public List<VmPoint> Vm(VmId id, DateTimeOffset from)
    {
        lock (gate)
            return PointsOf(id, from);
    }

    /// <summary>Same without vCPUs, as they are kept.</summary>
    public List<(DateTimeOffset At, VmReading Reading)> VmReadings(VmId id, DateTimeOffset from, DateTimeOffset to)
    {
        lock (gate)
        {
            var made = new List<(DateTimeOffset, VmReading)>();
            if (series.TryGetValue(id.Value, out var one))
                foreach (var tick in Ticks(from, to))
                    if (one.TryGet(tick, out var reading))
                        made.Add((host[Slot(tick)]!.At, reading));
            return made;
        }
    }

    public List<HostPoint> Host(DateTimeOffset from, DateTimeOffset to)
    {
        lock (gate)
            return [.. Ticks(from, to).Select(t => host[Slot(t)]!)];
    }

    /// <summary>Means of every VM over a span; VMs without a reading in it are left out.</summary>
    public List<(VmId Id, VmReading Mean)> Means(DateTimeOffset from, DateTimeOffset to)
    {
        lock (gate)
        {
            var made = new List<(VmId, VmReading)>(series.Count);
            var within = Ticks(from, to).ToArray();
            foreach (var (id, one) in series)
            {
                var mean = new VmMean();
                foreach (var tick in within)
                    if (one.TryGet(tick, out var reading))
                        mean.Add(reading);
                if (mean.Count > 0)
                    made.Add((new VmId(id), mean.ToReading()));
            }

            return made;
        }
    }

    /// <summary>Newest point of every VM in the newest sample. Made when asked, at most once a sample.</summary>
    public IReadOnlyDictionary<VmId, VmPoint> LatestVms()
    {
        lock (gate)
            return latest ??= series.Where(s => s.Value.LastTick == ticks - 1).ToDictionary(s => new VmId(s.Key), s => PointAt(s.Value, ticks - 1));
    }

    /// <summary>Counters of every machine in the newest sample.</summary>
    public List<MachineSample> LatestCounters()
    {
        lock (gate)
            return [.. series.Values.Where(s => s.LastTick == ticks - 1).Select(s => s.Last!)];
    }

    public HostPoint? LatestHost()
    {
        lock (gate)
            return ticks == 0 ? null : host[Slot(ticks - 1)];
    }

    /// <summary>Registers a watcher and takes its history in one go, so that no point is lost or seen twice between the two.</summary>
    public (List<VmPoint> History, Channel<VmPoint> Live) WatchVm(VmId id, DateTimeOffset from)
    {
        var live = NewChannel<VmPoint>();
        lock (gate)
        {
            if (!vmWatchers.TryGetValue(id.Value, out var watchers))
                vmWatchers[id.Value] = watchers = [];
            watchers.Add(live);
            return (PointsOf(id, from), live);
        }
    }

    public void Unwatch(VmId id, Channel<VmPoint> live)
    {
        lock (gate)
            if (vmWatchers.TryGetValue(id.Value, out var watchers) && watchers.Remove(live) && watchers.Count == 0)
                vmWatchers.Remove(id.Value);
    }

    public (List<HostPoint> History, Channel<HostPoint> Live) WatchHost(DateTimeOffset from)
    {
        var live = NewChannel<HostPoint>();
        lock (gate)
        {
            hostWatchers.Add(live);
            return ([.. Ticks(from, DateTimeOffset.MaxValue).Select(t => host[Slot(t)]!)], live);
        }
    }

    public void Unwatch(Channel<HostPoint> live)
    {
        lock (gate)
            hostWatchers.Remove(live);
    }

    /// <summary>VMs that hold memory here.</summary>
    public int Held
    {
        get
        {
            lock (gate)
                return series.Count;
        }
    }

    private List<VmPoint> PointsOf(VmId id, DateTimeOffset from)
    {
        var made = new List<VmPoint>();
        if (series.TryGetValue(id.Value, out var one))
            foreach (var tick in Ticks(from, DateTimeOffset.MaxValue))
                if (one.TryGet(tick, out _))
                    made.Add(PointAt(one, tick));
        return made;
    }

    private VmPoint PointAt(VmSeries one, long tick)
    {
        one.TryGet(tick, out var reading);
        return reading.ToPoint(host[Slot(tick)]!.At, one.Vcpus(tick));
    }

    /// <summary>Kept ticks whose time lies in [from, to), oldest first. Looks at every one: a clock that went back leaves them out of order.</summary>
    private IEnumerable<long> Ticks(DateTimeOffset from, DateTimeOffset to)
    {
        for (var tick = Math.Max(0, ticks - (long)Kept.TotalSeconds); tick < ticks; tick++)
            if (host[Slot(tick)] is { } point && point.At >= from && point.At < to)
                yield return tick;
    }

    private void Free(DateTimeOffset now)
    {
        var oldest = ticks - (long)Kept.TotalSeconds;
        foreach (var (id, one) in series)
            if (one.LastTick < oldest || host[Slot(one.LastTick)] is not { } last || last.At < now - Kept)
                series.Remove(id);
    }

    private static HostPoint Of(HostSample s) => new()
    {
        At = s.At,
        CpuBusy = s.CpuBusy,
        MemoryTotalBytes = s.MemoryTotalBytes,
        MemoryAvailableBytes = s.MemoryAvailableBytes,
        Load1 = s.Load1,
        CpuPressure = s.CpuPressure,
        MemoryPressure = s.MemoryPressure,
        IoPressure = s.IoPressure,
    };

    private static int Slot(long tick) => (int)((tick + Slots) % Slots);

    private static Channel<T> NewChannel<T>() =>
        Channel.CreateBounded<T>(new BoundedChannelOptions(WatcherCapacity) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true, SingleWriter = true });
}
