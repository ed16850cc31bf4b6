namespace KvmPortal.Web.Hosting;

/// <summary>Headers on every answer: what a browser may load, who may frame it, and that content types are not guessed.</summary>
internal static class SecurityHeaders
{
    public static IApplicationBuilder UseSecurityHeaders(this IApplicationBuilder app, ConsoleSettings consoles)
    {
        // MudBlazor sets inline styles; scripts come from this origin only.
        const string policy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors ";
        var embedders = consoles.EmbedOrigins.Count == 0 ? "'self'" : $"'self' {string.Join(' ', consoles.EmbedOrigins)}";
        return app.Use((context, next) =>
        {
            var headers = context.Response.Headers;
            var embed = context.Request.Path.StartsWithSegments("/embed");
            headers.ContentSecurityPolicy = policy + (embed ? embedders : "'none'");
            if (!embed)
                headers.XFrameOptions = "DENY";
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "same-origin";
            headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()";
            headers["Cross-Origin-Opener-Policy"] = "same-origin";
            if (context.Request.Path.StartsWithSegments("/api"))
                headers.CacheControl = "no-store";
            return next(context);
        });
    }
}
