using System.Buffers;
using System.Net.WebSockets;
using KvmPortal.Engine;

namespace KvmPortal.Web.Consoles;

/// <summary>Bytes between a display's stream and a browser's WebSocket, both ways, until either ends. noVNC speaks RFB itself, so nothing is interpreted, except to drop input when the viewer may only look.</summary>
public static class VncRelay
{
    private const int FrameBytes = 256 * 1024;
    private const int InputBytes = 16 * 1024;

    public static async Task RunAsync(Stream display, WebSocket browser, bool viewOnly, CancellationToken ct)
    {
        // Not linked to the caller's: a WebSocket whose read is cancelled is cut off, and could not say why it ends.
        using var either = new CancellationTokenSource();
        var toBrowser = ToBrowserAsync(display, browser, either.Token);
        var toDisplay = ToDisplayAsync(browser, display, viewOnly ? new ViewOnlyFilter() : null, either.Token);
        await Task.WhenAny(toBrowser, toDisplay, Task.Delay(Timeout.Infinite, ct));
        try
        {
            if (browser.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
                await browser.CloseOutputAsync(ct.IsCancellationRequested ? WebSocketCloseStatus.EndpointUnavailable : WebSocketCloseStatus.NormalClosure, ct.IsCancellationRequested ? Say.PortalStops : null, patience.Token);
                // The browser's own goodbye: without it the network may throw away ours.
                await Task.WhenAny(toDisplay, Task.Delay(Timeout.Infinite, patience.Token));
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or IOException)
        {
            // The browser is gone already.
        }

        await either.CancelAsync();
        await Task.WhenAll(Quietly(toBrowser), Quietly(toDisplay));
    }

    /// <summary>Two blocks in turn: while one is sent, the other is read.</summary>
    private static async Task ToBrowserAsync(Stream display, WebSocket browser, CancellationToken ct)
    {
        var (reading, sending) = (new byte[FrameBytes], new byte[FrameBytes]);
        var sent = Task.CompletedTask;
        try
        {
            while (await display.ReadAsync(reading, ct) is > 0 and var read)
            {
                await sent;
                (reading, sending) = (sending, reading);
                sent = browser.SendAsync(sending.AsMemory(0, read), WebSocketMessageType.Binary, WebSocketMessageFlags.EndOfMessage, ct).AsTask();
            }
        }
        finally
        {
            await sent;
        }
    }

    private static async Task ToDisplayAsync(WebSocket browser, Stream display, ViewOnlyFilter? filter, CancellationToken ct)
    {
        var block = ArrayPool<byte>.Shared.Rent(InputBytes);
        try
        {
            while (true)
            {
                var received = await browser.ReceiveAsync(block.AsMemory(0, InputBytes), ct);
                if (received.MessageType != WebSocketMessageType.Binary)
                    return;
                var bytes = filter is null ? block.AsMemory(0, received.Count) : filter.Pass(block.AsSpan(0, received.Count));
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

/// <summary>
/// Lets pass what a viewer needs (RFC 6143: handshake, SetPixelFormat, SetEncodings, FramebufferUpdateRequest, and the extensions that noVNC uses to ask for
/// frames) and drops keys, pointer, clipboard and resizing. An unknown message ends the connection, because its length is not known. So does a handshake of
/// another length (RFB 3.3, other security types): a viewer could hide keys behind the difference.
/// </summary>
internal sealed class ViewOnlyFilter
{
    private const int MostMessage = 1 << 20;
    private static readonly byte[][] Versions = [.. new[] { "RFB 003.007\n", "RFB 003.008\n" }.Select(System.Text.Encoding.ASCII.GetBytes)];
    private readonly List<byte> held = [];
    private readonly List<byte> opened = [];
    // Client side of the handshake with security type None: 12 bytes version, 1 byte type, 1 byte shared flag.
    private int handshake = 14;

    public ReadOnlyMemory<byte> Pass(ReadOnlySpan<byte> bytes)
    {
        var passed = new List<byte>(bytes.Length);
        var opening = Math.Min(handshake, bytes.Length);
        passed.AddRange(bytes[..opening]);
        handshake -= opening;
        if (opening > 0)
            Check(bytes[..opening]);
        held.AddRange(bytes[opening..]);
        while (Length() is { } length && held.Count >= length)
        {
            if (held[0] is 0 or 2 or 3 or 150 or 248)
                passed.AddRange(held.Take(length));
            held.RemoveRange(0, length);
        }

        return held.Count > MostMessage ? throw new InvalidDataException("A message of the viewer is too long.") : passed.ToArray();
    }

    private void Check(ReadOnlySpan<byte> opening)
    {
        opened.AddRange(opening);
        var version = opened.Take(12).ToArray();
        if (!Versions.Any(v => v.AsSpan().StartsWith(version)) || opened is { Count: > 12 } && opened[12] != 1)
            throw new InvalidDataException("The viewer opens in a way that a viewing console does not take.");
    }

    /// <summary>Length of the message at the front; null when too little of it is there.</summary>
    private int? Length() => held.Count == 0 ? null : held[0] switch
    {
        0 => 20,
        2 => held.Count < 4 ? null : 4 + 4 * (held[2] << 8 | held[3]),
        3 => 10,
        4 => 8,
        5 => 6,
        6 => held.Count < 8 ? null : 8 + ClipboardBytes(held[4] << 24 | held[5] << 16 | held[6] << 8 | held[7]),
        150 => 10,
        250 => 4,
        251 => held.Count < 8 ? null : 8 + 16 * held[6],
        248 => held.Count < 9 ? null : 9 + held[8],
        255 => held.Count < 2 ? null : held[1] == 0 ? 12 : 4,
        _ => throw new InvalidDataException("The viewer sent a message of an unknown kind."),
    };

    /// <summary>A negative length announces the extended clipboard.</summary>
    private static int ClipboardBytes(int announced) => announced is > -MostMessage and < MostMessage ? Math.Abs(announced) : throw new InvalidDataException("A message of the viewer is too long.");
}
