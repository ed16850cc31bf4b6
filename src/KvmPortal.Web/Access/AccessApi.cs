using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Hosting;
using Microsoft.AspNetCore.Antiforgery;

namespace KvmPortal.Web.Access;

/// <summary>/api/v1/setup, /me, /users and /tokens.</summary>
internal static class AccessApi
{
    public static void MapAccess(this IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/setup", SetupAsync).AllowAnonymous().RequireRateLimiting(SignInSetup.AccountLimit).WithTags("setup").WithName("setUp").Produces<SetupResult>(201);
        routes.MapApi("me").MapGet("", Me).WithName("getMe").Produces<MeAnswer>();
        routes.MapApi("users").MapGet("", UsersAsync).WithName("listUsers").Produces<ListPage<UserView>>();
        var tokens = routes.MapApi("tokens");
        tokens.MapGet("", TokensAsync).WithName("listTokens").Produces<ListPage<TokenView>>();
        tokens.MapPost("", IssueAsync).WithName("createToken").Produces<IssuedTokenAnswer>(201);
        tokens.MapDelete("/{id}", RevokeAsync).WithName("deleteToken").Produces(204);
    }

    /// <summary>Makes the first administrator, once, with the bootstrap token.</summary>
    private static async Task<IResult> SetupAsync(SetupRequest body, AccessOperations access, CancellationToken ct) =>
        Results.Json(await access.SetupAsync(body.Token, body.UserName, body.Password, ct), statusCode: 201);

    /// <summary>Who asks.</summary>
    private static IResult Me(HttpContext http, IAntiforgery antiforgery)
    {
        var caller = http.Caller();
        return Results.Ok(new MeAnswer(caller.UserId!.Value, caller.Name, caller.Door, caller.Door == Door.Browser ? antiforgery.GetAndStoreTokens(http).RequestToken : null));
    }

    /// <summary>All accounts.</summary>
    private static async Task<IResult> UsersAsync(HttpContext http, AccessOperations access, CancellationToken ct) => Results.Ok(new ListPage<UserView>(await access.ListUsersAsync(http.Caller(), ct), null));

    /// <summary>Your personal access tokens, without their text.</summary>
    private static async Task<IResult> TokensAsync(HttpContext http, AccessOperations access, CancellationToken ct) => Results.Ok(new ListPage<TokenView>(await access.ListTokensAsync(http.Caller(), ct), null));

    /// <summary>Issues a personal access token.</summary>
    private static async Task<IResult> IssueAsync(HttpContext http, NewToken body, AccessOperations access, CancellationToken ct)
    {
        if (body.ExpiresInDays is < 1 or > 366)
            throw PortalException.Invalid([new Problem("/expiresInDays", "out-of-range", "A token lives from 1 to 366 days.")]);
        var issued = await access.IssueTokenAsync(http.Caller(), body.Name, TimeSpan.FromDays(body.ExpiresInDays), ct);
        return Results.Created($"/api/v1/tokens/{issued.Token.Id}", IssuedTokenAnswer.Of(issued));
    }

    /// <summary>Revokes a token; it stops working at once.</summary>
    private static async Task<IResult> RevokeAsync(HttpContext http, string id, AccessOperations access, CancellationToken ct)
    {
        await access.RevokeTokenAsync(http.Caller(), TokenId.TryParse(id, null, out var token) ? token : throw PortalException.NotFound("token", id.Length > 64 ? id[..64] : id), ct);
        return Results.NoContent();
    }
}
