using System.Security.Claims;
using System.Text.Encodings.Web;
using KvmPortal.Engine.Access;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace KvmPortal.Web.Access;

/// <summary>`Authorization: Bearer` with a personal access token.</summary>
internal sealed class BearerHandler(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, AccessOperations access)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public new const string Scheme = "Bearer";

    /// <inheritdoc/>
    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var header = Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return AuthenticateResult.NoResult();
        if (await access.AuthenticateAsync(header["Bearer ".Length..].Trim(), Context.TraceIdentifier, Context.RequestAborted) is not { } caller)
            return AuthenticateResult.Fail("The token is unknown or expired.");
        var identity = new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, caller.UserId!.Value.ToString()), new Claim(ClaimTypes.Name, caller.Name)], Scheme);
        return AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(identity), Scheme));
    }

    /// <inheritdoc/>
    protected override Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.Headers.WWWAuthenticate = "Bearer";
        Response.StatusCode = StatusCodes.Status401Unauthorized;
        return Task.CompletedTask;
    }
}
