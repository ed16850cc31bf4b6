using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Linux;

namespace KvmPortal.Engine.Backups;

/// <summary>Unpacks an archive into an empty folder and believes nothing: names, kinds, sizes and digests are checked; what is not right stops it.</summary>
internal static class RestoreStaging
{
    private const int MostFiles = 1_000_000;
    private const int BlockBytes = 1 << 16;
    private const long Reserve = 64L << 20;

    /// <summary>Throws <see cref="PortalException"/> when the archive is not a whole, unchanged backup. The caller removes the folder then.</summary>
    public static async Task<BackupManifest> UnpackAsync(string archive, string folder, CancellationToken ct)
    {
        try
        {
            await using var file = new FileStream(archive, FileMode.Open, FileAccess.Read);
            await using var gzip = new GZipStream(file, CompressionMode.Decompress);
            await using var tar = new TarReader(gzip);
            return Verified(await EntriesAsync(tar, folder, ct));
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or FormatException or JsonException or ArgumentException or OverflowException)
        {
            throw Refused($"it is damaged, cut off or not a backup at all ({e.Message.ReplaceLineEndings(" ")})", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PortalException(ErrorCode.Conflict, $"{archive} could not be unpacked: {e.Message}", e);
        }
    }

    private static async Task<(BackupManifest? Manifest, Dictionary<string, BackupFile> Found)> EntriesAsync(TarReader tar, string folder, CancellationToken ct)
    {
        var found = new Dictionary<string, BackupFile>(StringComparer.Ordinal);
        BackupManifest? manifest = null;
        while (await tar.GetNextEntryAsync(copyData: false, ct) is { } entry)
        {
            if (manifest is not null)
                throw Refused("something follows its manifest");
            if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile))
                throw Refused($"\"{Shown(entry.Name)}\" is a {entry.EntryType}, and a backup has regular files only");
            if (entry.Name == BackupManifest.Name)
                manifest = await ManifestAsync(entry, ct);
            else if (!BackupPaths.IsKnown(entry.Name))
                throw Refused($"\"{Shown(entry.Name)}\" is not the name of a file that a backup has");
            else if (found.Count >= MostFiles || !found.TryAdd(entry.Name, await FileAsync(entry, folder, ct)))
                throw Refused($"\"{Shown(entry.Name)}\" is in it twice, or it has more than {MostFiles} files");
        }

        return (manifest, found);
    }

    private static async Task<BackupManifest> ManifestAsync(TarEntry entry, CancellationToken ct)
    {
        if (entry.Length is <= 0 or > BackupManifest.MostBytes || entry.DataStream is null)
            throw Refused($"its manifest has {entry.Length} bytes");
        var bytes = new byte[entry.Length];
        await entry.DataStream.ReadExactlyAsync(bytes, ct);
        using (var peek = JsonDocument.Parse(bytes))
            if (peek.RootElement.ValueKind == JsonValueKind.Object && peek.RootElement.TryGetProperty("format", out var format) && format.TryGetInt32(out var number) && number > BackupManifest.CurrentFormat)
                throw Refused($"its format is {number}, and this portal ({BackupManifest.ThisPortal}) reads {BackupManifest.CurrentFormat}: take the portal that made it, or a newer one");
        return JsonSerializer.Deserialize<BackupManifest>(bytes, PortalJson.Options) ?? throw Refused("its manifest is empty");
    }

    private static async Task<BackupFile> FileAsync(TarEntry entry, string folder, CancellationToken ct)
    {
        var path = Path.Combine(folder, entry.Name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var mode = entry.Name.StartsWith(BackupPaths.Images + "/", StringComparison.Ordinal) ? UnixFileMode.UserRead : UnixFileMode.UserRead | UnixFileMode.UserWrite;
        await using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0, UnixCreateMode = mode });
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var block = new byte[BlockBytes];
        var total = 0L;
        while (entry.DataStream is { } content && await content.ReadAtLeastAsync(block, BlockBytes, throwOnEndOfStream: false, ct) is > 0 and var read)
        {
            // What was announced counts for nothing: a small archive can unpack to any size.
            if (total % (BlockBytes * 256) == 0 && Room.At(folder).FreeBytes < Reserve)
                throw new PortalException(ErrorCode.NoRoom, $"There is no room to unpack the backup: {Room.At(folder).FreeBytes >> 20} MiB are free at {folder}.");
            hash.AppendData(block, 0, read);
            // A block of zeros becomes a hole, as it was in the disk.
            if (block.AsSpan(0, read).IndexOfAnyExcept((byte)0) >= 0)
                await RandomAccess.WriteAsync(file.SafeFileHandle, block.AsMemory(0, read), total, ct);
            total += read;
        }

        if (total != entry.Length)
            throw Refused($"\"{Shown(entry.Name)}\" is cut off");
        RandomAccess.SetLength(file.SafeFileHandle, total);
        RandomAccess.FlushToDisk(file.SafeFileHandle);
        return new BackupFile(entry.Name, total, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    private static BackupManifest Verified((BackupManifest? Manifest, Dictionary<string, BackupFile> Found) read)
    {
        if (read.Manifest is not { } manifest)
            throw Refused("it has no manifest, so it is cut off or not a backup");
        foreach (var wanted in manifest.Files)
            if (!read.Found.Remove(wanted.Path, out var there))
                throw Refused($"{Shown(wanted.Path)} is missing");
            else if (there != wanted)
                throw Refused($"{wanted.Path} has the digest {there.Sha256}, and the manifest says {Shown(wanted.Sha256)}");
        if (read.Found.Keys.FirstOrDefault() is { } extra)
            throw Refused($"{extra} is not in its manifest");
        return manifest.Files.Any(f => f.Path == BackupPaths.Database) ? manifest : throw Refused("it has no database");
    }

    /// <summary>A stranger's name, fit for a terminal.</summary>
    private static string Shown(string name)
    {
        var plain = new string([.. name.Take(200).Select(c => char.IsControl(c) ? '?' : c)]);
        return name.Length > 200 ? plain + "…" : plain;
    }

    private static PortalException Refused(string why, Exception? inner = null) => new(ErrorCode.Invalid, $"The backup is refused, and nothing was changed: {why}.", inner);
}
