using KvmPortal.Engine.Consoles;

namespace KvmPortal.Web.Consoles;

/// <param name="Kind">vnc or serial.</param>
/// <param name="ViewOnly">Look, but type and click nothing.</param>
public sealed record ConsoleRequest(ConsoleKind Kind, bool ViewOnly = false);

/// <summary>A ticket for one connection.</summary>
/// <param name="Ticket">Single use; connect within 30 s.</param>
/// <param name="Url">vnc: open it as a WebSocket with <paramref name="Protocols"/>. serial: the SignalR hub; call ReadSerial(ticket, from) and WriteSerial(bytes).</param>
/// <param name="EmbedUrl">A page with only the console, for an iframe elsewhere; the ticket is in its fragment, which browsers do not send.</param>
public sealed record ConsoleAnswer(string Ticket, ConsoleKind Kind, bool ViewOnly, DateTimeOffset ExpiresAt, string Url, IReadOnlyList<string> Protocols, string EmbedUrl)
{
    internal static ConsoleAnswer Of(ConsoleTicket t, HttpRequest request)
    {
        var (kind, vnc) = (t.Kind == ConsoleKind.Vnc ? "vnc" : "serial", t.Kind == ConsoleKind.Vnc);
        var address = $"://{request.Host}";
        var embed = $"{request.Scheme}{address}/embed/console?kind={kind}&name={Uri.EscapeDataString(t.VmName)}{(t.ViewOnly ? "&viewOnly=true" : "")}#ticket={t.Ticket}";
        return vnc
            ? new(t.Ticket, t.Kind, t.ViewOnly, t.ExpiresAt, $"{(request.IsHttps ? "wss" : "ws")}{address}/consoles/vnc", ["binary", "ticket." + t.Ticket], embed)
            : new(t.Ticket, t.Kind, t.ViewOnly, t.ExpiresAt, $"{request.Scheme}{address}/hubs/console", [], embed);
    }
}
