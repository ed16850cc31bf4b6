using KvmPortal.Engine.Data;
using Microsoft.AspNetCore.Identity;

namespace KvmPortal.Engine.Access;

/// <summary>A user account, kept by ASP.NET Core Identity's stores.</summary>
public sealed class PortalUser : IdentityUser<Guid>
{
    public DateTimeOffset CreatedAt { get; set; }
}

/// <summary>The row of a personal access token: only its hash is kept.</summary>
internal sealed class AccessToken
{
    public TokenId Id { get; set; }
    public UserId UserId { get; set; }
    public required string Name { get; set; }
    /// <summary>SHA-256 of the token's text, lower-case hex. The token has 256 random bits, so no slow hash is needed.</summary>
    public required string Hash { get; set; }
    public DateTimeOffset CreatedAt { get; set; }
    public DateTimeOffset ExpiresAt { get; set; }
    public DateTimeOffset? LastUsedAt { get; set; }
}

/// <summary>The row of an idempotency key (kept 24 h).</summary>
internal sealed class IdempotencyKey
{
    public UserId UserId { get; set; }
    public required string Key { get; set; }
    /// <summary>SHA-256 of method, path and body.</summary>
    public required string Digest { get; set; }
    public DateTimeOffset CreatedAt { get; set; }
    /// <summary>Null while the first request still runs.</summary>
    public int? Status { get; set; }
    public string? Location { get; set; }
    public string? ContentType { get; set; }
    public byte[]? Body { get; set; }
}
