using System.Buffers;
using System.Buffers.Binary;

namespace KvmPortal.Web.Consoles;

/// <summary>
/// Reads what an RFB client sends (RFC 6143 and the extensions that QEMU and noVNC know) just far enough to leave out what acts on the guest: keys, pointer,
/// clipboard, resizing, power. Holds at most one message head; what it does not know ends the connection, because its length is not known.
/// <code>
///   version (12) -> [security type (1), from 3.7 on] -> client init (1) -> messages…
/// </code>
/// </summary>
internal sealed class ViewOnlyFilter
{
    private enum Phase { Version, Security, Init, Messages }

    private const uint MostCutText = 16 << 20;
    private readonly byte[] head = new byte[12];
    private Phase phase = Phase.Version;
    private int have;
    private long rest;
    private bool passRest;

    /// <summary>Writes what may pass to <paramref name="output"/>; false: the client must go.</summary>
    public bool Pass(ReadOnlySpan<byte> input, IBufferWriter<byte> output)
    {
        while (input.Length > 0)
        {
            if (rest > 0)
            {
                var part = input[..(int)Math.Min(rest, input.Length)];
                if (passRest)
                    output.Write(part);
                rest -= part.Length;
                input = input[part.Length..];
                continue;
            }

            head[have++] = input[0];
            input = input[1..];
            if (!Step(output))
                return false;
        }

        return true;
    }

    private bool Step(IBufferWriter<byte> output) => phase switch
    {
        Phase.Version => have < 12 || Version(output),
        Phase.Security => head[0] == 1 && Forward(output, Phase.Init),
        Phase.Init => Forward(output, Phase.Messages),
        Phase.Messages => Message(output),
    };

    private bool Version(IBufferWriter<byte> output)
    {
        if (!head.AsSpan(0, 4).SequenceEqual("RFB "u8) || !head.AsSpan(4, 4).SequenceEqual("003."u8))
            return false;
        // 3.3 has no choice of the security type: the server decides.
        return Forward(output, head.AsSpan(8, 3).SequenceEqual("003"u8) ? Phase.Init : Phase.Security);
    }

    private bool Forward(IBufferWriter<byte> output, Phase next)
    {
        output.Write(head.AsSpan(0, have));
        (have, phase) = (0, next);
        return true;
    }

    /// <summary>Looks at the head so far: null, when more of it is needed; else whether it passes and how long the whole message is (0: unknown message).</summary>
    private (bool Passes, long Length)? Shape() => (head[0], have) switch
    {
        (0, _) => (true, 20),
        (2, < 4) => null,
        (2, _) => (true, 4 + (4L * BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(2)))),
        (3, _) => (true, 10),
        (4, _) => (false, 8),
        (5, _) => (false, 6),
        (6, < 8) => null,
        (6, _) => CutText(BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(4))),
        (150, _) => (true, 10),
        (248, < 9) => null,
        (248, _) => (head[8] <= 64, head[8] <= 64 ? 9 + head[8] : 0),
        (250, _) => (false, 4),
        (251, < 8) => null,
        (251, _) => (false, 8 + (16L * head[6])),
        (253, < 4) => null,
        (253, _) => (false, 4 + (long)BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(2))),
        (255, < 4) => null,
        (255, _) => head[1] switch
        {
            0 => (false, 12),
            1 => (false, BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(2)) == 2 ? 10 : 4),
            _ => (false, 0),
        },
        _ => (false, 0),
    };

    /// <summary>A negative length is the extended clipboard's.</summary>
    private static (bool, long) CutText(int length)
    {
        var size = (uint)Math.Abs((long)length);
        return (false, size <= MostCutText ? 8 + (long)size : 0);
    }

    private bool Message(IBufferWriter<byte> output)
    {
        if (Shape() is not { } shape)
            return true;
        if (shape.Length == 0)
            return false;
        if (shape.Passes)
            output.Write(head.AsSpan(0, have));
        (rest, passRest, have) = (shape.Length - have, shape.Passes, 0);
        return true;
    }
}
