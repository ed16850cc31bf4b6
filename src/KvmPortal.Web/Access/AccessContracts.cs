using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;

namespace KvmPortal.Web.Access;

/// <param name="Token">The bootstrap token that the portal printed.</param>
/// <param name="UserName">1 to 64 letters, digits, dots, hyphens, underscores and @.</param>
/// <param name="Password">At least 12 characters, 5 of them different.</param>
public sealed record SetupRequest(string Token, string UserName, string Password);

/// <param name="Name">1 to 64 characters.</param>
/// <param name="ExpiresInDays">1 to 366; default 90.</param>
public sealed record NewToken(string Name, int ExpiresInDays = 90);

/// <summary>A token just issued.</summary>
/// <param name="ApiToken">Send it as Authorization: Bearer. Shown only now.</param>
public sealed record IssuedTokenAnswer(TokenId Id, string Name, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, string ApiToken)
{
    internal static IssuedTokenAnswer Of(IssuedToken t) => new(t.Token.Id, t.Token.Name, t.Token.CreatedAt, t.Token.ExpiresAt, t.Text);
}

/// <summary>Who asks.</summary>
/// <param name="Door">browser or token.</param>
/// <param name="AntiforgeryToken">For callers with a cookie: send it as RequestVerificationToken with everything that changes something.</param>
public sealed record MeAnswer(UserId UserId, string UserName, Door Door, string? AntiforgeryToken);
