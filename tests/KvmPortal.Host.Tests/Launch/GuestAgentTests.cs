using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Launch;

/// <summary>What answers as guest agent is the guest's own software: it may lie, flood or be silent.</summary>
public sealed partial class GuestAgentTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_that_answers_is_asked_to_power_off() =>
        Assert.Equal((true, true), await AskAsync(async (socket, id) => await SayAsync(socket, $"noise\n\u00ff{{\"return\": {id}}}\n")));

    [Theory]
    [InlineData("")]
    [InlineData("{\"return\": 1}\n")]
    [InlineData("\u00ff{\"return\": 1}\n")]
    [InlineData("\u00ff{\"return\": \"yes\"}\n")]
    [InlineData("\u00ff{\"error\": {}}\n")]
    [InlineData("\u00ff\u00ff\u00ff\n\n\n")]
    public async Task One_that_is_silent_or_answers_something_else_is_none(string answer) =>
        Assert.Equal((false, false), await AskAsync(async (socket, _) => await SayAsync(socket, answer)));

    [Fact]
    public async Task One_that_floods_is_left_soon()
    {
        long sent = 0;
        var result = await AskAsync(async (socket, _) =>
        {
            var block = new byte[64 * 1024];
            Array.Fill(block, (byte)'x');
            while (true)
                sent += await socket.SendAsync(block, Ct);
        });
        Assert.Equal((false, false), result);
        Assert.True(sent < 8 << 20, $"{sent}");
    }

    [Fact]
    public async Task One_that_hangs_up_is_none() =>
        Assert.Equal((false, false), await AskAsync((socket, _) =>
        {
            socket.Dispose();
            return Task.CompletedTask;
        }));

    [Fact]
    public async Task Where_nobody_listens_there_is_none() => Assert.False(await GuestAgent.TryShutdownAsync("/nothing/there", Environment.ProcessId, Ct));

    /// <summary>Whether it was taken for an agent, and whether it was asked to shut down.</summary>
    private static async Task<(bool Asked, bool Heard)> AskAsync(Func<Socket, string, Task> answer)
    {
        using var folder = new ScratchFolder();
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(folder.In("s")));
        listener.Listen();
        var watch = Stopwatch.StartNew();
        var asking = GuestAgent.TryShutdownAsync(folder.In("s"), Environment.ProcessId, Ct);
        using var agent = await listener.AcceptAsync(Ct);
        var heard = "";
        try
        {
            heard = await HearAsync(agent);
            await answer(agent, Id().Match(heard).Groups[1].Value);
            if (await asking)
                heard = await HearAsync(agent);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }

        var asked = await asking;
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"{watch.Elapsed}");
        return (asked, heard.Contains("guest-shutdown", StringComparison.Ordinal));
    }

    private static async Task<string> HearAsync(Socket agent)
    {
        var buffer = new byte[4096];
        return Encoding.Latin1.GetString(buffer, 0, await agent.ReceiveAsync(buffer, Ct));
    }

    private static Task SayAsync(Socket socket, string text) => socket.SendAsync(Encoding.Latin1.GetBytes(text), Ct).AsTask();

    [GeneratedRegex("\"id\":(\\d+)", RegexOptions.CultureInvariant)]
    private static partial Regex Id();
}
