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
            // As late as possible: an answer to a failure begins with the headers cleared. The path is read now, because a page for a status changes it.
            var (embed, api) = (context.Request.Path.StartsWithSegments("/embed"), context.Request.Path.StartsWithSegments("/api"));
            context.Response.OnStarting(() =>
            {
                Set(context.Response.Headers, embed, api);
                return Task.CompletedTask;
            });
            return next(context);
        });

        void Set(IHeaderDictionary headers, bool embed, bool api)
        {
            headers.ContentSecurityPolicy = policy + (embed ? embedders : "'none'");
            if (!embed)
                headers.XFrameOptions = "DENY";
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "no-referrer";
            headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()";
            headers["Cross-Origin-Opener-Policy"] = "same-origin";
            if (api)
                headers.CacheControl = "no-store";
        }
    }
}
