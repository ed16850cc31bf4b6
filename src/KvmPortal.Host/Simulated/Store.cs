using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>What the simulated host believes to have on disk. Only names and sizes are kept; no file is ever written.</summary>
internal sealed class Store(SimulatedOptions options, TimeProvider time)
{
    public const long TotalBytes = 64L << 40;
    private static readonly (string Name, long Size)[] Importable =
    [
        ("debian-13-generic-amd64.qcow2", 424_607_744), ("noble-server-cloudimg-amd64.img", 624_951_296),
        ("alpine-virt-3.22.0-x86_64.iso", 68_157_440), ("appliance.raw", 2_147_483_648),
    ];

    public HostFolders Folders { get; } = new(
        Path.Combine(Path.GetFullPath(options.DataRoot), "run"), Path.Combine(Path.GetFullPath(options.DataRoot), "state"),
        Path.Combine(Path.GetFullPath(options.DataRoot), "disks"), Path.Combine(Path.GetFullPath(options.DataRoot), "images"));

    /// <summary>The one folder from which images may be registered.</summary>
    public string ImportFolder { get; } = Path.Combine(Path.GetFullPath(options.DataRoot), "import");
    public ConcurrentDictionary<string, (Guid Id, long Size)> Disks { get; } = new(StringComparer.Ordinal);
    public ConcurrentDictionary<Guid, ReceivedImage> Images { get; } = new();
    public ConcurrentDictionary<Guid, bool> Prepared { get; } = new();
    /// <summary>Saved machine states by path.</summary>
    public ConcurrentDictionary<string, Guid> Saved { get; } = new(StringComparer.Ordinal);

    public long FreeBytes => TotalBytes - Disks.Values.Sum(disk => disk.Size) - Images.Values.Sum(image => image.FileSizeBytes);

    public static void RequireBelow(string folder, string path)
    {
        if (!Path.IsPathFullyQualified(path) || Path.GetFullPath(path) != path || !path.StartsWith(folder + "/", StringComparison.Ordinal))
            throw new HostException(HostError.NotAllowed, $"{path} is not below {folder}.");
    }

    public IReadOnlyList<HostFile> List(string folder)
    {
        if (Path.TrimEndingDirectorySeparator(folder) != ImportFolder)
            throw new HostException(HostError.NotAllowed, $"The folder {folder} is not in the list of allowed folders.")
            {
                Hint = $"The simulated host has one: {ImportFolder}",
            };
        return [.. Importable.Select(file => new HostFile(
            Path.Combine(ImportFolder, file.Name), file.Name, file.Size, time.GetUtcNow().AddDays(-30)))];
    }

    public ReceivedImage Describe(RegisterImage step)
    {
        RequireBelow(ImportFolder, step.SourcePath);
        var file = List(ImportFolder).FirstOrDefault(file => file.Path == step.SourcePath)
            ?? throw new HostException(HostError.NotFound, $"There is no file {step.SourcePath}.");
        var kind = Path.GetExtension(file.Name) switch { ".iso" => ImageKind.Iso, ".raw" => ImageKind.Raw, _ => ImageKind.Qcow2 };
        return Image(step.ImageId, kind, file.SizeBytes, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(file.Name))));
    }

    /// <summary>Hashes, counts and discards.</summary>
    public async Task<ReceivedImage> ReceiveAsync(ReceiveImage request, Stream content, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        // The first 33 KiB hold every magic number that tells the kinds apart (ISO 9660's is the last, at 32769).
        var head = new byte[33 * 1024];
        var buffer = new byte[64 * 1024];
        var total = 0L;
        int read;
        while ((read = await content.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (total + read > request.MaxBytes)
                throw new HostException(HostError.ImageRefused, $"The image is larger than {request.MaxBytes} bytes.");
            if (total < head.Length)
                buffer.AsSpan(0, (int)Math.Min(read, head.Length - total)).CopyTo(head.AsSpan((int)total));
            hash.AppendData(buffer, 0, read);
            total += read;
        }
        var digest = Convert.ToHexStringLower(hash.GetHashAndReset());
        if (total == 0)
            throw new HostException(HostError.ImageRefused, "The image is empty.");
        if (request.Length is { } length && length != total)
            throw new HostException(HostError.DigestMismatch, $"{length} bytes were announced, {total} were received.");
        if (request.Sha256 is { } announced && announced != digest)
            throw new HostException(HostError.DigestMismatch, $"The SHA-256 digest is {digest}, not {announced}.");
        var found = Kind(head);
        // A raw disk, kernel and initrd have no reliable mark here, so the declaration decides among them.
        if (request.Declared is { } declared && declared != found
            && (found is not ImageKind.Raw || declared is ImageKind.Qcow2 or ImageKind.Iso))
            throw new HostException(HostError.ImageRefused, $"The image was declared as {declared} but is {found}.");
        var image = Image(request.ImageId, request.Declared ?? found, total, digest);
        if (found == ImageKind.Qcow2)
            image = image with { VirtualSizeBytes = System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(head.AsSpan(24)) };
        if (image.VirtualSizeBytes < 0)
            throw new HostException(HostError.ImageRefused, "The qcow2 header's virtual size is out of range.");
        Images[image.ImageId] = image;
        return image;
    }

    private static ImageKind Kind(ReadOnlySpan<byte> head) =>
        head.StartsWith("QFI"u8) && head[3] == 0xfb ? ImageKind.Qcow2
        : head[32769..].StartsWith("CD001"u8) ? ImageKind.Iso
        : head[514..].StartsWith("HdrS"u8) ? ImageKind.Kernel
        : ImageKind.Raw;

    private ReceivedImage Image(Guid id, ImageKind kind, long size, string digest) => new(
        id, Path.Combine(Folders.Images, id.ToString("N")), kind, size, kind == ImageKind.Qcow2 ? 10L << 30 : size, digest);
}
