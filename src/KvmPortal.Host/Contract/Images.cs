namespace KvmPortal.Host.Contract;

/// <summary>What our own header parser says a file is.</summary>
public enum ImageKind { Qcow2, Raw, Iso, Kernel, Initrd }

/// <param name="Length">Announced length in bytes; null when unknown (chunked).</param>
/// <param name="Sha256">Announced SHA-256 digest, 32 bytes as lower-case hex; null when none was sent.</param>
/// <param name="Declared">What the sender says it is; null: whatever the parser finds. Something else than declared is refused.</param>
/// <param name="MaxBytes">Refuse more than this.</param>
public sealed record ReceiveImage(Guid ImageId, long? Length, string? Sha256, ImageKind? Declared, long MaxBytes);

/// <param name="Path">Absolute path in the image store, read-only file.</param>
/// <param name="VirtualSizeBytes">Size of the disk that the image describes; file size for everything but qcow2.</param>
public sealed record ReceivedImage(Guid ImageId, string Path, ImageKind Kind, long FileSizeBytes, long VirtualSizeBytes, string Sha256);

public sealed record HostFile(string Path, string Name, long SizeBytes, DateTimeOffset ModifiedAt);

/// <summary>A run of serial output. <paramref name="Offset"/> is absolute since the machine's start.</summary>
public sealed record SerialChunk(long Offset, byte[] Bytes)
{
    /// <summary>Offset of the byte after this chunk.</summary>
    public long NextOffset => Offset + Bytes.Length;
}
