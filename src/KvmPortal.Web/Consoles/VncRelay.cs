using System.Buffers;
using System.Net.WebSockets;

namespace KvmPortal.Web.Consoles;

/// <summary>Bytes between a display's stream and a browser's WebSocket, both ways, until either ends. noVNC speaks RFB itself, so nothing is interpreted, except to drop input when the viewer may only look.</summary>
public static class VncRelay
{
    private const int BlockBytes = 64 * 1024;

    public static async Task RunAsync(Stream display, WebSocket browser, bool viewOnly, CancellationToken ct)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var toBrowser = ToBrowserAsync(display, browser, either.Token);
        var toDisplay = ToDisplayAsync(browser, display, viewOnly ? new ViewOnlyFilter() : null, either.Token);
        await Task.WhenAny(toBrowser, toDisplay);
        try
        {
            if (browser.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
                await browser.CloseOutputAsync(ct.IsCancellationRequested ? WebSocketCloseStatus.EndpointUnavailable : WebSocketCloseStatus.NormalClosure, ct.IsCancellationRequested ? "The portal stops." : null, patience.Token);
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or IOException)
        {
            // The browser is gone already.
        }

        await either.CancelAsync();
        await Task.WhenAll(Quietly(toBrowser), Quietly(toDisplay));
    }

    private static async Task ToBrowserAsync(Stream display, WebSocket browser, CancellationToken ct)
    {
        var block = ArrayPool<byte>.Shared.Rent(BlockBytes);
        try
        {
            while (await display.ReadAsync(block.AsMemory(0, BlockBytes), ct) is > 0 and var read)
                await browser.SendAsync(block.AsMemory(0, read), WebSocketMessageType.Binary, WebSocketMessageFlags.EndOfMessage, ct);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private static async Task ToDisplayAsync(WebSocket browser, Stream display, ViewOnlyFilter? filter, CancellationToken ct)
    {
        var block = ArrayPool<byte>.Shared.Rent(BlockBytes);
        var passed = new ArrayBufferWriter<byte>();
        try
        {
            while (true)
            {
                var received = await browser.ReceiveAsync(block.AsMemory(0, BlockBytes), ct);
                if (received.MessageType != WebSocketMessageType.Binary)
                    return;
                ReadOnlyMemory<byte> bytes = block.AsMemory(0, received.Count);
                if (filter is not null)
                {
                    passed.ResetWrittenCount();
                    if (!filter.Pass(bytes.Span, passed))
                        return;
                    bytes = passed.WrittenMemory;
                }

                if (bytes.Length > 0)
                    await display.WriteAsync(bytes, ct);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private static async Task Quietly(Task task)
    {
        try
        {
            await task;
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or IOException or ObjectDisposedException or InvalidDataException)
        {
            // How one direction ended is no news once the other has.
        }
    }
}
