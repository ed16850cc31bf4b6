using KvmPortal.Engine.Storage;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Data;

/// <summary>
/// The way to the database. SQLite has one writer: writers queue here, in order and without spinning on SQLITE_BUSY, which the driver answers
/// by sleeping 150 ms. Readers never wait (WAL).
/// </summary>
internal sealed class PortalStore(IDbContextFactory<PortalDb> contexts, StorageRoom room) : IDisposable
{
    private readonly SemaphoreSlim writer = new(1, 1);

    public StorageRoom Room => room;

    public async Task<T> ReadAsync<T>(Func<PortalDb, Task<T>> read, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        db.ChangeTracker.QueryTrackingBehavior = QueryTrackingBehavior.NoTracking;
        return await read(db);
    }

    /// <summary>Runs <paramref name="write"/> in one transaction; an exception rolls all of it back. Throws <see cref="PortalException"/> (DiskFull) for want of room.</summary>
    public async Task<T> WriteAsync<T>(Func<PortalDb, Task<T>> write, CancellationToken ct)
    {
        // What little is left is for reading.
        if (room.State == StorageState.Full)
            throw room.Full();
        await writer.WaitAsync(ct);
        try
        {
            await using var db = await contexts.CreateDbContextAsync(ct);
            await using var transaction = await db.Database.BeginTransactionAsync(ct);
            var result = await write(db);
            await db.SaveChangesAsync(ct);
            await transaction.CommitAsync(ct);
            return result;
        }
        catch (Exception e) when (room.Refusal(e) is { } full)
        {
            throw full;
        }
        finally
        {
            writer.Release();
        }
    }

    public Task WriteAsync(Func<PortalDb, Task> write, CancellationToken ct) =>
        WriteAsync(async db =>
        {
            await write(db);
            return 0;
        }, ct);

    /// <summary>The same for what must not be lost: waits for room as long as it takes, and tries again. <paramref name="write"/> may run many times.</summary>
    public async Task<T> WriteWithPatienceAsync<T>(Func<PortalDb, Task<T>> write, CancellationToken ct)
    {
        while (true)
        {
            await room.WaitAsync(ct);
            try
            {
                return await WriteAsync(write, ct);
            }
            catch (PortalException e) when (e.Code == ErrorCode.DiskFull)
            {
                // Waits above.
            }
        }
    }

    public Task WriteWithPatienceAsync(Func<PortalDb, Task> write, CancellationToken ct) =>
        WriteWithPatienceAsync(async db =>
        {
            await write(db);
            return 0;
        }, ct);

    public void Dispose() => writer.Dispose();
}
