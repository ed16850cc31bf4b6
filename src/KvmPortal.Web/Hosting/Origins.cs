using KvmPortal.Engine;

namespace KvmPortal.Web.Hosting;

/// <summary>Which site's script made a request: browsers send Origin with every WebSocket and every request that changes something.</summary>
internal static class Origins
{
    /// <summary>Whether the request's <c>Origin</c> is there and is the address that it was sent to.</summary>
    public static bool IsSame(HttpRequest request) =>
        Uri.TryCreate(request.Headers.Origin.ToString(), UriKind.Absolute, out var origin) && origin.Scheme is "http" or "https"
        && HostString.FromUriComponent(origin).Equals(WithoutDefaultPort(request)) && (!request.IsHttps || origin.Scheme == "https");

    /// <summary>For consoles, which tickets admit: no Origin (a program), this portal, or one that the operator allowed.</summary>
    public static bool MayOpenConsole(HttpRequest request, PortalSettings settings) =>
        request.Headers.Origin.Count == 0 || IsSame(request) || settings.EmbedOrigins.Contains(request.Headers.Origin.ToString(), StringComparer.OrdinalIgnoreCase);

    /// <summary>A browser opens WebSockets to anywhere, with cookies: what speaks one asks where the page is from. Consoles ask themselves.</summary>
    public static void UseSocketGuard(this WebApplication app) => app.Use((http, next) =>
    {
        var path = http.Request.Path;
        var console = path.StartsWithSegments("/hubs/console") || path.StartsWithSegments("/consoles");
        if (console ? !MayOpenConsole(http.Request, http.RequestServices.GetRequiredService<PortalSettings>())
            : (path.StartsWithSegments("/hubs") || path.StartsWithSegments("/_blazor")) && http.Request.Headers.Origin.Count > 0 && !IsSame(http.Request))
            throw new PortalException(ErrorCode.Forbidden, "The page that asks is of another site.") { Hint = "Pages of other sites may open consoles when Consoles:EmbedOrigins names them." };
        return next(http);
    });

    private static HostString WithoutDefaultPort(HttpRequest request) =>
        request.Host.Port is 80 && !request.IsHttps || request.Host.Port is 443 ? new HostString(request.Host.Host) : request.Host;
}
