using System.Diagnostics;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Engine.Tests.Events;

public sealed class PortalEventsTests
{
    private static readonly JobTarget Target = new(TargetType.Vm, Guid.CreateVersion7(), "web-1");

    [Fact]
    public async Task Fifty_appenders_make_one_order_without_holes_that_every_watcher_sees()
    {
        await using var portal = await TestPortal.StartAsync();
        var events = portal.Get<PortalEvents>();
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var watchers = Enumerable.Range(0, 3).Select(_ => TakeAsync(events.WatchAsync(TestPortal.Ada, 0, enough.Token), 5000)).ToList();
        var started = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, 50).Select(a => Task.Run(async () =>
        {
            long before = 0;
            for (var i = 0; i < 100; i++)
            {
                var made = await events.AppendAsync("vm.notice", Target, "system", $"{a} {i}", data: new { appender = a, i });
                Assert.True(made.Seq > before);
                before = made.Seq;
            }
        })));
        Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(20), "5000 appends took more than 20 s");
        foreach (var seen in await Task.WhenAll(watchers))
        {
            Assert.All(seen, e => Assert.NotNull(e.Event));
            Assert.Equal(Enumerable.Range(1, 5000).Select(i => (long)i), seen.Select(e => e.Event!.Seq));
            foreach (var one in seen.GroupBy(e => e.Event!.Data!.Value.GetProperty("appender").GetInt32()))
                Assert.Equal(Enumerable.Range(0, 100), one.Select(e => e.Event!.Data!.Value.GetProperty("i").GetInt32()));
        }

        Assert.Equal(5000, await portal.Store.ReadAsync(db => db.Events.CountAsync(), default));
    }

    [Fact]
    public async Task A_watcher_resumes_after_a_number_and_one_without_number_sees_only_new_ones()
    {
        await using var portal = await TestPortal.StartAsync();
        var events = portal.Get<PortalEvents>();
        for (var i = 1; i <= 10; i++)
            await events.AppendAsync("vm.state", Target, "host", $"event {i}");
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var onlyNew = events.WatchAsync(TestPortal.Ada, null, enough.Token);
        var resumed = events.WatchAsync(TestPortal.Ada, 7, enough.Token);
        await events.AppendAsync("vm.state", Target, "host", "event 11");
        Assert.Equal([8L, 9, 10, 11], (await TakeAsync(resumed, 4)).Select(e => e.Event!.Seq));
        Assert.Equal("event 11", Assert.Single(await TakeAsync(onlyNew, 1)).Event!.Text);

        var fromTheFuture = await TakeAsync(events.WatchAsync(TestPortal.Ada, 5000, enough.Token), 1);
        Assert.Equal(new EventOrGap(null, 1, 11), Assert.Single(fromTheFuture));
    }

    [Fact]
    public async Task A_slow_watcher_reads_the_table_and_loses_nothing()
    {
        await using var portal = await TestPortal.StartAsync();
        var events = portal.Get<PortalEvents>();
        await events.AppendAsync("vm.notice", Target, "system", "first");
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await using var slow = events.WatchAsync(TestPortal.Ada, 0, enough.Token).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.True(await slow.MoveNextAsync());
        // More than what memory holds passes by while the watcher sleeps.
        await Task.WhenAll(Enumerable.Range(0, 5000).Select(i => events.AppendAsync("vm.notice", Target, "system", $"event {i}")));
        for (var seq = 2; seq <= 5001; seq++)
        {
            Assert.True(await slow.MoveNextAsync());
            Assert.Equal(seq, slow.Current.Event?.Seq);
        }
    }

    [Fact]
    public async Task What_is_no_longer_kept_is_announced_as_a_gap()
    {
        await using var portal = await TestPortal.StartAsync();
        var events = new PortalEvents(portal.Store, TimeProvider.System, NullLogger<PortalEvents>.Instance, mostRows: 100);
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await using var slow = events.WatchAsync(TestPortal.Ada, 0, enough.Token).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        await events.AppendAsync("vm.notice", Target, "system", "first");
        Assert.True(await slow.MoveNextAsync());
        for (var round = 0; round < 7; round++)
            await Task.WhenAll(Enumerable.Range(0, 500).Select(i => events.AppendAsync("vm.notice", Target, "system", $"event {i}")));
        await events.AppendAsync("vm.notice", Target, "system", "last");
        long next = 2;
        var gaps = 0;
        while (next <= 3502)
        {
            Assert.True(await slow.MoveNextAsync());
            var (e, from, to) = slow.Current;
            Assert.Equal(next, e?.Seq ?? from);
            gaps += e is null ? 1 : 0;
            next = e is null ? to + 1 : next + 1;
        }

        Assert.Equal(1, gaps);
    }

    [Fact]
    public async Task A_restart_goes_on_counting_and_old_events_stay_readable()
    {
        var folder = Directory.CreateTempSubdirectory("kvmportal-test-").FullName;
        try
        {
            var first = await TestPortal.StartAsync(folder);
            for (var i = 1; i <= 3; i++)
                await first.Get<PortalEvents>().AppendAsync("vm.state", Target, "host", $"event {i}", warning: i == 2, data: new { i });
            await first.DisposeAsync();

            await using var second = await TestPortal.StartAsync(folder);
            var events = second.Get<PortalEvents>();
            using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            var onlyNew = events.WatchAsync(TestPortal.Ada, null, enough.Token);
            Assert.Equal(4, (await events.AppendAsync("vm.state", null, "host", "event 4")).Seq);
            Assert.Equal(4, (await TakeAsync(onlyNew, 1))[0].Event!.Seq);
            var all = await TakeAsync(events.WatchAsync(TestPortal.Ada, 0, enough.Token), 4);
            Assert.Equal([1L, 2, 3, 4], all.Select(e => e.Event!.Seq));
            Assert.Equal(Target, all[1].Event!.Target);
            Assert.Equal(2, all[1].Event!.Data!.Value.GetProperty("i").GetInt32());
            Assert.True(all[1].Event!.Warning);
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Lists_are_newest_first_in_pages_and_filtered()
    {
        await using var portal = await TestPortal.StartAsync();
        var events = portal.Get<PortalEvents>();
        for (var i = 1; i <= 9; i++)
            await events.AppendAsync(i % 3 == 0 ? "job.ended" : "vm.state", i == 4 ? null : Target, "host", $"event {i} is 100%", warning: i == 6);
        var page = await events.ListAsync(TestPortal.Ada, new ListQuery(4), null, default);
        Assert.Equal([9L, 8, 7, 6], page.Items.Select(e => e.Seq));
        var rest = await events.ListAsync(TestPortal.Ada, new ListQuery(5, page.NextCursor), null, default);
        Assert.Equal([5L, 4, 3, 2, 1], rest.Items.Select(e => e.Seq));
        Assert.Null(rest.NextCursor);

        async Task<IEnumerable<long>> SeqsAsync(string? filter = null, string? text = null, Guid? target = null) =>
            (await events.ListAsync(TestPortal.Ada, new ListQuery(Filter: filter, Text: text), target, default)).Items.Select(e => e.Seq);
        Assert.Equal([9L, 6, 3], await SeqsAsync("type = job."));
        Assert.Equal([6L], await SeqsAsync("type = \"job.ended\" and warning = true"));
        Assert.Equal([7L], await SeqsAsync(text: "EVENT 7"));
        Assert.Empty(await SeqsAsync(text: "event_7"));
        Assert.Equal([9L, 8, 7, 6, 5, 3, 2, 1], await SeqsAsync(target: Target.Id));
        Assert.Equal(ErrorCode.Malformed, (await Assert.ThrowsAsync<PortalException>(() => SeqsAsync("colour = red"))).Code);
        await Assert.ThrowsAsync<PortalException>(() => events.ListAsync(TestPortal.Ada, new ListQuery(Cursor: "-5"), null, default));
        await Assert.ThrowsAsync<PortalException>(() => events.ListAsync(TestPortal.Ada, new ListQuery(0), null, default));
    }

    private static async Task<List<EventOrGap>> TakeAsync(IAsyncEnumerable<EventOrGap> watch, int count)
    {
        var taken = new List<EventOrGap>();
        await foreach (var e in watch)
        {
            taken.Add(e);
            if (taken.Count == count)
                break;
        }

        return taken;
    }
}
