using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Images;

/// <summary>
/// The image store: files come in through a quarantine, are hashed while they are written and inspected before they are published read-only. What is refused or
/// interrupted is gone.
/// </summary>
internal sealed class ImageStore(HostOptions options, HostFolders folders)
{
    private const int BlockBytes = 1 << 20;
    private const long Reserve = 256L << 20;
    private readonly string quarantine = Path.Combine(folders.Images, ".quarantine");

    /// <summary>Takes a stream.</summary>
    public Task<ReceivedImage> ReceiveAsync(ReceiveImage request, Stream content, CancellationToken ct) => TakeAsync(request, content, _ => { }, ct);

    /// <summary>Copies a file of an allowed folder; reports progress in bytes.</summary>
    public async IAsyncEnumerable<StepReport> RegisterAsync(RegisterImage step, [EnumeratorCancellation] CancellationToken ct)
    {
        var path = Allowed(step.SourcePath);
        await using var source = new FileStream(path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, Options = FileOptions.Asynchronous | FileOptions.SequentialScan });
        var total = source.Length;
        var copied = 0L;
        var copying = TakeAsync(new ReceiveImage(step.ImageId, total, null, null, MostBytes), source, n => Interlocked.Exchange(ref copied, n), ct);
        while (await Task.WhenAny(copying, Task.Delay(250, CancellationToken.None)) != copying)
            yield return new StepProgress(Interlocked.Read(ref copied), total);
        yield return new StepDone(true) { Image = await copying };
    }

    /// <summary>Deletes an image's file; fine when it is gone already.</summary>
    public bool Delete(string path)
    {
        if (Path.GetDirectoryName(Path.GetFullPath(path)) != folders.Images)
            throw new HostException(HostError.NotAllowed, "That file is not in the image store.");
        var there = File.Exists(path);
        File.Delete(path);
        return there;
    }

    /// <summary>Removes what a registration that is undone has published.</summary>
    public void Discard(Guid id)
    {
        if (Directory.Exists(folders.Images))
            foreach (var file in Directory.EnumerateFiles(folders.Images, $"{id:N}.*"))
                File.Delete(file);
    }

    /// <summary>Regular files of an allowed folder, newest first.</summary>
    public IReadOnlyList<HostFile> List(string folder)
    {
        if (!options.ImageFolders.Contains(folder))
            throw new HostException(HostError.NotAllowed, $"The folder \"{folder}\" is not in the list of allowed image folders (Host:ImageFolders).");
        if (!Directory.Exists(folder))
            return [];
        return [.. new DirectoryInfo(folder).EnumerateFiles().Where(f => f.LinkTarget is null && f.Length > 0).OrderByDescending(f => f.LastWriteTimeUtc).Take(1000)
            .Select(f => new HostFile(f.FullName, f.Name, f.Length, new DateTimeOffset(f.LastWriteTimeUtc)))];
    }

    /// <summary>Removes what an earlier process left in the quarantine.</summary>
    public void Sweep()
    {
        if (Directory.Exists(quarantine))
            Directory.Delete(quarantine, recursive: true);
    }

    private long MostBytes => options.MaxImageGiB * (1L << 30);

    /// <summary>The real path of a regular file directly in an allowed folder; symbolic links are not followed out of it.</summary>
    private string Allowed(string path)
    {
        var file = new FileInfo(Path.GetFullPath(path));
        var folder = options.ImageFolders.FirstOrDefault(f => file.DirectoryName == Path.GetFullPath(f).TrimEnd('/'));
        if (folder is null || file.LinkTarget is not null || (file.Attributes & (FileAttributes.Directory | FileAttributes.Device)) != 0)
            throw new HostException(HostError.NotAllowed, "Only regular files directly in an allowed image folder (Host:ImageFolders) can be registered.");
        return file.Exists ? file.FullName : throw new HostException(HostError.NotFound, $"There is no file \"{path}\".");
    }

    private async Task<ReceivedImage> TakeAsync(ReceiveImage request, Stream content, Action<long> progress, CancellationToken ct)
    {
        const UnixFileMode mine = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(folders.Images, mine);
        Directory.CreateDirectory(quarantine, mine);
        var part = Path.Combine(quarantine, $"{request.ImageId:N}.part");
        try
        {
            if (request.Length > request.MaxBytes)
                throw new HostException(HostError.NoRoom, $"The file has {request.Length} bytes; at most {request.MaxBytes} are allowed.");
            string digest;
            await using (var file = new FileStream(part, new FileStreamOptions
            {
                Mode = FileMode.Create, Access = FileAccess.ReadWrite, Share = FileShare.None, BufferSize = 0, Options = FileOptions.Asynchronous, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                digest = await CopyAsync(request, content, file, progress, ct);
                file.Flush(flushToDisk: true);
            }

            return Publish(request, part, digest);
        }
        finally
        {
            File.Delete(part);
        }
    }

    private async Task<string> CopyAsync(ReceiveImage request, Stream content, FileStream file, Action<long> progress, CancellationToken ct)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var free = new DriveInfo(folders.Images).AvailableFreeSpace - Reserve;
        if (request.Length > free)
            throw new HostException(HostError.NoRoom, $"The file has {request.Length} bytes, but only {Math.Max(0, free)} are free on the host.");
        var (filling, writing) = (new byte[BlockBytes], new byte[BlockBytes]);
        var pending = Task.CompletedTask;
        var total = 0L;
        try
        {
            // One block is read and hashed while the one before is written.
            while (await content.ReadAtLeastAsync(filling, BlockBytes, throwOnEndOfStream: false, ct) is > 0 and var read)
            {
                total += read;
                if (total > request.MaxBytes)
                    throw new HostException(HostError.NoRoom, $"The file has more than the {request.MaxBytes} bytes that are allowed.");
                if (request.Length is { } announced && total > announced)
                    throw new HostException(HostError.DigestMismatch, $"The file is longer than the {announced} bytes that were announced.");
                hash.AppendData(filling, 0, read);
                await pending;
                (filling, writing) = (writing, filling);
                pending = file.WriteAsync(writing.AsMemory(0, read), ct).AsTask();
                progress(total);
            }
        }
        finally
        {
            await pending;
        }

        if (request.Length is { } length && total != length)
            throw new HostException(HostError.DigestMismatch, $"The file was cut off: {total} of {length} bytes arrived.") { Hint = "Send it again." };
        var digest = Convert.ToHexStringLower(hash.GetHashAndReset());
        if (request.Sha256 is { } wanted && !string.Equals(wanted, digest, StringComparison.OrdinalIgnoreCase))
            throw new HostException(HostError.DigestMismatch, $"The file's SHA-256 digest is {digest}, not {wanted} as announced.") { Hint = "It was changed or damaged on the way: send it again." };
        return digest;
    }

    private ReceivedImage Publish(ReceiveImage request, string part, string digest)
    {
        ImageInspection found;
        long length;
        using (var file = File.OpenRead(part))
        {
            found = ImageInspector.Inspect(file, request.Declared);
            length = file.Length;
        }

        var path = Path.Combine(folders.Images, $"{request.ImageId:N}.{found.Kind.ToString().ToLowerInvariant()}");
        File.SetUnixFileMode(part, UnixFileMode.UserRead);
        File.Move(part, path, overwrite: false);
        return new ReceivedImage(request.ImageId, path, found.Kind, length, found.VirtualSizeBytes, digest);
    }
}
