using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Access;

/// <param name="ApiToken">Shown once.</param>
public sealed record SetupResult(UserId UserId, string ApiToken);

public sealed record TokenView(TokenId Id, string Name, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, DateTimeOffset? LastUsedAt);

/// <param name="Text">Shown once.</param>
public sealed record IssuedToken(TokenView Token, string Text);

public sealed record UserView(UserId Id, string UserName, DateTimeOffset CreatedAt, bool LockedOut);

/// <summary>How a sign-in with name and password ended.</summary>
public enum SignInOutcome { SignedIn, Wrong, Locked }

/// <param name="Stamp">Changes with the password: a cookie that carries an older one is no longer good. Null unless signed in.</param>
public sealed record SignInResult(SignInOutcome Outcome, UserId? UserId = null, string? UserName = null, string? Stamp = null);
