using System.Security.Claims;
using System.Text.Encodings.Web;
using System.Threading.RateLimiting;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Hosting;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.Options;

namespace KvmPortal.Web.Access;

/// <summary>
/// Who asks: a browser by its cookie, a program by its token; a request with an Authorization header never falls back to the cookie. Everything that does
/// not say otherwise needs one of them (endpoint-permissions.txt lists all).
/// </summary>
internal static class SignInSetup
{
    /// <summary>Name of the rate limit of set-up and sign-in.</summary>
    public const string AccountLimit = "account";
    public const string CookieScheme = "cookie";
    public const string TokenScheme = "token";
    private const string StampClaim = "kvmportal:stamp";
    private const int TriesPerMinute = 20;

    public static void AddSignIn(this IServiceCollection services)
    {
        services.AddAuthentication("portal")
            .AddPolicyScheme("portal", null, o => o.ForwardDefaultSelector = http => http.Request.Headers.Authorization.Count > 0 ? TokenScheme : CookieScheme)
            .AddScheme<AuthenticationSchemeOptions, TokenSignIn>(TokenScheme, null)
            .AddCookie(CookieScheme, Cookie);
        services.AddAuthorizationBuilder().SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build());
        services.AddAntiforgery(o =>
        {
            o.HeaderName = "RequestVerificationToken";
            (o.Cookie.Name, o.Cookie.SameSite, o.Cookie.SecurePolicy) = ("kvmportal.form", SameSiteMode.Strict, CookieSecurePolicy.SameAsRequest);
            o.SuppressXFrameOptionsHeader = true;
        });
        services.AddRateLimiter(o =>
        {
            o.AddPolicy(AccountLimit, http => RateLimitPartition.GetFixedWindowLimiter(http.Connection.RemoteIpAddress?.ToString() ?? "", _ => new FixedWindowRateLimiterOptions { PermitLimit = TriesPerMinute, Window = TimeSpan.FromMinutes(1) }));
            o.OnRejected = async (rejected, _) =>
            {
                var http = rejected.HttpContext;
                http.Response.Headers.RetryAfter = "60";
                if (http.IsProgram())
                    await Faults.WriteAsync(http, 429, Faults.OfStatus(429));
                else
                    http.Response.Redirect(http.Request.Path == "/account/setup" ? "/setup?error=limited" : "/sign-in?error=limited");
            };
        });
    }

    /// <summary>The claims that a browser's cookie carries.</summary>
    public static ClaimsPrincipal Principal(SignInResult signedIn) => new(new ClaimsIdentity(
        [new(ClaimTypes.NameIdentifier, signedIn.UserId!.Value.ToString()), new(ClaimTypes.Name, signedIn.UserName!), new(StampClaim, signedIn.Stamp!)], CookieScheme));

    /// <summary>The caller of a request. Throws NotSignedIn.</summary>
    public static Caller Caller(this HttpContext http) => http.User.Identity is { IsAuthenticated: true } identity && UserId.TryParse(http.User.FindFirstValue(ClaimTypes.NameIdentifier), null, out var id)
        ? new Caller(id, identity.Name ?? "", identity.AuthenticationType == TokenScheme ? Door.Token : Door.Browser, http.RequestId())
        : throw new PortalException(ErrorCode.NotSignedIn, "Sign in first.");

    /// <summary>
    /// What a browser is made to do by another site must not work: state-changing API requests by cookie need the anti-forgery header and an
    /// <c>Origin</c> that is this portal's.
    /// </summary>
    public static void UseBrowserGuard(this WebApplication app) => app.Use(async (http, next) =>
    {
        var changes = !HttpMethods.IsGet(http.Request.Method) && !HttpMethods.IsHead(http.Request.Method) && !HttpMethods.IsOptions(http.Request.Method);
        if (changes && http.Request.Path.StartsWithSegments("/api") && http.User.Identity is { IsAuthenticated: true, AuthenticationType: CookieScheme })
        {
            if (!Origins.IsSame(http.Request))
                throw new PortalException(ErrorCode.Forbidden, "The request does not come from a page of this portal: its Origin is another, or missing.");
            if (!await http.RequestServices.GetRequiredService<IAntiforgery>().IsRequestValidAsync(http) || http.Request.Headers["RequestVerificationToken"].Count == 0)
                throw new PortalException(ErrorCode.Forbidden, "The anti-forgery header is missing or old.") { Hint = "Take antiforgeryToken of GET /api/v1/me and send it as RequestVerificationToken; or use a token instead of the cookie." };
        }

        await next(http);
    });

    private static void Cookie(CookieAuthenticationOptions o)
    {
        (o.Cookie.Name, o.Cookie.HttpOnly, o.Cookie.SameSite, o.Cookie.SecurePolicy) = ("kvmportal.sign-in", true, SameSiteMode.Lax, CookieSecurePolicy.SameAsRequest);
        (o.ExpireTimeSpan, o.SlidingExpiration, o.LoginPath, o.ReturnUrlParameter) = (TimeSpan.FromDays(14), true, "/sign-in", "returnUrl");
        o.Events.OnRedirectToLogin = context =>
        {
            if (context.HttpContext.IsProgram())
                return Faults.WriteAsync(context.HttpContext, 401, Faults.OfStatus(401));
            context.Response.Redirect(context.RedirectUri);
            return Task.CompletedTask;
        };
        o.Events.OnRedirectToAccessDenied = context => Faults.WriteAsync(context.HttpContext, 403, Faults.OfStatus(403));
        o.Events.OnValidatePrincipal = async context =>
        {
            var user = context.Principal!;
            var access = context.HttpContext.RequestServices.GetRequiredService<AccessOperations>();
            if (UserId.TryParse(user.FindFirstValue(ClaimTypes.NameIdentifier), null, out var id) && user.FindFirstValue(StampClaim) is { } stamp && await access.IsCurrentAsync(id, stamp, context.HttpContext.RequestAborted))
                return;
            context.RejectPrincipal();
            await context.HttpContext.SignOutAsync(CookieScheme);
        };
    }
}

/// <summary>Signs programs in by their personal access token.</summary>
internal sealed class TokenSignIn(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, AccessOperations access)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var header = Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return AuthenticateResult.NoResult();
        if (await access.AuthenticateAsync(header[7..].Trim(), Context.RequestId(), Context.RequestAborted) is not { } caller)
            return AuthenticateResult.Fail("unknown");
        var identity = new ClaimsIdentity([new(ClaimTypes.NameIdentifier, caller.UserId!.Value.ToString()), new(ClaimTypes.Name, caller.Name)], SignInSetup.TokenScheme);
        return AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(identity), SignInSetup.TokenScheme));
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.Headers.WWWAuthenticate = "Bearer";
        return Faults.WriteAsync(Context, 401, Faults.OfStatus(401) with { Detail = "The token is unknown, expired or revoked." });
    }
}
