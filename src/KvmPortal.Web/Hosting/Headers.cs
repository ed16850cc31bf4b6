namespace KvmPortal.Web.Hosting;

/// <summary>Headers that keep a browser on the safe side.</summary>
internal static class Headers
{
    // Inline styles are how MudBlazor positions things; scripts are files of ours only.
    private const string Policy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
        + "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors ";

    /// <summary>On every answer, also of static files and failures.</summary>
    public static void UseSecureHeaders(this WebApplication app) => app.Use((http, next) =>
    {
        // At the very end, because the page renderer writes a policy of its own.
        http.Response.OnStarting(() =>
        {
            Secure(http);
            return Task.CompletedTask;
        });
        return next(http);
    });

    public static void Secure(HttpContext http)
    {
        var headers = http.Response.Headers;
        var embed = http.Request.Path.StartsWithSegments("/embed");
        var ancestors = embed ? string.Join(' ', http.RequestServices.GetRequiredService<PortalSettings>().EmbedOrigins.Prepend("'self'")) : "'none'";
        headers.ContentSecurityPolicy = Policy + ancestors;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=()";
        if (!embed)
            headers.XFrameOptions = "DENY";
        if (http.Request.Path.StartsWithSegments("/api") && headers.CacheControl.Count == 0)
            headers.CacheControl = "no-store";
    }
}
