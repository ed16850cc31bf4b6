using System.Net.Sockets;
using System.Text;
using KvmPortal.Host.Qmp;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Qmp;

internal sealed class Pair : IDisposable
{
    public required NetworkStream Near { get; init; }
    public required NetworkStream Far { get; init; }

    public static async Task<Pair> MakeAsync()
    {
        using var folder = new ScratchFolder();
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(folder.In("s")));
        listener.Listen();
        var near = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await near.ConnectAsync(new UnixDomainSocketEndPoint(folder.In("s")), TestContext.Current.CancellationToken);
        return new Pair { Near = new NetworkStream(near, true), Far = new NetworkStream(await listener.AcceptAsync(TestContext.Current.CancellationToken), true) };
    }

    public void Dispose()
    {
        Near.Dispose();
        Far.Dispose();
    }
}

internal sealed class Peer(Pair pair, QmpClient client) : IAsyncDisposable
{
    public QmpClient Client => client;

    public static async Task<Peer> OpenAsync()
    {
        var pair = await Pair.MakeAsync();
        // The client's first command has the id 1; what comes early waits in the socket.
        await pair.Far.WriteAsync("{\"QMP\":{}}\r\n"u8.ToArray(), TestContext.Current.CancellationToken);
        var opening = QmpClient.OpenAsync(pair.Near, pair.Near.Socket, TestContext.Current.CancellationToken);
        await pair.Far.ReadAtLeastAsync(new byte[4096], 10, cancellationToken: TestContext.Current.CancellationToken);
        await pair.Far.WriteAsync("{\"return\":{},\"id\":1}\n"u8.ToArray(), TestContext.Current.CancellationToken);
        return new Peer(pair, await opening);
    }

    public Task SayAsync(string text) => pair.Far.WriteAsync(Encoding.ASCII.GetBytes(text), TestContext.Current.CancellationToken).AsTask();

    public Task WriteAsync(byte[] bytes, CancellationToken ct) => pair.Far.WriteAsync(bytes, ct).AsTask();

    /// <summary>The next line that the client said.</summary>
    public async Task<string> HearAsync()
    {
        var line = new List<byte>();
        var one = new byte[1];
        while (await pair.Far.ReadAsync(one, TestContext.Current.CancellationToken) == 1 && one[0] != '\n')
            line.Add(one[0]);
        return Encoding.UTF8.GetString([.. line]).Trim();
    }

    public void Close() => pair.Far.Dispose();

    public async ValueTask DisposeAsync()
    {
        await client.DisposeAsync();
        pair.Dispose();
    }
}
