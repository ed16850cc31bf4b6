namespace KvmPortal.Web.Hosting;

/// <summary>Headers on every answer: what a browser may load, who may frame it, and that content types are not guessed.</summary>
internal static class SecurityHeaders
{
    public static IApplicationBuilder UseSecurityHeaders(this IApplicationBuilder app, ConsoleSettings consoles)
    {
        // MudBlazor sets inline styles; scripts come from this origin only.
        const string policy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors ";
        var embedders = consoles.EmbedOrigins.Count == 0 ? "'self'" : $"'self' {string.Join(' ', consoles.EmbedOrigins)}";
        // At the very end: whoever answers with a problem clears the headers first, and the page renderer writes a policy of its own.
        return app.Use((context, next) =>
        {
            context.Response.OnStarting(() =>
            {
                Write(context, policy + (context.Request.Path.StartsWithSegments("/embed") ? embedders : "'none'"));
                return Task.CompletedTask;
            });
            return next(context);
        });
    }

    private static void Write(HttpContext context, string policy)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = policy;
        if (!context.Request.Path.StartsWithSegments("/embed"))
            headers.XFrameOptions = "DENY";
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "same-origin";
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        if (context.Request.Path.StartsWithSegments("/api"))
            headers.CacheControl = "no-store";
    }
}
