using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Access;

/// <param name="ApiToken">Shown once.</param>
public sealed record SetupResult(UserId UserId, string ApiToken);

public sealed record TokenView(TokenId Id, string Name, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, DateTimeOffset? LastUsedAt);

/// <param name="Text">Shown once.</param>
public sealed record IssuedToken(TokenView Token, string Text);

public sealed record UserView(UserId Id, string UserName, DateTimeOffset CreatedAt, bool LockedOut);

/// <summary>Accounts and tokens: first set-up, sign-in checks, personal access tokens.</summary>
public sealed class AccessOperations
{
    /// <summary>True while no account exists.</summary>
    public Task<bool> NeedsSetupAsync(CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Makes the first administrator, once. Throws Forbidden for a wrong token, Conflict when done already, Invalid for a weak password.</summary>
    public Task<SetupResult> SetupAsync(string token, string userName, string password, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>The caller behind a bearer token; null when it is unknown or expired.</summary>
    public Task<Caller?> AuthenticateAsync(string bearerToken, string requestId, CancellationToken ct) => throw new NotImplementedException();
    public Task<IReadOnlyList<TokenView>> ListTokensAsync(Caller caller, CancellationToken ct) => throw new NotImplementedException();
    /// <param name="lifetime">1 hour to 366 days.</param>
    public Task<IssuedToken> IssueTokenAsync(Caller caller, string name, TimeSpan lifetime, CancellationToken ct) => throw new NotImplementedException();
    public Task RevokeTokenAsync(Caller caller, TokenId id, CancellationToken ct) => throw new NotImplementedException();
    public Task<IReadOnlyList<UserView>> ListUsersAsync(Caller caller, CancellationToken ct) => throw new NotImplementedException();
    public Task ChangePasswordAsync(Caller caller, string currentPassword, string newPassword, CancellationToken ct) => throw new NotImplementedException();
}
