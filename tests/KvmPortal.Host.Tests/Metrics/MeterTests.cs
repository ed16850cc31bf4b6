using System.Diagnostics;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Metrics;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Metrics;

/// <summary>Readings from captured files, from this process, and from one that ends; and what a reading costs.</summary>
public sealed class MeterTests : IDisposable
{
    private const string Stat = "42 (qemu (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 1500 250 0 0 20 0 7 0 99 1 1 1\n";
    private readonly ScratchFolder root = new();

    private HostPaths Paths => new(root.Path);

    [Fact]
    public void A_process_and_its_threads_are_read_from_their_files()
    {
        Write("proc/42/stat", Stat);
        Write("proc/42/statm", "1000 500 20 1 0 300 0\n");
        Write("proc/42/schedstat", "1 1 1\n");
        Write("proc/42/task/43/schedstat", "123456789012 5 6\n");
        Write("proc/42/task/44/schedstat", "7 5 6\n");
        using var meter = ProcessMeter.Open(Paths, 42, [43, 44])!;
        var vcpus = new long[2];
        Assert.True(meter.TryRead(out var cpu, out var resident, vcpus));
        Assert.Equal((17_500_000_000, 500L * Environment.SystemPageSize), (cpu, resident));
        Assert.Equal([123456789012, 7], vcpus);
    }

    [Fact]
    public void A_kernel_without_schedstat_gives_ticks()
    {
        Write("proc/42/stat", Stat);
        Write("proc/42/statm", "1000 500 20 1 0 300 0\n");
        Write("proc/42/task/43/stat", Stat.Replace("1500 250", "3 4", StringComparison.Ordinal));
        using var meter = ProcessMeter.Open(Paths, 42, [43])!;
        var vcpus = new long[1];
        Assert.True(meter.TryRead(out _, out _, vcpus));
        Assert.Equal([70_000_000], vcpus);
    }

    [Fact]
    public void A_process_that_is_not_there_has_no_meter()
    {
        Assert.Null(ProcessMeter.Open(Paths, 42, []));
        Write("proc/42/stat", Stat);
        Write("proc/42/statm", "1 1 1 1 1 1 1\n");
        Assert.Null(ProcessMeter.Open(Paths, 42, [43]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("42 (x) Z 1 42 42 0 -1 4194560 1 0 0 0 1500 250 0")]
    [InlineData("42 (x")]
    public void A_process_that_ended_is_not_read(string stat)
    {
        Write("proc/42/stat", stat);
        Write("proc/42/statm", "1 1 1 1 1 1 1\n");
        using var meter = ProcessMeter.Open(Paths, 42, [])!;
        Assert.False(meter.TryRead(out _, out _, []));
    }

    [Fact]
    public async Task A_real_process_is_read_until_it_ends()
    {
        using var process = Process.Start("sleep", ["100"]);
        using var meter = ProcessMeter.Open(process.Id, [process.Id])!;
        Assert.True(meter.TryRead(out _, out var resident, new long[1]));
        Assert.InRange(resident, 1, 1L << 30);
        process.Kill();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.False(meter.TryRead(out _, out _, new long[1]));
    }

    [Fact]
    public void Work_shows_in_the_counters()
    {
        using var meter = ProcessMeter.Open(Environment.ProcessId, [])!;
        Assert.True(meter.TryRead(out var before, out _, []));
        for (var watch = Stopwatch.StartNew(); watch.ElapsedMilliseconds < 200;)
            Thread.SpinWait(1000);
        Assert.True(meter.TryRead(out var after, out _, []));
        Assert.InRange(after - before, 50_000_000, 60_000_000_000);
    }

    /// <summary>The budget of a second for 100 machines of 4 vCPUs is 50 ms of one core; files may take a fifth of it, and no memory.</summary>
    [Fact]
    public void A_hundred_machines_are_cheap()
    {
        var threads = Directory.GetDirectories("/proc/self/task").Select(t => int.Parse(Path.GetFileName(t))).Take(1).ToArray();
        var meters = Enumerable.Range(0, 100).Select(_ => ProcessMeter.Open(Environment.ProcessId, [threads[0], threads[0], threads[0], threads[0]])!).ToArray();
        var vcpus = new long[4];
        Round(meters, vcpus);
        var (best, allocated) = (TimeSpan.MaxValue, GC.GetAllocatedBytesForCurrentThread());
        for (var round = 0; round < 10; round++)
        {
            var start = Stopwatch.GetTimestamp();
            Round(meters, vcpus);
            var took = Stopwatch.GetElapsedTime(start);
            best = took < best ? took : best;
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - allocated);
        TestContext.Current.TestOutputHelper?.WriteLine($"100 machines: {best.TotalMilliseconds:0.00} ms");
        Assert.True(best < TimeSpan.FromMilliseconds(10), $"A reading of 100 machines took {best.TotalMilliseconds:0.00} ms.");
        foreach (var meter in meters)
            meter.Dispose();
    }

    [Fact]
    public void The_host_is_read_from_its_files()
    {
        Write("proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3\n");
        Write("proc/meminfo", "MemTotal:        8192 kB\nMemFree:          512 kB\nMemAvailable:    4096 kB\nBuffers: 1 kB\n");
        Write("proc/loadavg", "1.25 0.50 0.25 2/300 4711\n");
        Write("proc/pressure/cpu", "some avg10=12.50 avg60=1.00 avg300=0.10 total=1\n");
        Write("proc/pressure/io", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=9.00 avg60=0.00 avg300=0.00 total=0\n");
        var meter = new HostMeter(Paths, TimeProvider.System);
        meter.Read([]);
        Write("proc/stat", "cpu  150 0 125 715 110 0 0 0 0 0\ncpu0 1 2 3\n");
        var sample = meter.Read([]);
        Assert.Equal(0.75, sample.CpuBusy, 6);
        Assert.Equal((8192L << 10, 4096L << 10, 1.25), (sample.MemoryTotalBytes, sample.MemoryAvailableBytes, sample.Load1));
        Assert.Equal((12.5, null, 0.0), (sample.CpuPressure, sample.MemoryPressure, sample.IoPressure));
    }

    [Fact]
    public void A_host_without_files_is_no_failure()
    {
        var sample = new HostMeter(Paths, TimeProvider.System).Read([]);
        Assert.Equal((0.0, 0L, 0.0), (sample.CpuBusy, sample.MemoryTotalBytes, sample.Load1));
        Assert.Null(sample.CpuPressure);
    }

    public void Dispose() => root.Dispose();

    private static void Round(ProcessMeter[] meters, long[] vcpus)
    {
        foreach (var meter in meters)
            Assert.True(meter.TryRead(out _, out _, vcpus));
    }

    private void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(root.In(path))!);
        File.WriteAllText(root.In(path), text);
    }
}
