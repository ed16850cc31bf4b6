using System.Buffers;
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
    private const long FreeCheckBytes = 64L << 20;
    private readonly string quarantine = Path.Combine(folders.Images, ".quarantine");

    /// <summary>Takes a stream.</summary>
    public Task<ReceivedImage> ReceiveAsync(ReceiveImage request, Stream content, CancellationToken ct) => TakeAsync(request, content, _ => { }, ct);

    /// <summary>Copies a file of an allowed folder; reports progress in bytes. An image of this id that is there already is success.</summary>
    public async IAsyncEnumerable<StepReport> RegisterAsync(RegisterImage step, [EnumeratorCancellation] CancellationToken ct)
    {
        if (Published(step.ImageId) is { } there)
        {
            yield return new StepDone(false) { Image = await DescribeAsync(step.ImageId, there, ct) };
            yield break;
        }

        await using var source = LinuxFiles.OpenRegular(Allowed(step.SourcePath));
        var total = source.Length;
        var copied = 0L;
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var copying = TakeAsync(new ReceiveImage(step.ImageId, total, null, null, MostBytes), source, n => Interlocked.Exchange(ref copied, n), abandoned.Token);
        try
        {
            while (await Task.WhenAny(copying, Task.Delay(250, CancellationToken.None)) != copying)
                yield return new StepProgress(Interlocked.Read(ref copied), total);
        }
        finally
        {
            // Who stops reading the reports has stopped the copy, too; it is over before its source is closed.
            await abandoned.CancelAsync();
            await ((Task)copying).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        yield return new StepDone(true) { Image = await copying };
    }

    /// <summary>Deletes an image's file; fine when it is gone already.</summary>
    public bool Delete(Guid id, string path)
    {
        if (Path.GetDirectoryName(path) != folders.Images || Path.GetFullPath(path) != path || !Path.GetFileName(path).StartsWith($"{id:N}.", StringComparison.Ordinal))
            throw new HostException(HostError.NotAllowed, "That is not the path of this image in the image store.");
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
        try
        {
            return [.. new DirectoryInfo(folder).EnumerateFiles().Where(f => f.LinkTarget is null && f.Length > 0).OrderByDescending(f => f.LastWriteTimeUtc).Take(1000)
                .Select(f => new HostFile(f.FullName, f.Name, f.Length, new DateTimeOffset(f.LastWriteTimeUtc)))];
        }
        catch (IOException)
        {
            // The folder is not there, or a file went away while we looked: the next look shows what is left.
            return [];
        }
        catch (UnauthorizedAccessException e)
        {
            throw new HostException(HostError.NotAllowed, $"The portal may not read the folder \"{folder}\".", e);
        }
    }

    /// <summary>Removes what an earlier process left in the quarantine.</summary>
    public void Sweep()
    {
        if (Directory.Exists(quarantine))
            Directory.Delete(quarantine, recursive: true);
    }

    private long MostBytes => options.MaxImageGiB * (1L << 30);

    /// <summary>The path, when it names something directly in an allowed folder; what that is, the open decides.</summary>
    private string Allowed(string path)
    {
        var full = Path.GetFullPath(path);
        return options.ImageFolders.Any(f => Path.GetDirectoryName(full) == Path.GetFullPath(f).TrimEnd('/')) ? full
            : throw new HostException(HostError.NotAllowed, "Only regular files directly in an allowed image folder (Host:ImageFolders) can be registered.");
    }

    /// <summary>The published file of an image; null when there is none.</summary>
    private string? Published(Guid id) => Directory.Exists(folders.Images) ? Directory.EnumerateFiles(folders.Images, $"{id:N}.*").FirstOrDefault() : null;

    private static async Task<ReceivedImage> DescribeAsync(Guid id, string path, CancellationToken ct)
    {
        await using var file = File.OpenRead(path);
        var found = ImageInspector.Inspect(file, null);
        file.Position = 0;
        return new ReceivedImage(id, path, found.Kind, file.Length, found.VirtualSizeBytes, Convert.ToHexStringLower(await SHA256.HashDataAsync(file, ct)));
    }

    private async Task<ReceivedImage> TakeAsync(ReceiveImage request, Stream content, Action<long> progress, CancellationToken ct)
    {
        const UnixFileMode mine = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        if (request.Length > request.MaxBytes)
            throw new HostException(HostError.NoRoom, $"The file has {request.Length} bytes; at most {request.MaxBytes} are allowed.");
        if (Published(request.ImageId) is not null)
            throw new HostException(HostError.InUse, "This image is in the store already.");
        Directory.CreateDirectory(folders.Images, mine);
        Directory.CreateDirectory(quarantine, mine);
        // Each try has its own part, so that a second one with the same id cannot spoil the first.
        var part = Path.Combine(quarantine, $"{request.ImageId:N}-{Guid.NewGuid():N}.part");
        try
        {
            string digest;
            await using (var file = new FileStream(part, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                BufferSize = 0,
                Options = FileOptions.Asynchronous,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
                digest = await CopyAsync(request, content, file, progress, ct);
            return Publish(request, part, digest);
        }
        catch (IOException e) when (LinuxFiles.IsFull(e))
        {
            throw new HostException(HostError.NoRoom, "The host has no space left for the image.", e);
        }
        finally
        {
            File.Delete(part);
        }
    }

    private async Task<string> CopyAsync(ReceiveImage request, Stream content, FileStream file, Action<long> progress, CancellationToken ct)
    {
        if (request.Length > Free())
            throw new HostException(HostError.NoRoom, $"The file has {request.Length} bytes, but only {Math.Max(0, Free())} are free on the host.");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var (filling, writing) = (ArrayPool<byte>.Shared.Rent(BlockBytes), ArrayPool<byte>.Shared.Rent(BlockBytes));
        var pending = Task.CompletedTask;
        var total = 0L;
        try
        {
            // One block is read and hashed while the one before is written; a block of zeros becomes a hole.
            while (await content.ReadAtLeastAsync(filling.AsMemory(0, BlockBytes), BlockBytes, throwOnEndOfStream: false, ct) is > 0 and var read)
            {
                if (total + read > request.MaxBytes)
                    throw new HostException(HostError.NoRoom, $"The file has more than the {request.MaxBytes} bytes that are allowed.");
                if (request.Length is { } announced && total + read > announced)
                    throw new HostException(HostError.DigestMismatch, $"The file is longer than the {announced} bytes that were announced.");
                if (request.Length is null && total % FreeCheckBytes == 0 && Free() < FreeCheckBytes)
                    throw new HostException(HostError.NoRoom, $"The host has no space left for the image after {total} bytes.");
                hash.AppendData(filling, 0, read);
                await pending;
                (filling, writing) = (writing, filling);
                if (writing.AsSpan(0, read).IndexOfAnyExcept((byte)0) >= 0)
                    pending = RandomAccess.WriteAsync(file.SafeFileHandle, writing.AsMemory(0, read), total, ct).AsTask();
                total += read;
                progress(total);
            }

            await pending;
            RandomAccess.SetLength(file.SafeFileHandle, total);
        }
        finally
        {
            // A buffer that is being written must not go back to the pool.
            await pending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            ArrayPool<byte>.Shared.Return(filling);
            ArrayPool<byte>.Shared.Return(writing);
        }

        if (request.Length is { } length && total != length)
            throw new HostException(HostError.DigestMismatch, $"The file was cut off: {total} of {length} bytes arrived.") { Hint = "Send it again." };
        var digest = Convert.ToHexStringLower(hash.GetHashAndReset());
        if (request.Sha256 is { } wanted && !string.Equals(wanted, digest, StringComparison.OrdinalIgnoreCase))
            throw new HostException(HostError.DigestMismatch, $"The file's SHA-256 digest is {digest}, not {wanted} as announced.") { Hint = "It was changed or damaged on the way: send it again." };
        return digest;
    }

    /// <summary>Bytes that images may still take; the reserve is for the portal and running machines.</summary>
    private long Free() => new DriveInfo(folders.Images).AvailableFreeSpace - Reserve;

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
        try
        {
            LinuxFiles.Publish(part, path);
        }
        catch (IOException e) when (File.Exists(path))
        {
            throw new HostException(HostError.InUse, "This image came into the store meanwhile.", e);
        }

        return new ReceivedImage(request.ImageId, path, found.Kind, length, found.VirtualSizeBytes, digest);
    }
}
