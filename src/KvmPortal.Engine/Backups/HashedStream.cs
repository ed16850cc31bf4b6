using System.Security.Cryptography;

namespace KvmPortal.Engine.Backups;

/// <summary>Reads a stream of known length from its start to its end, once, and knows the SHA-256 digest of what was read. Owns the stream.</summary>
internal sealed class HashedStream(Stream inner) : Stream
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly long length = inner.Length;

    public long BytesRead { get; private set; }

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public string Sha256() => Convert.ToHexStringLower(hash.GetCurrentHash());

    public override bool CanRead => true;
    // The archive's writer asks the length of streams that can seek; it goes to no other place than the one where they are.
    public override bool CanSeek => true;
    public override bool CanWrite => false;
    public override long Length => length;
    public override long Position
    {
        get => BytesRead;
        set
        {
            if (value != BytesRead)
                throw new NotSupportedException();
        }
    }

    public override int Read(Span<byte> buffer) => Seen(buffer, inner.Read(Bounded(buffer)));

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var most = (int)Math.Min(buffer.Length, length - BytesRead);
        var read = await inner.ReadAsync(buffer[..most], cancellationToken);
        return Seen(buffer.Span, read);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            inner.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>A file that grows meanwhile is read up to the length that the archive's header says.</summary>
    private Span<byte> Bounded(Span<byte> buffer) => buffer[..(int)Math.Min(buffer.Length, length - BytesRead)];

    private int Seen(ReadOnlySpan<byte> buffer, int read)
    {
        hash.AppendData(buffer[..read]);
        BytesRead += read;
        return read;
    }
}
