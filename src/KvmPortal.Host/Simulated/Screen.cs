namespace KvmPortal.Host.Simulated;

/// <summary>A guest's display: stripes in colours of the machine's id, a square that follows the pointer and a bar that each key recolours.</summary>
internal sealed class Screen(Guid id)
{
    public const int Width = 640;
    public const int Height = 400;
    private readonly Lock _gate = new();
    private int _x = Width / 2;
    private int _y = Height / 2;
    private bool _pressed;
    private uint _key;
    private long _version;

    /// <summary>Changes whenever the picture does.</summary>
    public long Version => Interlocked.Read(ref _version);

    public void Point(int x, int y, bool pressed) => Change(() =>
        (_x, _y, _pressed) = (Math.Clamp(x, 0, Width - 1), Math.Clamp(y, 0, Height - 1), pressed));

    public void Press(uint key) => Change(() => _key = unchecked((_key * 31) + key + 1));

    /// <summary>The picture, 3 bytes (red, green, blue) a pixel, rows from the top.</summary>
    public byte[] Draw()
    {
        int x, y;
        bool pressed;
        uint key;
        lock (_gate)
            (x, y, pressed, key) = (_x, _y, _pressed, _key);
        var seed = id.ToByteArray();
        var pixels = new byte[Width * Height * 3];
        for (var row = 0; row < Height; row++)
        {
            for (var column = 0; column < Width; column++)
            {
                var at = ((row * Width) + column) * 3;
                if (Math.Abs(column - x) < 6 && Math.Abs(row - y) < 6)
                    Fill(pixels, at, pressed ? (byte)255 : (byte)240, pressed ? (byte)64 : (byte)240, pressed ? (byte)64 : (byte)240);
                else if (row >= Height - 24)
                    Fill(pixels, at, (byte)key, (byte)(key >> 8), (byte)(key >> 3));
                else
                    Stripe(pixels, at, seed, column * 16 / Width, row);
            }
        }
        return pixels;
    }

    private static void Stripe(byte[] pixels, int at, byte[] seed, int stripe, int row) => Fill(
        pixels, at, (byte)(seed[stripe] * (Height - row) / Height),
        (byte)(seed[(stripe + 5) % 16] * (Height - row) / Height), (byte)(96 + (seed[(stripe + 11) % 16] / 2 * row / Height)));

    private static void Fill(byte[] pixels, int at, byte red, byte green, byte blue) =>
        (pixels[at], pixels[at + 1], pixels[at + 2]) = (red, green, blue);

    private void Change(Action change)
    {
        lock (_gate)
        {
            change();
            Interlocked.Increment(ref _version);
        }
    }
}
