using System.Net.Sockets;
using System.Text;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Qmp;

public sealed class QmpClientTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Answers_go_to_their_commands_and_events_keep_their_order()
    {
        await using var peer = await Peer.OpenAsync();
        var (first, second) = (peer.Client.ExecuteAsync("a", null, TimeSpan.FromSeconds(10), Ct), peer.Client.ExecuteAsync("b", null, TimeSpan.FromSeconds(10), Ct));
        await peer.SayAsync("{\"event\":\"ONE\"}\n{\"return\":9,\"id\":99}\n{\"return\":3,\"id\":3}\n{\"event\":\"TWO\"}\n{\"return\":2,\"id\":2}\n");
        Assert.Equal((2, 3), ((await first).GetInt32(), (await second).GetInt32()));
        Assert.Equal(("ONE", "TWO"), ((await peer.Client.Events.ReadAsync(Ct)).Name, (await peer.Client.Events.ReadAsync(Ct)).Name));
    }

    [Fact]
    public async Task An_error_keeps_its_class_and_text_and_silence_is_a_timeout()
    {
        await using var peer = await Peer.OpenAsync();
        var asked = peer.Client.ExecuteAsync("a", null, TimeSpan.FromSeconds(10), Ct);
        await peer.SayAsync("{\"error\":{\"class\":\"DeviceNotFound\",\"desc\":\"no such thing\"},\"id\":2}\n");
        var refused = await Assert.ThrowsAsync<HostException>(() => asked);
        Assert.Equal((HostError.QmpFailed, "DeviceNotFound"), (refused.Error, refused.QmpClass));
        Assert.Contains("no such thing", refused.Message, StringComparison.Ordinal);
        Assert.Equal(HostError.Timeout, (await Assert.ThrowsAsync<HostException>(() => peer.Client.ExecuteAsync("b", null, TimeSpan.FromMilliseconds(100), Ct))).Error);
    }

    [Theory]
    [InlineData("rubbish\n")]
    [InlineData("[]\n")]
    [InlineData("{\"id\":\"x\",\"return\":1}\n")]
    [InlineData("long")]
    [InlineData("")]
    public async Task Rubbish_or_an_end_ends_the_command_at_once(string said)
    {
        await using var peer = await Peer.OpenAsync();
        var asked = peer.Client.ExecuteAsync("a", null, TimeSpan.FromSeconds(20), Ct);
        try
        {
            await peer.SayAsync(said == "long" ? new string('x', 9 << 20) : said);
        }
        catch (IOException)
        {
            // The client hung up in the middle of the line.
        }

        if (said.Length == 0)
            peer.Close();
        Assert.Equal(HostError.NotRunning, (await Assert.ThrowsAsync<HostException>(() => asked)).Error);
        Assert.True(peer.Client.Ended.IsCancellationRequested);
    }

    [Theory]
    [InlineData("")]
    [InlineData("SSH-2.0\n")]
    [InlineData("{}\n")]
    public async Task What_does_not_greet_is_no_QMP(string said)
    {
        using var pair = await Pair.MakeAsync();
        await pair.Far.WriteAsync(Encoding.ASCII.GetBytes(said), Ct);
        pair.Far.Socket.Shutdown(SocketShutdown.Send);
        Assert.Equal(HostError.QmpFailed, (await Assert.ThrowsAsync<HostException>(() => QmpClient.OpenAsync(pair.Near, null, Ct))).Error);
    }
}
