using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Images;

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
    public string? Error { get; init; }
    /// <summary>VMs that need this image: linked disks, CD-ROM media, kernels.</summary>
    public IReadOnlyList<string> UsedBy { get; init; } = [];
}

public sealed record ImageWithJob(ImageView Image, JobView Job);

/// <summary>The verbs on images that both doors call.</summary>
public sealed class ImageOperations
{
    public Task<ListPage<ImageView>> ListAsync(Caller caller, ListQuery query, CancellationToken ct) => throw new NotImplementedException();
    public Task<ImageView> GetAsync(Caller caller, string idOrName, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Takes the bytes, checks digest and header, publishes. Throws NameTaken, ImageRefused, TooLarge, Malformed (truncated, digest).</summary>
    public Task<ImageView> ReceiveAsync(Caller caller, string name, long? length, string? sha256, ImageKind? declared, Stream content, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Copies a file of an allowed host folder, as a job.</summary>
    public Task<ImageWithJob> RegisterAsync(Caller caller, string name, string path, CancellationToken ct) => throw new NotImplementedException();
    public Task<IReadOnlyList<HostFile>> ListHostFilesAsync(Caller caller, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Deletes, as a job. In use: Conflict that names the VMs.</summary>
    public Task<JobView> DeleteAsync(Caller caller, ImageId id, CancellationToken ct) => throw new NotImplementedException();
    public Task<Plan> PlanDeleteAsync(Caller caller, ImageId id, CancellationToken ct) => throw new NotImplementedException();
}
