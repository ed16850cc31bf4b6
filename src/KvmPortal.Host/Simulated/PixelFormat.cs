using System.Buffers.Binary;

namespace KvmPortal.Host.Simulated;

/// <summary>How a VNC client wants its pixels (RFC 6143, 7.4): true colour of 8, 16 or 32 bits.</summary>
internal sealed record PixelFormat(
    int Bits, bool BigEndian, int RedMax, int GreenMax, int BlueMax, int RedShift, int GreenShift, int BlueShift)
{
    public static readonly PixelFormat Default = new(32, false, 255, 255, 255, 16, 8, 0);

    public int Bytes => Bits / 8;

    /// <summary>Null: a format that is not served (colour map, odd sizes).</summary>
    public static PixelFormat? Read(ReadOnlySpan<byte> from)
    {
        if (from[0] is not (8 or 16 or 32) || from[3] == 0 || from[10] > 31 || from[11] > 31 || from[12] > 31)
            return null;
        return new(from[0], from[2] != 0, BinaryPrimitives.ReadUInt16BigEndian(from[4..]), BinaryPrimitives.ReadUInt16BigEndian(from[6..]),
            BinaryPrimitives.ReadUInt16BigEndian(from[8..]), from[10], from[11], from[12]);
    }

    public void Write(Span<byte> to)
    {
        to[0] = (byte)Bits;
        to[1] = 24;
        to[2] = BigEndian ? (byte)1 : (byte)0;
        to[3] = 1;
        BinaryPrimitives.WriteUInt16BigEndian(to[4..], (ushort)RedMax);
        BinaryPrimitives.WriteUInt16BigEndian(to[6..], (ushort)GreenMax);
        BinaryPrimitives.WriteUInt16BigEndian(to[8..], (ushort)BlueMax);
        (to[10], to[11], to[12]) = ((byte)RedShift, (byte)GreenShift, (byte)BlueShift);
    }

    public void Convert(ReadOnlySpan<byte> rgb, Span<byte> to)
    {
        for (int from = 0, at = 0; from < rgb.Length; from += 3, at += Bytes)
        {
            var value = unchecked(((uint)(rgb[from] * RedMax / 255) << RedShift)
                | ((uint)(rgb[from + 1] * GreenMax / 255) << GreenShift) | ((uint)(rgb[from + 2] * BlueMax / 255) << BlueShift));
            for (var one = 0; one < Bytes; one++)
                to[at + one] = (byte)(value >> (8 * (BigEndian ? Bytes - 1 - one : one)));
        }
    }
}
