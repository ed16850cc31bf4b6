using System.Buffers;
using System.Net.WebSockets;

namespace KvmPortal.Web.Consoles;

/// <summary>Carries RFB bytes between a browser's WebSocket and a machine's display, both ways, until one side ends.</summary>
internal static class VncRelay
{
    private const int BufferBytes = 64 * 1024;

    public static async Task RunAsync(WebSocket socket, Stream display, bool viewOnly, CancellationToken ct)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var toBrowser = ToBrowserAsync(display, socket, ending.Token);
        var toDisplay = ToDisplayAsync(socket, display, viewOnly ? new ViewOnlyFilter() : null, ending.Token);
        var first = await Task.WhenAny(toBrowser, toDisplay);
        var status = first == toDisplay && toDisplay is { IsCompletedSuccessfully: true } ? await toDisplay : WebSocketCloseStatus.NormalClosure;
        // A pending receive must not be cancelled before the close is sent: cancelling aborts the socket.
        await CloseAsync(socket, status);
        await ending.CancelAsync();
        await display.DisposeAsync();
        await Task.WhenAll(Quietly(toBrowser), Quietly(toDisplay));
    }

    private static async Task ToBrowserAsync(Stream display, WebSocket socket, CancellationToken ct)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            int read;
            while ((read = await display.ReadAsync(buffer.AsMemory(0, BufferBytes), ct)) > 0)
                await socket.SendAsync(buffer.AsMemory(0, read), WebSocketMessageType.Binary, true, ct);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Returns how the socket is to be closed.</summary>
    private static async Task<WebSocketCloseStatus> ToDisplayAsync(WebSocket socket, Stream display, ViewOnlyFilter? filter, CancellationToken ct)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        var passed = new ArrayBufferWriter<byte>();
        try
        {
            while (true)
            {
                var got = await socket.ReceiveAsync(buffer.AsMemory(0, BufferBytes), ct);
                if (got.MessageType == WebSocketMessageType.Close)
                    return WebSocketCloseStatus.NormalClosure;
                if (got.MessageType != WebSocketMessageType.Binary)
                    return WebSocketCloseStatus.InvalidMessageType;
                ReadOnlyMemory<byte> bytes = buffer.AsMemory(0, got.Count);
                if (filter is not null)
                {
                    passed.ResetWrittenCount();
                    if (!filter.Pass(bytes.Span, passed))
                        return WebSocketCloseStatus.PolicyViolation;
                    bytes = passed.WrittenMemory;
                }

                if (bytes.Length > 0)
                    await display.WriteAsync(bytes, ct);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async Task CloseAsync(WebSocket socket, WebSocketCloseStatus status)
    {
        if (socket.State is not (WebSocketState.Open or WebSocketState.CloseReceived))
            return;
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await Quietly(socket.CloseOutputAsync(status, null, patience.Token));
    }

    /// <summary>At the end of a connection every failure means the same: it is over.</summary>
    private static async Task Quietly(Task task)
    {
        try
        {
            await task;
        }
        catch (Exception e) when (e is OperationCanceledException or WebSocketException or IOException or ObjectDisposedException or InvalidOperationException)
        {
        }
    }
}
