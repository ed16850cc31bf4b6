using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Images;

/// <summary>An image as lists and pages show it.</summary>
public sealed record ImageView
{
    public required ImageId Id { get; init; }
    public required string Name { get; init; }
    public required ImageState State { get; init; }
    public ImageKind? Kind { get; init; }
    public long FileSizeBytes { get; init; }
    public long VirtualSizeBytes { get; init; }
    public string? Sha256 { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required string CreatedBy { get; init; }
    public Sentence? Error { get; init; }
    /// <summary>VMs that need this image: linked disks, CD-ROM media, kernels.</summary>
    public IReadOnlyList<string> UsedBy { get; init; } = [];
}

public sealed record ImageWithJob(ImageView Image, JobView Job);
