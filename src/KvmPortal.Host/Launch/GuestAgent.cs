using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace KvmPortal.Host.Launch;

/// <summary>
/// The little of the guest agent's protocol (QEMU's docs/interop/qemu-ga) that a shutdown needs. What answers is guest software and may lie: replies are
/// bounded, and an agent that does not answer in time is no agent.
/// </summary>
internal static class GuestAgent
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Asks the agent to power the guest off; false when no agent answers a fresh synchronisation.</summary>
    public static async Task<bool> TryShutdownAsync(string socketPath, int pid, CancellationToken ct)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(Patience);
        try
        {
            using var socket = await Consoles.UnixStream.OpenAsync(socketPath, pid, deadline.Token);
            var id = RandomNumberGenerator.GetInt32(1, int.MaxValue);
            await socket.SendAsync(new byte[] { 0xFF }.Concat(Encoding.ASCII.GetBytes($"{{\"execute\":\"guest-sync-delimited\",\"arguments\":{{\"id\":{id}}}}}\n")).ToArray(), SocketFlags.None, deadline.Token);
            if (!await AnsweredAsync(socket, id, deadline.Token))
                return false;
            // guest-shutdown has no reply when it succeeds.
            await socket.SendAsync("{\"execute\":\"guest-shutdown\",\"arguments\":{\"mode\":\"powerdown\"}}\n"u8.ToArray(), SocketFlags.None, deadline.Token);
            return true;
        }
        catch (Exception e) when ((e is OperationCanceledException && !ct.IsCancellationRequested) || e is SocketException)
        {
            return false;
        }
    }

    /// <summary>Everything up to 0xFF is old noise; the reply behind it must carry our number.</summary>
    private static async Task<bool> AnsweredAsync(Socket socket, int id, CancellationToken ct)
    {
        var received = new List<byte>();
        var buffer = new byte[4096];
        while (received.Count < 64 * 1024)
        {
            var read = await socket.ReceiveAsync(buffer, SocketFlags.None, ct);
            if (read == 0)
                return false;
            received.AddRange(buffer.AsSpan(0, read));
            var mark = received.LastIndexOf(0xFF);
            if (mark >= 0 && received.IndexOf((byte)'\n', mark) is > 0 and var end)
                return Encoding.UTF8.GetString([.. received.GetRange(mark + 1, end - mark - 1)]).Replace(" ", "", StringComparison.Ordinal).Contains($"\"return\":{id}", StringComparison.Ordinal);
        }

        return false;
    }
}
