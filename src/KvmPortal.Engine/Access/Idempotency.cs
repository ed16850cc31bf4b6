using System.Collections.Concurrent;
using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Access;

/// <summary>An answer as it was sent.</summary>
public sealed record StoredAnswer(int Status, string? Location, string? ContentType, byte[] Body);

/// <summary>
/// Remembers for 24 h what a request with an <c>Idempotency-Key</c> was answered, per user, so that a client may repeat it after a lost answer.
/// A duplicate that comes while the first still runs waits for it; a request that the portal did not survive is known as interrupted.
/// </summary>
public sealed class Idempotency
{
    private static readonly TimeSpan Kept = TimeSpan.FromHours(24);
    private readonly ConcurrentDictionary<(UserId, string), TaskCompletionSource> running = new();
    private readonly PortalStore store;
    private readonly TimeProvider time;

    internal Idempotency(PortalStore store, TimeProvider time) => (this.store, this.time) = (store, time);

    /// <summary>Null: go on, then call <see cref="EndAsync"/>. Else the earlier answer. Throws Invalid for another request under the key, Conflict for an interrupted one.</summary>
    /// <param name="digest">SHA-256 of method, path and body.</param>
    public async Task<StoredAnswer?> BeginAsync(UserId user, string key, string digest, CancellationToken ct)
    {
        if (key.Length is < 1 or > 255 || key.Any(c => c is < ' ' or > '~'))
            throw new PortalException(ErrorCode.Malformed, "An Idempotency-Key has 1 to 255 printable ASCII characters.");
        while (true)
        {
            var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var first = running.GetOrAdd((user, key), mine);
            if (first == mine)
                break;
            await first.Task.WaitAsync(ct);
        }

        try
        {
            if (await ReserveAsync(user, key, digest, ct) is not { } answer)
                return null;
            Release(user, key);
            return answer;
        }
        catch
        {
            Release(user, key);
            throw;
        }
    }

    /// <summary>Keeps the answer; null forgets the key, so that the request can be tried again.</summary>
    public async Task EndAsync(UserId user, string key, StoredAnswer? answer)
    {
        try
        {
            await store.WriteAsync(async db =>
            {
                var rows = db.IdempotencyKeys.Where(k => k.UserId == user && k.Key == key);
                if (answer is null)
                    await rows.ExecuteDeleteAsync(CancellationToken.None);
                else
                    await rows.ExecuteUpdateAsync(set => set.SetProperty(k => k.Status, answer.Status).SetProperty(k => k.Location, answer.Location)
                        .SetProperty(k => k.ContentType, answer.ContentType).SetProperty(k => k.Body, answer.Body), CancellationToken.None);
            }, CancellationToken.None);
        }
        finally
        {
            Release(user, key);
        }
    }

    private Task<StoredAnswer?> ReserveAsync(UserId user, string key, string digest, CancellationToken ct) => store.WriteAsync(async db =>
    {
        var (now, old) = (time.GetUtcNow(), time.GetUtcNow() - Kept);
        await db.IdempotencyKeys.Where(k => k.CreatedAt < old).ExecuteDeleteAsync(ct);
        var known = await db.IdempotencyKeys.FirstOrDefaultAsync(k => k.UserId == user && k.Key == key, ct);
        if (known is null)
        {
            db.IdempotencyKeys.Add(new IdempotencyKey { UserId = user, Key = key, Digest = digest, CreatedAt = now });
            return null;
        }

        if (known.Digest != digest)
            throw PortalException.Invalid([new Problem("", "key-reused", "This Idempotency-Key was used for another request. Give every request its own.")]);
        return known.Status is { } status
            ? new StoredAnswer(status, known.Location, known.ContentType, known.Body ?? [])
            : throw new PortalException(ErrorCode.Conflict, "The first request with this Idempotency-Key was interrupted; what it did is not known.") { Hint = "Look at what is there, then use a new key." };
    }, ct);

    private void Release(UserId user, string key)
    {
        if (running.TryRemove((user, key), out var mine))
            mine.TrySetResult();
    }
}
