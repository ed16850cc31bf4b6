using System.Diagnostics;
using System.Text;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Tests.Qmp;

/// <summary>A QEMU that its guest has taken over: it may say anything, at any speed, or nothing.</summary>
public sealed class HostilePeerTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_that_never_greets_is_given_up()
    {
        using var pair = await Pair.MakeAsync();
        var watch = Stopwatch.StartNew();
        Assert.Equal(HostError.Timeout, (await Assert.ThrowsAsync<HostException>(() => QmpClient.OpenAsync(pair.Near, null, Ct))).Error);
        Assert.InRange(watch.Elapsed, QmpClient.GreetingTime - TimeSpan.FromSeconds(1), QmpClient.GreetingTime + TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_flood_of_events_is_read_slowly_and_memory_stays_flat()
    {
        await using var peer = await Peer.OpenAsync();
        var line = Encoding.UTF8.GetBytes("{\"event\":\"BLOCK_IO_ERROR\",\"data\":{\"node-name\":\"x\"}}\n");
        var block = Enumerable.Repeat(line, 1000).SelectMany(l => l).ToArray();
        long sent = 0;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var flood = Task.Run(async () =>
        {
            try
            {
                for (; ; sent += 1000)
                    await peer.WriteAsync(block, stop.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or IOException)
            {
            }
        }, Ct);
        await Task.Delay(3000, Ct);
        // What a unix socket and the reader hold beyond what was read is a few thousand lines.
        Assert.InRange(sent, 1000, (QmpClient.MostMessagesPerSecond * 5) + 10_000);
        Assert.True(peer.Client.Events.Count <= 1024);
        Assert.False(peer.Client.Ended.IsCancellationRequested);
        // It can still be asked, late, and can be left at once.
        Assert.Equal(HostError.Timeout, (await Assert.ThrowsAsync<HostException>(() => peer.Client.ExecuteAsync("a", null, TimeSpan.FromMilliseconds(200), Ct))).Error);
        var watch = Stopwatch.StartNew();
        await peer.Client.DisposeAsync();
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"{watch.Elapsed}");
        await stop.CancelAsync();
        await flood;
    }

    [Theory]
    [InlineData("{\"event\":\"STOP\",\"data\":5}")]
    [InlineData("{\"event\":\"STOP\",\"data\":null,\"timestamp\":{\"seconds\":99999999999999999999,\"microseconds\":-1}}")]
    [InlineData("{\"event\":\"STOP\",\"data\":[1,2]}")]
    [InlineData("{\"event\":\"STOP\"}")]
    public async Task Events_of_any_shape_have_an_object_as_data(string said)
    {
        await using var peer = await Peer.OpenAsync();
        await peer.SayAsync(said + "\n");
        var happened = await peer.Client.Events.ReadAsync(Ct);
        Assert.Equal("STOP", happened.Name);
        Assert.Equal(System.Text.Json.JsonValueKind.Object, happened.Data.ValueKind);
    }

    [Theory]
    [InlineData("{\"event\":5}")]
    [InlineData("{\"return\":1}")]
    [InlineData("{\"return\":1,\"id\":77}")]
    [InlineData("{\"error\":1,\"id\":77}")]
    [InlineData("{\"id\":99999999999999999999,\"return\":1}")]
    [InlineData("   ")]
    public async Task What_was_never_asked_is_passed_over(string said)
    {
        await using var peer = await Peer.OpenAsync();
        var asked = peer.Client.ExecuteAsync("a", null, TimeSpan.FromSeconds(20), Ct);
        await peer.SayAsync(said + "\n{\"return\":7,\"id\":2}\n{\"return\":8,\"id\":2}\n");
        Assert.Equal(7, (await asked).GetInt32());
        Assert.False(peer.Client.Ended.IsCancellationRequested);
    }

    [Fact]
    public async Task Depth_and_broken_text_end_the_conversation()
    {
        foreach (var said in (byte[][])[Encoding.ASCII.GetBytes(new string('[', 100_000) + "\n"), [.. "{\"event\":\""u8, 0xff, 0xfe, .. "\"}\n"u8], [.. "{\"event\":\"\\ud800\"}\n"u8]])
        {
            await using var peer = await Peer.OpenAsync();
            var asked = peer.Client.ExecuteAsync("a", null, TimeSpan.FromSeconds(20), Ct);
            await peer.WriteAsync(said, Ct);
            Assert.Equal(HostError.NotRunning, (await Assert.ThrowsAsync<HostException>(() => asked)).Error);
        }
    }

    [Fact]
    public async Task Words_of_a_peer_are_made_short_and_printable()
    {
        await using var peer = await Peer.OpenAsync();
        var asked = peer.Client.ExecuteAsync("a", null, TimeSpan.FromSeconds(20), Ct);
        await peer.SayAsync($"{{\"error\":{{\"class\":\"{new string('c', 9000)}\",\"desc\":\"\\u001b[31m{new string('d', 2_000_000)}\"}},\"id\":2}}\n");
        var refused = await Assert.ThrowsAsync<HostException>(() => asked);
        Assert.InRange(refused.Message.Length, 500, 1100);
        Assert.DoesNotContain('\u001b', refused.Message);
        Assert.InRange(refused.QmpClass!.Length, 1, 100);
    }

    [Fact]
    public async Task Answers_of_another_shape_are_said_to_be_so()
    {
        foreach (var said in (string[])["5", "[]", "{}", "{\"status\":7}", "null"])
        {
            await using var peer = await Peer.OpenAsync();
            var asked = peer.Client.QueryStatusAsync(Ct);
            await peer.SayAsync($"{{\"return\":{said},\"id\":2}}\n");
            Assert.Equal(HostError.QmpFailed, (await Assert.ThrowsAsync<HostException>(() => asked)).Error);
        }
    }
}
