namespace KvmPortal.Host.Consoles;

/// <summary>
/// What a serial console has said: the first MiB (boot messages matter) and the latest MiB, by absolute offsets since the machine's start.
/// What lies between is gone, and a reader can see that. Thread-safe.
/// </summary>
internal sealed class SerialHistory(int half = 1 << 20)
{
    private readonly Lock gate = new();
    private readonly MemoryStream first = new();
    private byte[] latest = new byte[4096];
    private long end;

    /// <summary>Offset after the last byte.</summary>
    public long End
    {
        get
        {
            lock (gate)
                return end;
        }
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            var head = (int)Math.Min(bytes.Length, half - first.Length);
            if (head > 0)
                first.Write(bytes[..head]);
            Grow(bytes.Length);
            foreach (var b in bytes)
                latest[(int)(end++ % latest.Length)] = b;
        }
    }

    /// <summary>Up to <paramref name="most"/> bytes from <paramref name="offset"/>, or from the next offset that is still kept; empty when there is nothing yet.</summary>
    public (long Offset, byte[] Bytes) Read(long offset, int most)
    {
        lock (gate)
        {
            offset = Math.Clamp(offset, 0, end);
            var kept = Math.Max(0, end - latest.Length);
            if (offset < first.Length)
                return (offset, first.GetBuffer().AsSpan((int)offset, (int)Math.Min(most, first.Length - offset)).ToArray());
            offset = Math.Max(offset, kept);
            var bytes = new byte[(int)Math.Min(most, end - offset)];
            for (var i = 0; i < bytes.Length; i++)
                bytes[i] = latest[(int)((offset + i) % latest.Length)];
            return (offset, bytes);
        }
    }

    /// <summary>A quiet machine costs 4 KiB; the ring doubles up to its limit as the guest talks.</summary>
    private void Grow(int coming)
    {
        var wanted = latest.Length;
        while (wanted < half && end + coming > wanted)
            wanted = Math.Min(half, wanted * 2);
        if (wanted == latest.Length)
            return;
        var larger = new byte[wanted];
        for (var at = Math.Max(0, end - latest.Length); at < end; at++)
            larger[(int)(at % wanted)] = latest[(int)(at % latest.Length)];
        latest = larger;
    }
}
