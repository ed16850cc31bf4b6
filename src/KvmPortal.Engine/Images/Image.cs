using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Images;

public enum ImageState { Receiving, Ready, Failed }

/// <summary>The row of an image: a read-only file that disks are made from, CD-ROMs read, or kernels boot.</summary>
internal sealed class Image
{
    public ImageId Id { get; set; }
    public required string Name { get; set; }
    public ImageState State { get; set; }
    public ImageKind? Kind { get; set; }
    public string? Path { get; set; }
    public long FileSizeBytes { get; set; }
    public long VirtualSizeBytes { get; set; }
    /// <summary>Lower-case hex.</summary>
    public string? Sha256 { get; set; }
    public DateTimeOffset CreatedAt { get; set; }
    public required string CreatedBy { get; set; }
    public Sentence? Error { get; set; }
}
