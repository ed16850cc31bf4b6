using System.Formats.Tar;
using System.IO.Compression;
using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;

namespace KvmPortal.Engine.Backups;

/// <param name="DataRoot">The data directory, of a running portal or not.</param>
/// <param name="File">The archive to make; must not exist.</param>
/// <param name="SettingsFile">The portal's settings file, packed to compare with; null for none.</param>
public sealed record BackupRequest(string DataRoot, string File, bool WithImages, bool WithDisks, string? SettingsFile);

/// <summary>Makes one archive (tar, gzip, mode 0600) of a data directory. The portal may run: the database is read in one transaction.</summary>
public static class Backup
{
    private const UnixFileMode Mine = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Throws <see cref="PortalException"/> with a sentence for the operator; then there is no archive.</summary>
    public static async Task<BackupManifest> MakeAsync(BackupRequest request, TimeProvider time, CancellationToken ct)
    {
        var database = Path.Combine(request.DataRoot, BackupPaths.Database);
        if (!File.Exists(database))
            throw new PortalException(ErrorCode.NotFound, $"{request.DataRoot} is not a data directory of a portal: there is no {BackupPaths.Database}.");
        if (File.Exists(request.File))
            throw new PortalException(ErrorCode.Conflict, $"{request.File} exists already: give another name, or remove it.");
        var part = $"{request.File}.{Guid.NewGuid():N}.part";
        var scratch = part + ".d";
        try
        {
            Directory.CreateDirectory(scratch, Mine | UnixFileMode.UserExecute);
            var copy = Path.Combine(scratch, BackupPaths.Database);
            await DatabaseFile.CopyAsync(database, copy, ct);
            if (await DatabaseFile.DamageAsync(copy, ct) is { } damage)
                throw new PortalException(ErrorCode.Conflict, $"The database is damaged, so no backup was made of it ({damage}). Start the portal: it says what to do.");
            var manifest = await PackAsync(request, copy, part, time, ct);
            LinuxFiles.Publish(part, request.File);
            return manifest;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Microsoft.Data.Sqlite.SqliteException or HostException)
        {
            throw new PortalException(ErrorCode.Conflict, $"The backup could not be made: {e.Message}", e);
        }
        finally
        {
            File.Delete(part);
            if (Directory.Exists(scratch))
                Directory.Delete(scratch, recursive: true);
        }
    }

    private static async Task<BackupManifest> PackAsync(BackupRequest request, string database, string part, TimeProvider time, CancellationToken ct)
    {
        await using var file = new FileStream(part, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = Mine });
        await using var gzip = new GZipStream(file, CompressionLevel.Fastest);
        await using var tar = new TarWriter(gzip, TarEntryFormat.Pax);
        var at = time.GetUtcNow();
        var (paths, left) = BackupContents.Of(request.DataRoot, request.WithImages, request.WithDisks);
        List<BackupFile> packed = [await AddAsync(tar, BackupPaths.Database, File.OpenRead(database), at, ct)];
        if (request.SettingsFile is { } settings && File.Exists(settings))
            packed.Add(await AddAsync(tar, BackupPaths.Settings, File.OpenRead(settings), at, ct));
        foreach (var path in paths)
            if (Open(Path.Combine(request.DataRoot, path)) is { } content)
                packed.Add(await AddAsync(tar, path, content, at, ct));
        var manifest = new BackupManifest(BackupManifest.CurrentFormat, BackupManifest.ThisPortal, request.DataRoot, at, packed, left);
        await AddAsync(tar, BackupManifest.Name, new MemoryStream(JsonSerializer.SerializeToUtf8Bytes(manifest, PortalJson.Options)), at, ct);
        return manifest;
    }

    /// <summary>A running machine may write its state meanwhile: small files are read at once. Null when the file is gone by now.</summary>
    private static Stream? Open(string path)
    {
        if (!File.Exists(path))
            return null;
        if (new FileInfo(path).Length == 0)
            return new MemoryStream();
        var file = LinuxFiles.OpenRegular(path);
        if (file.Length > 64 << 20)
            return file;
        using (file)
        {
            var bytes = new byte[file.Length];
            var read = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            return new MemoryStream(bytes, 0, read);
        }
    }

    private static async Task<BackupFile> AddAsync(TarWriter tar, string path, Stream content, DateTimeOffset at, CancellationToken ct)
    {
        await using var hashed = new HashedStream(content);
        var bytes = content.Length;
        await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, path) { Mode = Mine, ModificationTime = at, DataStream = hashed }, ct);
        return hashed.BytesRead == bytes ? new BackupFile(path, bytes, hashed.Sha256())
            : throw new PortalException(ErrorCode.Conflict, $"{path} changed while it was read: try again.");
    }
}
