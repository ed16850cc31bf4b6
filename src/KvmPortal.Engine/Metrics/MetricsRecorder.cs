using System.Threading.Channels;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Metrics;

/// <summary>Reads the host once a second for everybody, and stores each minute that is over. One task for the whole fleet, watched or not.</summary>
internal sealed class MetricsRecorder(IMachineHost host, RecentMetrics recent, RollupStore rollups, TimeProvider time, ILogger<MetricsRecorder> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    // Minutes stay in memory for an hour, so a database that is slow for a while loses none.
    private readonly Channel<DateTimeOffset> ended = Channel.CreateBounded<DateTimeOffset>(new BoundedChannelOptions(50) { FullMode = BoundedChannelFullMode.DropOldest });
    private DateTimeOffset? minute;
    private long? lastTaken;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            await Task.WhenAll(ReadAsync(stoppingToken), StoreAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    /// <summary>Takes one sample in.</summary>
    internal void Take(HostSample sample)
    {
        var now = time.GetTimestamp();
        recent.Add(sample, lastTaken is { } before ? time.GetElapsedTime(before, now) : Interval);
        lastTaken = now;
        var current = RollupStore.Floor(sample.At, TimeSpan.FromMinutes(1));
        if (minute < current)
            ended.Writer.TryWrite(minute.Value);
        minute = current;
    }

    private async Task ReadAsync(CancellationToken ct)
    {
        while (true)
        {
            try
            {
                await foreach (var sample in host.SampleAsync(Interval, ct))
                    Take(sample);
            }
            catch (Exception e) when (!ct.IsCancellationRequested)
            {
                logger.LogWarning(e, "The host gives no samples; asking again in {Seconds} s.", Patience.TotalSeconds);
            }

            await Task.Delay(Patience, time, ct);
        }
    }

    /// <summary>Stores minutes as they end, and tidies once an hour, until cancelled.</summary>
    internal async Task StoreAsync(CancellationToken ct)
    {
        DateTimeOffset? tidied = null;
        await foreach (var over in ended.Reader.ReadAllAsync(ct))
        {
            try
            {
                await rollups.StoreMinuteAsync(over, recent, ct);
                var hour = RollupStore.Floor(over.AddMinutes(1), TimeSpan.FromHours(1));
                if (hour == tidied)
                    continue;
                await rollups.TidyAsync(hour, ct);
                tidied = hour;
            }
            catch (Exception e) when (!ct.IsCancellationRequested)
            {
                logger.LogError(e, "The metrics of {Minute} could not be stored.", over);
            }
        }
    }
}
