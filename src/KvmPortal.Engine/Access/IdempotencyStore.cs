using System.Collections.Concurrent;
using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Access;

/// <summary>An answer that was given before.</summary>
public sealed record KeptAnswer(int Status, string? Location, string? ContentType, byte[] Body);

/// <summary>Keeps the answers to requests with an `Idempotency-Key` for 24 hours.</summary>
public sealed class IdempotencyStore
{
    private static readonly TimeSpan Life = TimeSpan.FromHours(24);
    // Requests that this process is answering now, with their digests. One process owns the data directory, so nobody else can be.
    private readonly ConcurrentDictionary<(UserId, string), string> answering = new();
    private readonly PortalStore store;
    private readonly TimeProvider time;

    internal IdempotencyStore(PortalStore store, TimeProvider time)
    {
        (this.store, this.time) = (store, time);
    }

    /// <summary>
    /// Reserves a key for a request; null: it is new, go on. The kept answer when the same request was answered before. Throws Invalid when the key came with
    /// another request, Conflict while the first one is still being answered. A key without an answer that nobody works on was left by a crash: it is
    /// given to this request.
    /// </summary>
    /// <param name="digest">SHA-256 of method, path and body.</param>
    public async Task<KeptAnswer?> BeginAsync(UserId user, string key, string digest, CancellationToken ct)
    {
        if (!answering.TryAdd((user, key), digest))
            throw answering.TryGetValue((user, key), out var other) && other != digest ? Other() : new PortalException(ErrorCode.Conflict, Say.KeyStillAnswered) { Hint = Say.AskAgain };
        var mine = false;
        try
        {
            var kept = await store.WriteAsync(async db =>
            {
                var now = time.GetUtcNow();
                var oldest = now - Life;
                await db.IdempotencyKeys.Where(k => k.CreatedAt < oldest).ExecuteDeleteAsync(ct);
                var row = await db.IdempotencyKeys.FirstOrDefaultAsync(k => k.UserId == user && k.Key == key, ct);
                if (row is null)
                    db.IdempotencyKeys.Add(new IdempotencyKey { UserId = user, Key = key, Digest = digest, CreatedAt = now });
                else if (row.Digest != digest)
                    throw Other();
                else if (row.Status is { } status)
                    return new KeptAnswer(status, row.Location, row.ContentType, row.Body ?? []);
                else
                    row.CreatedAt = now;
                return null;
            }, ct);
            mine = kept is null;
            return kept;
        }
        finally
        {
            if (!mine)
                answering.TryRemove((user, key), out _);
        }
    }

    /// <summary>Keeps the answer.</summary>
    public async Task EndAsync(UserId user, string key, KeptAnswer answer, CancellationToken ct)
    {
        try
        {
            await store.WriteAsync(db => db.IdempotencyKeys.Where(k => k.UserId == user && k.Key == key).ExecuteUpdateAsync(set => set.SetProperty(k => k.Status, answer.Status)
                .SetProperty(k => k.Location, answer.Location).SetProperty(k => k.ContentType, answer.ContentType).SetProperty(k => k.Body, answer.Body), ct), ct);
        }
        finally
        {
            answering.TryRemove((user, key), out _);
        }
    }

    /// <summary>Frees a key whose request failed without an effect, so that it can be tried again.</summary>
    public async Task ForgetAsync(UserId user, string key, CancellationToken ct)
    {
        try
        {
            await store.WriteAsync(db => db.IdempotencyKeys.Where(k => k.UserId == user && k.Key == key && k.Status == null).ExecuteDeleteAsync(ct), ct);
        }
        finally
        {
            answering.TryRemove((user, key), out _);
        }
    }

    private static PortalException Other() => new(ErrorCode.Invalid, Say.KeyUsedForOther) { Hint = Say.KeyUsedForOtherHint };
}
