using KvmPortal.Engine;
using KvmPortal.Engine.Consoles;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Consoles;

public sealed record ConsoleRequest(ConsoleKind Kind, bool ViewOnly = false);

/// <param name="Ticket">Single use, 30 s to connect.</param>
/// <param name="Address">vnc: a binary WebSocket that takes `ticket.TICKET` beside `binary` as sub-protocols; serial: a SignalR hub with ReadSerial(ticket, from).</param>
/// <param name="EmbedUrl">A page with only the console, for an iframe of another site that the operator has allowed.</param>
public sealed record ConsoleResponse(string Ticket, ConsoleKind Kind, bool ViewOnly, DateTimeOffset ExpiresAt, string Address, string EmbedUrl);

/// <summary>Consoles by REST: tickets, the serial history, the screen.</summary>
internal static class ConsolesApi
{
    private const int MostTyped = 64 * 1024;

    public static void MapConsolesApi(this IEndpointRouteBuilder api)
    {
        api.MapPost("/vms/{id}/consoles", IssueAsync).WithName("openConsole").Accepts<ConsoleRequest>("application/json").Produces<ConsoleResponse>(201);
        api.MapGet("/vms/{id}/serial", ReadSerialAsync).WithName("readSerial").Produces<byte[]>(200, "application/octet-stream");
        api.MapPost("/vms/{id}/serial", WriteSerialAsync).WithName("writeSerial").Accepts<byte[]>("application/octet-stream", "*/*").Produces(204);
        api.MapGet("/vms/{id}/screenshot", ScreenshotAsync).WithName("getScreenshot").Produces<byte[]>(200, "image/png");
    }

    /// <summary>Issues a single-use ticket for a console.</summary>
    private static async Task<IResult> IssueAsync(HttpContext context, VmOperations vms, ConsoleOperations consoles, string id, CancellationToken ct)
    {
        var request = await JsonBody.ReadAsync<ConsoleRequest>(context.Request, ct);
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var ticket = await consoles.IssueAsync(context.Caller(), vm, request.Kind, request.ViewOnly, ct);
        return Results.Json(Answer(context.Request, ticket), Engine.Data.PortalJson.Options, statusCode: 201);
    }

    /// <summary>The ticket with its addresses, absolute as the caller sees this portal.</summary>
    public static ConsoleResponse Answer(HttpRequest request, ConsoleTicket ticket)
    {
        var origin = $"{request.Scheme}://{request.Host}";
        var kind = Engine.Data.PortalJson.Text(ticket.Kind);
        var address = ticket.Kind == ConsoleKind.Vnc ? $"{(request.IsHttps ? "wss" : "ws")}://{request.Host}/consoles/vnc" : $"{origin}/hubs/console";
        var embed = $"{origin}/embed/console#kind={kind}&ticket={ticket.Ticket}&name={Uri.EscapeDataString(ticket.VmName)}&viewOnly={(ticket.ViewOnly ? "true" : "false")}";
        return new ConsoleResponse(ticket.Ticket, ticket.Kind, ticket.ViewOnly, ticket.ExpiresAt, address, embed);
    }

    /// <summary>Serial output from byte `from`, waiting up to `wait` seconds for the first; `X-Next-Offset` says where to go on, `X-Offset` where this begins.</summary>
    private static async Task<IResult> ReadSerialAsync(HttpContext context, VmOperations vms, ConsoleOperations consoles, string id, CancellationToken ct)
    {
        var caller = context.Caller();
        var vm = await vms.ResolveAsync(caller, id, ct);
        var wait = TimeSpan.FromSeconds(context.Request.Seconds("wait", 0, 60));
        var chunk = await consoles.ReadSerialOnceAsync(caller, vm, context.Request.Offset("from"), wait, ct);
        context.Response.Headers["X-Offset"] = chunk.Offset.ToString(System.Globalization.CultureInfo.InvariantCulture);
        context.Response.Headers["X-Next-Offset"] = chunk.NextOffset.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Results.Bytes(chunk.Bytes, "application/octet-stream");
    }

    /// <summary>Types the body's bytes on the serial console.</summary>
    private static async Task<IResult> WriteSerialAsync(HttpContext context, VmOperations vms, ConsoleOperations consoles, string id, CancellationToken ct)
    {
        var caller = context.Caller();
        var vm = await vms.ResolveAsync(caller, id, ct);
        var buffer = new byte[MostTyped + 1];
        var length = await context.Request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, ct);
        if (length > MostTyped)
            throw new PortalException(ErrorCode.TooLarge, "At most 64 KiB can be typed at once.");
        await consoles.WriteSerialAsync(caller, vm, buffer.AsMemory(0, length), ct);
        return Results.NoContent();
    }

    /// <summary>The screen now, as PNG.</summary>
    private static async Task<IResult> ScreenshotAsync(HttpContext context, VmOperations vms, ConsoleOperations consoles, string id, CancellationToken ct) =>
        Results.Bytes(await consoles.ScreenshotAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct), "image/png");
}
