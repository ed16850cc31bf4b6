using System.Globalization;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Linux;

namespace KvmPortal.Engine.Backups;

/// <param name="File">A backup, or a copy of the database alone.</param>
/// <param name="RunRoot">Where machines of this data directory have their sockets and pid files.</param>
/// <param name="Force">Replace what is there; it is moved aside.</param>
public sealed record RestoreRequest(string File, string DataRoot, string RunRoot, bool Force);

/// <param name="Manifest">Null after a restore of the database alone.</param>
/// <param name="MovedTo">Folder with what was there before; null when there was nothing.</param>
public sealed record Restored(BackupManifest? Manifest, string? MovedTo);

/// <summary>
/// Puts a backup into a data directory whose lock the caller holds.
/// <code>
///  unpack and verify in DIR/.restoring ► marker ► old parts to DIR/before-restore-TIME ► new parts to DIR ► marker away
/// </code>
/// Until the marker nothing but the staging folder has changed. An error afterwards moves everything back; a crash leaves the marker, with which no portal starts.
/// </summary>
public static class Restore
{
    private static readonly string[] Database = [BackupPaths.Database, BackupPaths.Database + "-wal", BackupPaths.Database + "-shm", BackupPaths.Database + "-journal"];
    private static readonly string[] Whole = [.. Database, BackupPaths.BootstrapToken, BackupPaths.Keys, BackupPaths.Machines, BackupPaths.Settings, DatabaseFile.RunningMarker];

    /// <summary>Throws <see cref="PortalException"/> with a sentence for the operator; then the directory is as it was.</summary>
    public static async Task<Restored> RunAsync(RestoreRequest request, TimeProvider time, CancellationToken ct)
    {
        if (!File.Exists(request.File))
            throw new PortalException(ErrorCode.NotFound, $"There is no file {request.File}.");
        if (!request.Force && Directory.EnumerateFileSystemEntries(request.DataRoot).Select(Path.GetFileName).FirstOrDefault(n => n is not (BackupPaths.Lock or "lost+found")) is { } there)
            throw new PortalException(ErrorCode.Conflict, $"{request.DataRoot} is not empty (it has {there}): give another directory, or --force to move what is there aside.");
        RequireNothingRuns(request.RunRoot);
        var staging = Path.Combine(request.DataRoot, BackupPaths.Staging);
        try
        {
            Clear(staging);
            Directory.CreateDirectory(staging, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var alone = await IsDatabaseAsync(request.File, ct);
            BackupManifest? manifest = null;
            if (alone)
                await TakeDatabaseAsync(request.File, staging, ct);
            else
                manifest = await RestoreStaging.UnpackAsync(request.File, staging, ct);
            await RequireDatabaseAsync(Path.Combine(staging, BackupPaths.Database), ct);
            if (manifest is not null && manifest.DataRoot != request.DataRoot)
                await DatabaseFile.MovePathsAsync(Path.Combine(staging, BackupPaths.Database), manifest.DataRoot, request.DataRoot, ct);
            return new Restored(manifest, Swap(request, staging, alone, time));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Microsoft.Data.Sqlite.SqliteException)
        {
            throw new PortalException(ErrorCode.Conflict, $"The restore failed, and {request.DataRoot} is as it was: {e.Message}", e);
        }
        finally
        {
            Clear(staging);
        }
    }

    private static void RequireNothingRuns(string runRoot)
    {
        var running = Directory.Exists(runRoot) ? Directory.EnumerateDirectories(runRoot).Count(d => FileLocks.IsLocked(Path.Combine(d, "pid"))) : 0;
        if (running > 0)
            throw new PortalException(ErrorCode.Conflict, $"{running} virtual machines of this data directory still run: shut them down first (their process ids are in {runRoot}/*/pid).");
    }

    private static async Task<bool> IsDatabaseAsync(string file, CancellationToken ct)
    {
        await using var stream = File.OpenRead(file);
        var head = new byte[16];
        return await stream.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, ct) == head.Length && head.AsSpan().SequenceEqual("SQLite format 3\0"u8);
    }

    private static async Task TakeDatabaseAsync(string file, string staging, CancellationToken ct)
    {
        await using var from = File.OpenRead(file);
        if (from.Length > Room.At(staging).FreeBytes)
            throw new PortalException(ErrorCode.NoRoom, $"There is no room for the database: it has {from.Length >> 20} MiB, and {Room.At(staging).FreeBytes >> 20} MiB are free at {staging}.");
        await using var to = new FileStream(Path.Combine(staging, BackupPaths.Database), new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        await from.CopyToAsync(to, ct);
        to.Flush(flushToDisk: true);
    }

    private static async Task RequireDatabaseAsync(string path, CancellationToken ct)
    {
        if (await DatabaseFile.DamageAsync(path, ct) is { } damage)
            throw new PortalException(ErrorCode.Invalid, $"The backup is refused, and nothing was changed: its database is damaged ({damage}).");
        if (!await DatabaseFile.IsPortalsAsync(path, ct))
            throw new PortalException(ErrorCode.Invalid, "The backup is refused, and nothing was changed: its database is not one of a portal.");
    }

    private static string? Swap(RestoreRequest request, string staging, bool alone, TimeProvider time)
    {
        var data = request.DataRoot;
        var comes = Directory.EnumerateFileSystemEntries(staging).Select(e => Path.GetFileName(e)).ToList();
        var goes = (alone ? Database : Whole).Union(comes).Where(n => Path.Exists(Path.Combine(data, n))).ToList();
        var stamp = time.GetUtcNow().ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
        var aside = Path.Combine(data, BackupPaths.Before + stamp);
        for (var i = 2; Path.Exists(aside); i++)
            aside = Path.Combine(data, $"{BackupPaths.Before}{stamp}-{i}");
        var marker = Path.Combine(data, BackupPaths.Unfinished);
        var moved = new List<(string From, string To)>();
        File.WriteAllText(marker, $"{aside}\n");
        try
        {
            if (goes.Count > 0)
                Directory.CreateDirectory(aside, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            foreach (var (from, to) in goes.Select(n => (Path.Combine(data, n), Path.Combine(aside, n))).Concat(comes.Select(n => (Path.Combine(staging, n), Path.Combine(data, n)))))
            {
                Move(from, to);
                moved.Add((from, to));
            }

            File.Delete(marker);
        }
        catch
        {
            moved.Reverse();
            foreach (var (from, to) in moved)
                Move(to, from);
            if (Directory.Exists(aside))
                Directory.Delete(aside);
            File.Delete(marker);
            throw;
        }

        return goes.Count > 0 ? aside : null;
    }

    private static void Move(string from, string to)
    {
        if (Directory.Exists(from))
            Directory.Move(from, to);
        else
            File.Move(from, to, overwrite: false);
    }

    private static void Clear(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }
}
