using System.Net.Sockets;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Consoles;

/// <summary>A connection to a unix socket as a stream.</summary>
internal static class UnixStream
{
    /// <summary>Throws NotRunning when nobody listens.</summary>
    public static async Task<Stream> ConnectAsync(string path, CancellationToken ct)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), ct);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new HostException(HostError.NotRunning, "The machine's display is not reachable: it has ended.", e);
        }
    }
}
