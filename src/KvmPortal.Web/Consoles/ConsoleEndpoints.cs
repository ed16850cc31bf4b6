using KvmPortal.Engine;
using KvmPortal.Engine.Consoles;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Consoles;

/// <summary>Where consoles connect: the VNC WebSocket, the serial hub, and the page for other sites' iframes. A ticket admits, not a cookie, so that an iframe of another site works.</summary>
internal static class ConsoleEndpoints
{
    private const string TicketPrefix = "ticket.";

    public static void MapConsoles(this WebApplication app)
    {
        app.MapGet("/consoles/vnc", VncAsync).AllowAnonymous().ExcludeFromDescription();
        app.MapHub<ConsoleHub>("/hubs/console").AllowAnonymous();
        app.MapGet("/embed/console", (IWebHostEnvironment web) => Results.Stream(web.WebRootFileProvider.GetFileInfo("embed/console.html").CreateReadStream(), "text/html; charset=utf-8")).AllowAnonymous().ExcludeFromDescription();
    }

    /// <summary>Origins that may open a console connection: this one, and those that may embed.</summary>
    public static bool OriginAllowed(HttpRequest request, ConsoleSettings settings) =>
        PortalAccess.SameOrigin(request) || settings.EmbedOrigins.Any(o => string.Equals(o.TrimEnd('/'), request.Headers.Origin, StringComparison.OrdinalIgnoreCase));

    private static async Task VncAsync(HttpContext context, ConsoleOperations consoles, PortalSettings settings, Goodbye goodbye)
    {
        if (!context.WebSockets.IsWebSocketRequest)
            throw new PortalException(ErrorCode.Malformed, "This address is a WebSocket.");
        if (!OriginAllowed(context.Request, settings.Consoles))
            throw new PortalException(ErrorCode.Forbidden, "The request comes from a page of another origin.");
        var ticket = context.WebSockets.WebSocketRequestedProtocols.FirstOrDefault(p => p.StartsWith(TicketPrefix, StringComparison.Ordinal));
        if (ticket is null || consoles.Redeem(ticket[TicketPrefix.Length..], ConsoleKind.Vnc) is not { } grant)
            throw new PortalException(ErrorCode.NotSignedIn, "The console ticket is unknown, used or expired: ask for a new one.");
        await using var display = await consoles.OpenVncAsync(grant, context.RequestAborted);
        using var browser = await context.WebSockets.AcceptWebSocketAsync("binary");
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, goodbye.Token);
        await VncRelay.RunAsync(display, browser, grant.ViewOnly, ends.Token);
    }
}
