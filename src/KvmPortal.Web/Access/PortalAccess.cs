using System.Threading.RateLimiting;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Identity;

namespace KvmPortal.Web.Access;

/// <summary>Who gets in: cookie for browsers, token for programs, nobody else; and what a cookie alone must not do.</summary>
public static class PortalAccess
{
    /// <summary>Attempts to sign in or set up that one address may make in a minute.</summary>
    public const string SignInLimit = "sign-in";

    public static IServiceCollection AddPortalAccess(this IServiceCollection services)
    {
        services.AddIdentityCore<PortalUser>(identity =>
        {
            identity.Password = new PasswordOptions { RequiredLength = 12, RequiredUniqueChars = 5, RequireDigit = false, RequireLowercase = false, RequireUppercase = false, RequireNonAlphanumeric = false };
            identity.Lockout = new LockoutOptions { MaxFailedAccessAttempts = 5, DefaultLockoutTimeSpan = TimeSpan.FromMinutes(15), AllowedForNewUsers = true };
            identity.User.AllowedUserNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._@";
        }).AddEntityFrameworkStores<PortalDb>().AddSignInManager();
        // A changed password ends the other sessions within this time.
        services.Configure<SecurityStampValidatorOptions>(stamp => stamp.ValidationInterval = TimeSpan.FromMinutes(1));
        services.AddAuthentication("Door")
            .AddPolicyScheme("Door", null, scheme => scheme.ForwardDefaultSelector = context =>
                context.Request.Headers.Authorization.Count > 0 ? BearerHandler.Scheme : IdentityConstants.ApplicationScheme)
            .AddScheme<AuthenticationSchemeOptions, BearerHandler>(BearerHandler.Scheme, null)
            .AddCookie(IdentityConstants.ApplicationScheme, Cookie);
        services.AddAuthorizationBuilder().SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build());
        services.AddAntiforgery(antiforgery => antiforgery.HeaderName = "RequestVerificationToken");
        services.AddRateLimiter(limiter =>
        {
            limiter.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
            limiter.OnRejected = (context, _) =>
            {
                // A form's answer is a page that says it in words; a program gets the problem.
                if (context.HttpContext.Request.Path.StartsWithSegments("/account", out var form))
                    context.HttpContext.Response.Redirect(form.StartsWithSegments("/setup") ? "/setup?error=limited" : "/sign-in?error=limited");
                return ValueTask.CompletedTask;
            };
            limiter.AddPolicy(SignInLimit, context => RateLimitPartition.GetFixedWindowLimiter(context.Connection.RemoteIpAddress?.ToString() ?? "",
                _ => new FixedWindowRateLimiterOptions { PermitLimit = 30, Window = TimeSpan.FromMinutes(1) }));
        });
        return services;
    }

    /// <summary>
    /// Requests that change something and come by cookie must carry the anti-forgery token and come from this origin: a foreign page has the cookie's effect,
    /// but not these. Upgrades (WebSocket, SignalR, circuit) must come from this origin too.
    /// </summary>
    public static IApplicationBuilder UseCookieDefence(this IApplicationBuilder app) => app.Use(async (context, next) =>
    {
        var byCookie = context.Request.Headers.Authorization.Count == 0;
        var changes = !(HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method) || HttpMethods.IsOptions(context.Request.Method));
        var path = context.Request.Path;
        var circuit = path.StartsWithSegments("/_blazor") || path.StartsWithSegments("/hubs/live");
        if (byCookie && (changes || circuit) && !SameOrigin(context.Request))
            throw new PortalException(ErrorCode.Forbidden, "The request comes from a page of another origin.");
        if (byCookie && changes && path.StartsWithSegments("/api") && context.User.Identity?.IsAuthenticated == true
            && !await context.RequestServices.GetRequiredService<IAntiforgery>().IsRequestValidAsync(context))
            throw new PortalException(ErrorCode.Forbidden, "The anti-forgery token is missing or not right.") { Hint = "Programs use a personal access token: Authorization: Bearer …" };
        await next(context);
    });

    /// <summary>True when there is no Origin (not a browser) or it is ours.</summary>
    public static bool SameOrigin(HttpRequest request) =>
        request.Headers.Origin.ToString() is { Length: 0 } || string.Equals(request.Headers.Origin, $"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase);

    private static void Cookie(CookieAuthenticationOptions cookie)
    {
        cookie.Cookie.Name = "kvmportal";
        cookie.Cookie.HttpOnly = true;
        cookie.Cookie.SameSite = SameSiteMode.Strict;
        cookie.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        cookie.ExpireTimeSpan = TimeSpan.FromHours(12);
        cookie.LoginPath = "/sign-in";
        cookie.ReturnUrlParameter = "returnUrl";
        cookie.Events.OnValidatePrincipal = SecurityStampValidator.ValidatePrincipalAsync;
        cookie.Events.OnRedirectToLogin = context => Redirect(context, StatusCodes.Status401Unauthorized);
        cookie.Events.OnRedirectToAccessDenied = context => Redirect(context, StatusCodes.Status403Forbidden);
    }

    /// <summary>Pages go to the sign-in page; everything else gets a status.</summary>
    private static Task Redirect(RedirectContext<CookieAuthenticationOptions> context, int status)
    {
        var path = context.Request.Path;
        if (path.StartsWithSegments("/api") || path.StartsWithSegments("/hubs") || path.StartsWithSegments("/consoles") || path.StartsWithSegments("/metrics") || path.StartsWithSegments("/openapi"))
            context.Response.StatusCode = status;
        else
            context.Response.Redirect(context.RedirectUri);
        return Task.CompletedTask;
    }
}
