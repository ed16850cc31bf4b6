using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Hosting;
using Microsoft.AspNetCore.Antiforgery;

namespace KvmPortal.Web.Access;

public sealed record SetupRequest(string Token, string UserName, string Password);

/// <param name="ExpiresInDays">1 to 366.</param>
public sealed record TokenRequest(string Name, int ExpiresInDays = 90);

/// <param name="Token">The token's text: shown this once.</param>
public sealed record IssuedTokenResponse(TokenId Id, string Name, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, string Token);

/// <param name="Door">browser (cookie) or token (bearer).</param>
/// <param name="AntiforgeryToken">For the header RequestVerificationToken of requests that change something by cookie, together with the cookie that this answer sets; null for bearer tokens, which need none.</param>
public sealed record MeResponse(UserId? UserId, string UserName, string Door, string? AntiforgeryToken);

public sealed record ItemList<T>(IReadOnlyList<T> Items, string? NextCursor = null);

/// <summary>Set-up, tokens, users.</summary>
internal static class AccessApi
{
    public static void MapAccessApi(this IEndpointRouteBuilder api)
    {
        api.MapPost("/setup", SetUpAsync).WithName("setUp").Accepts<SetupRequest>("application/json").Produces<SetupResult>(201).AllowAnonymous().RequireRateLimiting(PortalAccess.SignInLimit);
        api.MapGet("/me", Me).WithName("getMe");
        api.MapGet("/tokens", ListTokensAsync).WithName("listTokens");
        api.MapPost("/tokens", IssueTokenAsync).WithName("issueToken").Accepts<TokenRequest>("application/json").Produces<IssuedTokenResponse>(201);
        api.MapDelete("/tokens/{id}", RevokeTokenAsync).WithName("revokeToken").Produces(204);
        api.MapGet("/users", ListUsersAsync).WithName("listUsers");
    }

    /// <summary>Makes the first administrator, once, with the bootstrap token that the portal printed.</summary>
    private static async Task<IResult> SetUpAsync(HttpContext context, AccessOperations access, CancellationToken ct)
    {
        var request = await JsonBody.ReadAsync<SetupRequest>(context.Request, ct);
        var made = await access.SetupAsync(request.Token, request.UserName, request.Password, ct);
        return Results.Json(made, PortalJson.Options, statusCode: 201);
    }

    /// <summary>Who the caller is; for cookie sign-ins with the anti-forgery token that their changes need.</summary>
    private static MeResponse Me(HttpContext context, IAntiforgery antiforgery)
    {
        var caller = context.Caller();
        return new MeResponse(caller.UserId, caller.Name, PortalJson.Text(caller.Door), caller.Door == Door.Browser ? antiforgery.GetAndStoreTokens(context).RequestToken : null);
    }

    /// <summary>The caller's tokens, newest first; never their text.</summary>
    private static async Task<ItemList<TokenView>> ListTokensAsync(HttpContext context, AccessOperations access, CancellationToken ct) => new(await access.ListTokensAsync(context.Caller(), ct));

    /// <summary>Issues a personal access token.</summary>
    private static async Task<IResult> IssueTokenAsync(HttpContext context, AccessOperations access, CancellationToken ct)
    {
        var request = await JsonBody.ReadAsync<TokenRequest>(context.Request, ct);
        var issued = await access.IssueTokenAsync(context.Caller(), request.Name, TimeSpan.FromDays(Math.Clamp(request.ExpiresInDays, 0, 1000)), ct);
        return Results.Json(new IssuedTokenResponse(issued.Token.Id, issued.Token.Name, issued.Token.CreatedAt, issued.Token.ExpiresAt, issued.Text), PortalJson.Options, statusCode: 201);
    }

    /// <summary>Revokes a token of the caller at once.</summary>
    private static async Task<IResult> RevokeTokenAsync(HttpContext context, AccessOperations access, string id, CancellationToken ct)
    {
        await access.RevokeTokenAsync(context.Caller(), TokenId.TryParse(id, null, out var token) ? token : throw PortalException.NotFound("token", id), ct);
        return Results.NoContent();
    }

    /// <summary>All accounts.</summary>
    private static async Task<ItemList<UserView>> ListUsersAsync(HttpContext context, AccessOperations access, CancellationToken ct) => new(await access.ListUsersAsync(context.Caller(), ct));
}
