using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;

namespace KvmPortal.Engine.Tests.Events;

/// <summary>The fan-out to open pages and hubs.</summary>
public sealed class LiveFeedTests
{
    [Fact]
    public async Task A_slow_watcher_is_told_to_read_again_and_holds_at_most_its_queue()
    {
        var feed = new LiveFeed();
        using var ends = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        await using var watching = feed.WatchAsync(ends.Token).GetAsyncEnumerator(ends.Token);
        for (var i = 0; i < 5000; i++)
            feed.Publish(new VmRemoved(VmId.New(TimeProvider.System)));
        Assert.True(await watching.MoveNextAsync());
        Assert.IsType<Resync>(watching.Current);
        var last = VmId.New(TimeProvider.System);
        feed.Publish(new VmRemoved(last));
        Assert.True(await watching.MoveNextAsync());
        Assert.Equal(new VmRemoved(last), watching.Current);
    }

    [Fact]
    public async Task A_watcher_that_gives_up_before_it_reads_leaves_nothing_behind()
    {
        var feed = new LiveFeed();
        using var ends = new CancellationTokenSource();
        _ = feed.WatchAsync(ends.Token);
        Assert.Equal(1, feed.Watchers);
        await ends.CancelAsync();
        Assert.Equal(0, feed.Watchers);
    }
}
