using System.Net.Sockets;
using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Consoles;

/// <summary>
/// The one reader of a machine's serial socket. It always drains, because QEMU writes the UART byte by byte and a full socket freezes the guest;
/// viewers read from the history at their own pace and can never slow it.
/// </summary>
internal sealed class SerialConsole : IAsyncDisposable
{
    private const int MostChunk = 64 * 1024;
    private readonly SerialHistory history = new();
    private readonly SemaphoreSlim typing = new(1, 1);
    private readonly Socket? socket;
    private readonly Task draining;
    private TaskCompletionSource more = NewSignal();

    private SerialConsole(Socket? socket)
    {
        this.socket = socket;
        draining = socket is null ? Task.CompletedTask : DrainAsync(socket);
    }

    /// <summary>Attaches; must happen before the CPUs start so that the first byte is not lost.</summary>
    public static async Task<SerialConsole> AttachAsync(string path, int pid, CancellationToken ct) => new(await UnixStream.OpenAsync(path, pid, ct));

    /// <summary>History, then live, until the machine has ended.</summary>
    public async IAsyncEnumerable<SerialChunk> ReadAsync(long from, [EnumeratorCancellation] CancellationToken ct)
    {
        var offset = from;
        while (true)
        {
            var signal = Volatile.Read(ref more);
            var (at, bytes) = history.Read(offset, MostChunk);
            if (bytes.Length > 0)
            {
                yield return new SerialChunk(at, bytes);
                offset = at + bytes.Length;
            }
            else if (draining.IsCompleted)
                yield break;
            else
            {
                // An offset beyond the end (of an earlier run, say) means: what comes from now on.
                offset = at;
                await Task.WhenAny(signal.Task, draining).WaitAsync(ct);
            }
        }
    }

    /// <summary>Types bytes.</summary>
    public async Task WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        if (socket is null || draining.IsCompleted)
            throw new HostException(HostError.NotRunning, "The serial console is not connected: the machine has ended.");
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(TimeSpan.FromSeconds(5));
        await typing.WaitAsync(deadline.Token);
        try
        {
            while (bytes.Length > 0)
                bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None, deadline.Token)..];
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            throw new HostException(HostError.Timeout, "The guest does not read its serial console.", e);
        }
        catch (SocketException e)
        {
            throw new HostException(HostError.NotRunning, "The serial console is not connected: the machine has ended.", e);
        }
        finally
        {
            typing.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        socket?.Dispose();
        await draining;
    }

    private async Task DrainAsync(Socket from)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            while (await from.ReceiveAsync(buffer, SocketFlags.None) is > 0 and var read)
            {
                history.Append(buffer.AsSpan(0, read));
                Interlocked.Exchange(ref more, NewSignal()).TrySetResult();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The machine has ended, or the portal detaches.
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
