using System.Security.Cryptography;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Images;

/// <summary>An image store and a disk folder in a scratch folder, with one allowed folder beside them.</summary>
internal sealed class StoreFixture : IDisposable
{
    private readonly ScratchFolder scratch = new();

    public StoreFixture()
    {
        Allowed = Directory.CreateDirectory(scratch.In("allowed")).FullName;
        Folders = new HostFolders(scratch.In("r"), scratch.In("s"), scratch.In("d"), scratch.In("i"));
        Store = new ImageStore(new HostOptions { DataRoot = scratch.Path, RunRoot = Folders.Run, ImageFolders = [Allowed], MaxImageGiB = 1 }, Folders);
        Disks = new DiskFiles(Folders);
    }

    public string Allowed { get; }
    public HostFolders Folders { get; }
    public ImageStore Store { get; }
    public DiskFiles Disks { get; }

    public string In(string name) => scratch.In(name);

    public static string Digest(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>Every file of the store, quarantine included.</summary>
    public string[] Files() => Directory.Exists(Folders.Images) ? Directory.GetFiles(Folders.Images, "*", SearchOption.AllDirectories) : [];

    public Task<ReceivedImage> ReceiveAsync(Stream content, long? length = null, string? sha256 = null, ImageKind? declared = null, long most = 1 << 30, CancellationToken ct = default) =>
        Store.ReceiveAsync(new ReceiveImage(Guid.NewGuid(), length, sha256, declared, most), content, ct);

    public Task<ReceivedImage> ReceiveAsync(byte[] content) => ReceiveAsync(new MemoryStream(content), content.Length);

    public async Task<List<StepReport>> RegisterAsync(string path, Guid? id = null)
    {
        var reports = new List<StepReport>();
        await foreach (var report in Store.RegisterAsync(new RegisterImage { ImageId = id ?? Guid.NewGuid(), SourcePath = path }, TestContext.Current.CancellationToken))
            reports.Add(report);
        return reports;
    }

    public CreateDisk Disk(DiskFormat format, long size, ReceivedImage? image = null, bool linked = false)
    {
        var id = Guid.NewGuid();
        return new CreateDisk
        {
            DiskId = id,
            Path = Path.Combine(Folders.Disks, $"{id:N}.{format.ToString().ToLowerInvariant()}"),
            Format = format,
            SizeBytes = size,
            SourcePath = image?.Path,
            Linked = linked,
            SourceFormat = image is null ? null : image.Kind == ImageKind.Qcow2 ? DiskFormat.Qcow2 : DiskFormat.Raw,
        };
    }

    public async Task<List<StepReport>> CreateAsync(CreateDisk step, CancellationToken? ct = null)
    {
        var reports = new List<StepReport>();
        await foreach (var report in Disks.CreateAsync(step, ct ?? TestContext.Current.CancellationToken))
            reports.Add(report);
        return reports;
    }

    public async Task RefusedAsync(CreateDisk step, HostError error, string says)
    {
        var refused = await Assert.ThrowsAsync<HostException>(() => CreateAsync(step));
        Assert.Equal(error, refused.Error);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.Exists(Folders.Disks) ? Directory.GetFiles(Folders.Disks) : []);
    }

    public void Dispose() => scratch.Dispose();
}
