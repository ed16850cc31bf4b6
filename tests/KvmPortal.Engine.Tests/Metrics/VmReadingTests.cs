using KvmPortal.Engine.Metrics;

namespace KvmPortal.Engine.Tests.Metrics;

public sealed class VmReadingTests
{
    private static readonly Guid Id = Guid.CreateVersion7();

    [Fact]
    public void Rates_are_differences_per_second()
    {
        var point = VmReading.Between(MetricsScene.Machine(Id, 10, 1.5), MetricsScene.Machine(Id, 12, 1.5), 2).ToPoint(MetricsScene.Noon);
        Assert.Equal(1.5, point.Cpu);
        Assert.Equal(0.75 * VmReading.FullVcpu, VmReading.Vcpu(MetricsScene.Machine(Id, 10, 1.5), MetricsScene.Machine(Id, 12, 1.5), 1, 2), 1d);
        Assert.Equal(1000, point.DiskReadBytesPerSecond);
        Assert.Equal(10, point.DiskReadsPerSecond);
        Assert.Equal(0, point.DiskWriteBytesPerSecond);
        Assert.Equal(500, point.NetReceiveBytesPerSecond);
        Assert.Null(point.NetTransmitBytesPerSecond);
        Assert.Equal(512L << 20, point.RssBytes);
        Assert.Null(point.BalloonBytes);
    }

    [Fact]
    public void A_machine_that_started_again_has_no_rates_at_first()
    {
        var before = MetricsScene.Machine(Id, 1000, 1);
        var after = MetricsScene.Machine(Id, 1, 1) with { DiskReadBytes = 1L << 40 };
        var point = VmReading.Between(before, after, 1).ToPoint(MetricsScene.Noon);
        Assert.Null(point.Cpu);
        Assert.Null(point.DiskReadBytesPerSecond);
        Assert.NotNull(point.RssBytes);
        Assert.Equal(VmReading.NoVcpu, VmReading.Vcpu(before, after, 0, 1));
    }

    [Fact]
    public void One_counter_that_was_reset_does_not_spoil_the_others()
    {
        var point = VmReading.Between(MetricsScene.Machine(Id, 10, 1) with { DiskReadBytes = 1 << 30 }, MetricsScene.Machine(Id, 11, 1), 1).ToPoint(MetricsScene.Noon);
        Assert.Null(point.DiskReadBytesPerSecond);
        Assert.Equal(1, point.Cpu);
    }

    [Fact]
    public void Memory_beyond_four_tebibytes_fits()
    {
        var point = VmReading.Between(null, MetricsScene.Machine(Id, 1, 1, rss: 12L << 40), null).ToPoint(MetricsScene.Noon);
        Assert.Equal(12L << 40, point.RssBytes);
    }

    [Theory]
    [InlineData(1, 1, 1.0)]
    [InlineData(4, 4, 4.0)]
    [InlineData(60, 60, null)]
    [InlineData(0, 1, null)]
    [InlineData(-3600, 1, null)]
    [InlineData(9, 1, null)]
    public void Seconds_are_refused_for_gaps_and_clock_jumps(int said, int passed, double? seconds) =>
        Assert.Equal(seconds, VmReading.Seconds(MetricsScene.Noon, MetricsScene.Noon.AddSeconds(said), TimeSpan.FromSeconds(passed)));

    [Fact]
    public void Means_ignore_what_is_missing_and_keep_the_highest_memory()
    {
        var mean = new VmMean();
        mean.Add(VmReading.Between(null, MetricsScene.Machine(Id, 1, 1, rss: 3L << 30), null));
        mean.Add(VmReading.Between(MetricsScene.Machine(Id, 1, 1), MetricsScene.Machine(Id, 2, 1), 1));
        mean.Add(VmReading.Between(MetricsScene.Machine(Id, 1, 3), MetricsScene.Machine(Id, 2, 3), 1));
        var point = mean.ToReading().ToPoint(MetricsScene.Noon);
        Assert.Equal(2, point.Cpu);
        Assert.Equal(3L << 30, point.RssBytes);
        Assert.Null(point.BalloonBytes);
    }
}
