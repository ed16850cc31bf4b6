using Microsoft.Data.Sqlite;

namespace KvmPortal.Engine.Data;

/// <summary>The SQLite file as a file: copied, checked, moved.</summary>
internal static class DatabaseFile
{
    /// <summary>There while a portal runs; one that is found at the start tells of an end without goodbye.</summary>
    public const string RunningMarker = "running";

    /// <summary>Copies a database that may be in use: one read transaction, so that the copy is of one moment. Free pages, and what was deleted in them, stay behind.</summary>
    public static async Task CopyAsync(string source, string target, CancellationToken ct)
    {
        await using var db = await OpenAsync(source, SqliteOpenMode.ReadWrite, ct);
        await using var command = db.CreateCommand();
        command.CommandText = "VACUUM INTO $target";
        command.Parameters.AddWithValue("$target", target);
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync(ct);
        File.SetUnixFileMode(target, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    /// <summary>What is wrong with the file, in SQLite's words; null when its structure is right. Reads all of it.</summary>
    public static async Task<string?> DamageAsync(string path, CancellationToken ct)
    {
        try
        {
            await using var db = await OpenAsync(path, SqliteOpenMode.ReadWrite, ct);
            await using var command = db.CreateCommand();
            command.CommandText = "PRAGMA quick_check(3)";
            command.CommandTimeout = 600;
            var said = new List<string>();
            await using (var rows = await command.ExecuteReaderAsync(ct))
                while (await rows.ReadAsync(ct))
                    said.Add(rows.GetString(0).ReplaceLineEndings(" "));
            return said is ["ok"] ? null : string.Join("; ", said);
        }
        catch (SqliteException e) when (e.SqliteErrorCode is 11 or 26)
        {
            // SQLITE_CORRUPT, SQLITE_NOTADB.
            return e.Message;
        }
    }

    /// <summary>Whether it is a database that a portal made.</summary>
    public static async Task<bool> IsPortalsAsync(string path, CancellationToken ct)
    {
        await using var db = await OpenAsync(path, SqliteOpenMode.ReadWrite, ct);
        await using var command = db.CreateCommand();
        command.CommandText = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('__EFMigrationsHistory', 'Vms', 'Jobs')";
        return await command.ExecuteScalarAsync(ct) is 3L;
    }

    /// <summary>Changes the start of the absolute paths in it, when the data directory has another place now.</summary>
    public static async Task MovePathsAsync(string path, string from, string to, CancellationToken ct)
    {
        await using var db = await OpenAsync(path, SqliteOpenMode.ReadWrite, ct);
        foreach (var (table, column) in new[] { ("Disks", "Path"), ("Images", "Path"), ("Vms", "SuspendPath") })
        {
            await using var command = db.CreateCommand();
            command.CommandText = $"UPDATE {table} SET {column} = $to || substr({column}, length($from) + 1) WHERE substr({column}, 1, length($from) + 1) = $from || '/'";
            command.Parameters.AddWithValue("$from", from);
            command.Parameters.AddWithValue("$to", to);
            await command.ExecuteNonQueryAsync(ct);
        }
    }

    private static async Task<SqliteConnection> OpenAsync(string path, SqliteOpenMode mode, CancellationToken ct)
    {
        var db = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Mode = mode, Pooling = false, DefaultTimeout = 60 }.ToString());
        try
        {
            await db.OpenAsync(ct);
            return db;
        }
        catch
        {
            await db.DisposeAsync();
            throw;
        }
    }
}
