using System.Globalization;
using KvmPortal.Engine.Backups;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Data;

/// <summary>
/// Makes the database fit to serve, or says in one sentence what is wrong and what to do. A portal on a damaged database would serve wrong data as if it were right.
/// <code>
///  unfinished restore? ► ended without goodbye? quick_check ► made by a newer portal? ► migrations wait? copy, then migrate ► marker "running"
/// </code>
/// </summary>
public sealed class DatabaseStart(IDbContextFactory<PortalDb> contexts, EngineOptions options, TimeProvider time)
{
    /// <summary>Copies that are kept.</summary>
    internal const int CopiesKept = 5;

    private const long QuickBytes = 256L << 20;

    private string Marker => Path.Combine(options.DataRoot, DatabaseFile.RunningMarker);

    /// <summary>After an end without goodbye, and always when it is quick.</summary>
    private bool NeedsCheck => File.Exists(Marker) || new FileInfo(options.DatabasePath) is { Exists: true, Length: < QuickBytes };

    private string Copies => Path.Combine(options.DataRoot, BackupPaths.Copies);

    /// <summary>Throws <see cref="PortalException"/> when the portal must not start on it. The caller holds the data directory's lock.</summary>
    public async Task PrepareAsync(CancellationToken ct)
    {
        if (File.Exists(Path.Combine(options.DataRoot, BackupPaths.Unfinished)))
            throw Stop("a restore was cut in its middle", "run the restore again, with --force");
        try
        {
            // A killed portal may have left half a page in the file; one that ended well has not. Reading all of it takes about a second for each 500 MiB.
            if (NeedsCheck && File.Exists(options.DatabasePath) && await DatabaseFile.DamageAsync(options.DatabasePath, ct) is { } damage)
                throw Damaged(damage);
            await MigrateAsync(ct);
            await File.WriteAllTextAsync(Marker, $"{Environment.ProcessId}\n", ct);
        }
        catch (SqliteException e) when (e.SqliteErrorCode is 11 or 26)
        {
            throw Damaged(e.Message, e);
        }
        catch (Exception e) when (Storage.StorageRoom.IsWant(e))
        {
            throw Stop($"its database cannot be written ({e.GetBaseException().Message})", "make room on that file system, or make it writable, and start again", e);
        }
        catch (SqliteException e)
        {
            throw Stop($"its database cannot be used ({e.Message})", Remedy, e);
        }
    }

    /// <summary>The portal ends well: the next start need not read the whole file.</summary>
    public void EndedWell() => File.Delete(Marker);

    private async Task MigrateAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        if (new FileInfo(options.DatabasePath) is { Exists: true, Length: > 0 })
        {
            var known = db.Database.GetMigrations().ToHashSet();
            var applied = (await db.Database.GetAppliedMigrationsAsync(ct)).ToList();
            if (applied.Find(m => !known.Contains(m)) is { } newer)
                throw Stop($"its database was made by a newer portal (it has {newer})", "start that version, or restore a copy from before it" + NewestCopy());
            // A portal that was killed while it migrated leaves a lock that nobody would ever take away; the data directory's own lock proves that nobody else migrates.
            await db.Database.ExecuteSqlRawAsync("DROP TABLE IF EXISTS __EFMigrationsLock", ct);
            if (applied.Count < known.Count)
                await KeepCopyAsync(ct);
        }

        try
        {
            await db.Database.MigrateAsync(ct);
        }
        catch (SqliteException e) when (e.SqliteErrorCode is not (11 or 26) && !Storage.StorageRoom.IsWant(e))
        {
            throw Stop($"its database could not be brought to this version ({e.Message})", "start the version before, or report this" + NewestCopy(), e);
        }

        await db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode=WAL;", ct);
    }

    private async Task KeepCopyAsync(CancellationToken ct)
    {
        Directory.CreateDirectory(Copies, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var name = $"kvmportal-{time.GetUtcNow().ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture)}.db";
        var part = Path.Combine(Copies, name + ".part");
        File.Delete(part);
        try
        {
            await DatabaseFile.CopyAsync(options.DatabasePath, part, ct);
            File.Move(part, Path.Combine(Copies, name), overwrite: true);
        }
        finally
        {
            File.Delete(part);
        }

        foreach (var old in Directory.EnumerateFiles(Copies, "kvmportal-*.db").OrderDescending(StringComparer.Ordinal).Skip(CopiesKept))
            File.Delete(old);
    }

    private string? Newest => Directory.Exists(Copies) ? Directory.EnumerateFiles(Copies, "kvmportal-*.db").Max(StringComparer.Ordinal) : null;

    private string NewestCopy() => Newest is { } copy ? $"; the newest automatic copy is {copy}" : "";

    private string Remedy => Newest is { } copy
        ? $"restore your last backup, or the newest automatic copy: ./kvmportal restore {copy} --data {options.DataRoot} --force"
        : $"restore your last backup: ./kvmportal restore FILE --data {options.DataRoot} --force (there is no automatic copy yet)";

    private PortalException Damaged(string how, Exception? inner = null) => Stop($"its database {options.DatabasePath} is damaged ({how})", Remedy, inner);

    private static PortalException Stop(string what, string remedy, Exception? inner = null) => new(ErrorCode.Conflict, $"The portal does not start, because {what}: {remedy}.", inner);
}
