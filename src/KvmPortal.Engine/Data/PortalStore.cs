using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Data;

/// <summary>
/// The way to the database. SQLite has one writer: writers queue here, in order and without spinning on SQLITE_BUSY, which the driver answers
/// by sleeping 150 ms. Readers never wait (WAL).
/// </summary>
internal sealed class PortalStore(IDbContextFactory<PortalDb> contexts) : IDisposable
{
    private readonly SemaphoreSlim writer = new(1, 1);

    public async Task<T> ReadAsync<T>(Func<PortalDb, Task<T>> read, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        db.ChangeTracker.QueryTrackingBehavior = QueryTrackingBehavior.NoTracking;
        return await read(db);
    }

    /// <summary>Runs <paramref name="write"/> in one transaction; an exception rolls all of it back.</summary>
    public async Task<T> WriteAsync<T>(Func<PortalDb, Task<T>> write, CancellationToken ct)
    {
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

    public void Dispose() => writer.Dispose();
}
