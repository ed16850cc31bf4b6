using System.Buffers.Binary;
using System.Text;
using System.Threading.Channels;

namespace KvmPortal.Host.Simulated;

/// <summary>Serves one RFB 3.8 client (RFC 6143): no authentication, raw encoding, key and pointer events. Ends on anything it does not know.</summary>
internal sealed class RfbSession(Stream stream, Screen screen, string name, TimeProvider time)
{
    private const int CutTextBytes = 1 << 20;
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(200);
    private readonly Channel<bool> _asked = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.DropOldest });
    private volatile PixelFormat _format = PixelFormat.Default;

    public async Task ServeAsync(CancellationToken cancellationToken)
    {
        if (!await GreetAsync(cancellationToken))
            return;
        using var done = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var sending = SendAsync(done.Token);
        var listening = ListenAsync(done.Token);
        await Task.WhenAny(sending, listening);
        await done.CancelAsync();
        await Task.WhenAll(sending, listening);
    }

    private async Task<bool> GreetAsync(CancellationToken cancellationToken)
    {
        await stream.WriteAsync("RFB 003.008\n"u8.ToArray(), cancellationToken);
        var version = await ReadAsync(12, cancellationToken);
        if (!version.AsSpan().SequenceEqual("RFB 003.008\n"u8))
            return false;
        await stream.WriteAsync(new byte[] { 1, 1 }, cancellationToken);
        if ((await ReadAsync(1, cancellationToken))[0] != 1)
            return false;
        await stream.WriteAsync(new byte[4], cancellationToken);
        await ReadAsync(1, cancellationToken);
        var title = Encoding.UTF8.GetBytes(name);
        var init = new byte[24 + title.Length];
        BinaryPrimitives.WriteUInt16BigEndian(init, Screen.Width);
        BinaryPrimitives.WriteUInt16BigEndian(init.AsSpan(2), Screen.Height);
        PixelFormat.Default.Write(init.AsSpan(4));
        BinaryPrimitives.WriteInt32BigEndian(init.AsSpan(20), title.Length);
        title.CopyTo(init, 24);
        await stream.WriteAsync(init, cancellationToken);
        return true;
    }

    private async Task ListenAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var type = (await ReadAsync(1, cancellationToken))[0];
            switch (type)
            {
                case 0:
                    var format = PixelFormat.Read((await ReadAsync(19, cancellationToken)).AsSpan(3));
                    if (format is null)
                        return;
                    _format = format;
                    break;
                case 2:
                    var count = BinaryPrimitives.ReadUInt16BigEndian((await ReadAsync(3, cancellationToken)).AsSpan(1));
                    await ReadAsync(count * 4, cancellationToken);
                    break;
                case 3:
                    _asked.Writer.TryWrite((await ReadAsync(9, cancellationToken))[0] == 0);
                    break;
                case 4:
                    var key = await ReadAsync(7, cancellationToken);
                    if (key[0] != 0)
                        screen.Press(BinaryPrimitives.ReadUInt32BigEndian(key.AsSpan(3)));
                    break;
                case 5:
                    var pointer = await ReadAsync(5, cancellationToken);
                    screen.Point(BinaryPrimitives.ReadUInt16BigEndian(pointer.AsSpan(1)),
                        BinaryPrimitives.ReadUInt16BigEndian(pointer.AsSpan(3)), pointer[0] != 0);
                    break;
                case 6:
                    var length = BinaryPrimitives.ReadUInt32BigEndian((await ReadAsync(7, cancellationToken)).AsSpan(3));
                    if (length > CutTextBytes)
                        return;
                    await ReadAsync((int)length, cancellationToken);
                    break;
                default:
                    return;
            }
        }
    }

    private async Task SendAsync(CancellationToken cancellationToken)
    {
        var sent = -1L;
        await foreach (var first in _asked.Reader.ReadAllAsync(cancellationToken))
        {
            var full = first;
            while (!full && screen.Version == sent)
            {
                // The picture may be changed by another viewer, so look again now and then; a full request must not wait behind this one.
                await Task.Delay(LookAgain, time, cancellationToken);
                while (_asked.Reader.TryRead(out var more))
                    full |= more;
            }
            sent = screen.Version;
            var format = _format;
            var picture = screen.Draw();
            var update = new byte[16 + (Screen.Width * Screen.Height * format.Bytes)];
            update[3] = 1;
            BinaryPrimitives.WriteUInt16BigEndian(update.AsSpan(8), Screen.Width);
            BinaryPrimitives.WriteUInt16BigEndian(update.AsSpan(10), Screen.Height);
            format.Convert(picture, update.AsSpan(16));
            await stream.WriteAsync(update, cancellationToken);
        }
    }

    private async Task<byte[]> ReadAsync(int count, CancellationToken cancellationToken)
    {
        var bytes = new byte[count];
        await stream.ReadExactlyAsync(bytes, cancellationToken);
        return bytes;
    }
}
