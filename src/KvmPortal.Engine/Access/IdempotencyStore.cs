using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Access;

/// <summary>An answer that was given before.</summary>
public sealed record KeptAnswer(int Status, string? Location, string? ContentType, byte[] Body);

/// <summary>Keeps the answers to requests with an `Idempotency-Key` for 24 hours.</summary>
public sealed class IdempotencyStore
{
    private static readonly TimeSpan Life = TimeSpan.FromHours(24);
    private readonly PortalStore store;
    private readonly TimeProvider time;

    internal IdempotencyStore(PortalStore store, TimeProvider time)
    {
        (this.store, this.time) = (store, time);
    }

    /// <summary>
    /// Reserves a key for a request; null: it is new, go on. The kept answer when the same request was answered before. Throws Invalid when the key came with
    /// another request, Conflict while the first one is still being answered.
    /// </summary>
    /// <param name="digest">SHA-256 of method, path and body.</param>
    public Task<KeptAnswer?> BeginAsync(UserId user, string key, string digest, CancellationToken ct) => store.WriteAsync(async db =>
    {
        var oldest = time.GetUtcNow() - Life;
        await db.IdempotencyKeys.Where(k => k.CreatedAt < oldest).ExecuteDeleteAsync(ct);
        var kept = await db.IdempotencyKeys.FirstOrDefaultAsync(k => k.UserId == user && k.Key == key, ct);
        if (kept is null)
        {
            db.IdempotencyKeys.Add(new IdempotencyKey { UserId = user, Key = key, Digest = digest, CreatedAt = time.GetUtcNow() });
            return null;
        }

        if (kept.Digest != digest)
            throw new PortalException(ErrorCode.Invalid, Say.KeyUsedForOther) { Hint = Say.KeyUsedForOtherHint };
        return kept.Status is { } status ? new KeptAnswer(status, kept.Location, kept.ContentType, kept.Body ?? [])
            : throw new PortalException(ErrorCode.Conflict, Say.KeyStillAnswered) { Hint = Say.AskAgain };
    }, ct);

    /// <summary>Keeps the answer.</summary>
    public Task EndAsync(UserId user, string key, KeptAnswer answer, CancellationToken ct) => store.WriteAsync(db =>
        db.IdempotencyKeys.Where(k => k.UserId == user && k.Key == key).ExecuteUpdateAsync(set => set.SetProperty(k => k.Status, answer.Status).SetProperty(k => k.Location, answer.Location)
            .SetProperty(k => k.ContentType, answer.ContentType).SetProperty(k => k.Body, answer.Body), ct), ct);

    /// <summary>Frees a key whose request failed without an effect, so that it can be tried again.</summary>
    public Task ForgetAsync(UserId user, string key, CancellationToken ct) =>
        store.WriteAsync(db => db.IdempotencyKeys.Where(k => k.UserId == user && k.Key == key && k.Status == null).ExecuteDeleteAsync(ct), ct);
}
