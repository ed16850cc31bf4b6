using System.Net.Sockets;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Consoles;

/// <summary>A connection to one of a machine's unix sockets.</summary>
internal static class UnixStream
{
    private const int SocketLevel = 1, PeerCredentials = 17;

    /// <summary>Throws NotRunning when nobody listens.</summary>
    public static async Task<Stream> ConnectAsync(string path, int pid, CancellationToken ct)
    {
        try
        {
            return new NetworkStream(await OpenAsync(path, pid, ct), ownsSocket: true);
        }
        catch (SocketException e)
        {
            throw new HostException(HostError.NotRunning, "The machine's display is not reachable: it has ended.", e);
        }
    }

    /// <summary>
    /// Connects and makes sure that the machine's own process listens (SO_PEERCRED of unix(7)): the folder belongs to QEMU's user, and a guest that has broken
    /// out could put a link to somebody else's socket there. Null takes any peer. Throws <see cref="SocketException"/>, or NotAllowed for a stranger.
    /// </summary>
    public static async Task<Socket> OpenAsync(string path, int? pid, CancellationToken ct)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), ct);
            var credentials = new byte[12];
            if (pid is { } wanted && (socket.GetRawSocketOption(SocketLevel, PeerCredentials, credentials) != credentials.Length || BitConverter.ToInt32(credentials) != wanted))
                throw new HostException(HostError.NotAllowed, $"Another process ({BitConverter.ToInt32(credentials)}) listens on {path}, not the machine's own ({wanted}).");
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
