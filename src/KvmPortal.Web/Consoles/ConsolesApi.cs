using KvmPortal.Engine;
using KvmPortal.Engine.Consoles;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Events;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Consoles;

/// <summary>Consoles of a VM by REST, and where consoles connect.</summary>
internal static class ConsolesApi
{
    private const int MostTyped = 64 * 1024;
    private const string TicketPrefix = "ticket.";

    public static void MapVmConsoles(this IEndpointRouteBuilder routes)
    {
        var vms = routes.MapApi("vms");
        vms.MapPost("/{id}/consoles", OpenAsync).WithName("openConsole").Produces<ConsoleAnswer>(201);
        vms.MapGet("/{id}/serial", ReadAsync).WithName("readSerial").Produces(200, contentType: "application/octet-stream");
        vms.MapPost("/{id}/serial", TypeAsync).WithName("writeSerial").Accepts<Stream>("application/octet-stream").Produces(204);
        vms.MapGet("/{id}/screenshot", ScreenshotAsync).WithName("getScreenshot").Produces(200, contentType: "image/png");
    }

    /// <summary>The hubs, and the WebSocket of graphical consoles. Consoles are admitted by their ticket, not by an account.</summary>
    public static void MapConsoles(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/consoles/vnc", ConnectAsync).AllowAnonymous().ExcludeFromDescription();
        routes.MapHub<ConsoleHub>("/hubs/console").AllowAnonymous();
        routes.MapHub<LiveHub>("/hubs/live").RequireAuthorization();
    }

    /// <summary>Issues a ticket for one connection to a console, and says where to connect.</summary>
    private static async Task<IResult> OpenAsync(HttpContext http, string id, ConsoleRequest body, VmOperations vms, ConsoleOperations consoles, CancellationToken ct)
    {
        var ticket = await consoles.IssueAsync(http.Caller(), await vms.ResolveAsync(http.Caller(), id, ct), body.Kind, body.ViewOnly, ct);
        return Results.Json(ConsoleAnswer.Of(ticket, http.Request), statusCode: 201);
    }

    /// <summary>Bytes of the serial console since the machine's start; X-Offset says where they begin, X-Next-Offset where to go on.</summary>
    /// <param name="from">Absolute offset, default 0.</param>
    /// <param name="wait">Seconds (at most 60) to wait for the first byte.</param>
    private static async Task<IResult> ReadAsync(HttpContext http, string id, long? from, int? wait, VmOperations vms, ConsoleOperations consoles, CancellationToken ct)
    {
        var patience = ApiRoutes.Seconds("wait", wait, 60);
        var chunk = await consoles.ReadSerialOnceAsync(http.Caller(), await vms.ResolveAsync(http.Caller(), id, ct), from ?? 0, patience, ct);
        http.Response.Headers["X-Offset"] = chunk.Offset.ToString(System.Globalization.CultureInfo.InvariantCulture);
        http.Response.Headers["X-Next-Offset"] = chunk.NextOffset.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Results.Bytes(chunk.Bytes, "application/octet-stream");
    }

    /// <summary>Types the body's bytes (at most 64 KiB) on the serial console.</summary>
    private static async Task<IResult> TypeAsync(HttpContext http, string id, VmOperations vms, ConsoleOperations consoles, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(http.Caller(), id, ct);
        using var typed = new MemoryStream();
        var buffer = new byte[8192];
        int read;
        while ((read = await http.Request.Body.ReadAsync(buffer, ct)) > 0)
        {
            typed.Write(buffer, 0, read);
            if (typed.Length > MostTyped)
                throw new PortalException(ErrorCode.TooLarge, "At most 64 KiB can be typed at once.");
        }

        await consoles.WriteSerialAsync(http.Caller(), vm, typed.ToArray(), ct);
        return Results.NoContent();
    }

    /// <summary>What the display shows now, as PNG.</summary>
    private static async Task<IResult> ScreenshotAsync(HttpContext http, string id, VmOperations vms, ConsoleOperations consoles, CancellationToken ct) =>
        Results.Bytes(await consoles.ScreenshotAsync(http.Caller(), await vms.ResolveAsync(http.Caller(), id, ct), ct), "image/png");

    private static async Task ConnectAsync(HttpContext http, ConsoleOperations consoles)
    {
        if (!http.WebSockets.IsWebSocketRequest)
            throw new PortalException(ErrorCode.Malformed, "This address takes WebSockets only.") { Hint = "POST /api/v1/vms/{id}/consoles says how to connect." };
        var offered = http.WebSockets.WebSocketRequestedProtocols;
        var ticket = offered.FirstOrDefault(p => p.StartsWith(TicketPrefix, StringComparison.Ordinal))?[TicketPrefix.Length..];
        var grant = (ticket is null ? null : consoles.Redeem(ticket, ConsoleKind.Vnc))
            ?? throw new PortalException(ErrorCode.Forbidden, "The ticket is missing, unknown, used, too old or for another console.") { Hint = "Send it as the WebSocket sub-protocol ticket.TICKET, beside binary." };
        using var stopping = http.UntilStopping();
        // Before the WebSocket is accepted, so that a display that is not there is an answer and no riddle.
        await using var display = await consoles.OpenVncAsync(grant, stopping.Token);
        using var socket = await http.WebSockets.AcceptWebSocketAsync(offered.Contains("binary") ? "binary" : null);
        await VncRelay.RunAsync(socket, display, grant.ViewOnly, stopping.Token);
    }
}
