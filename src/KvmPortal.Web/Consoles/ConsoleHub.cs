using KvmPortal.Engine;
using KvmPortal.Engine.Consoles;
using KvmPortal.Host.Contract;
using Microsoft.AspNetCore.SignalR;

namespace KvmPortal.Web.Consoles;

/// <summary>/hubs/console: serial consoles. Admitted by a ticket alone, so that a page embedded elsewhere needs no cookie.</summary>
internal sealed class ConsoleHub(ConsoleOperations consoles) : Hub
{
    private const string Granted = "grant";

    /// <summary>Uses a serial ticket up; history from an absolute offset first, then live. A chunk is { offset, bytes (base64), nextOffset }.</summary>
    public IAsyncEnumerable<SerialChunk> ReadSerial(string ticket, long from, CancellationToken ct)
    {
        var grant = consoles.Redeem(ticket, ConsoleKind.Serial) ?? throw new PortalException(ErrorCode.Forbidden, "The ticket is unknown, used, too old or for another console.");
        Context.Items[Granted] = grant;
        return consoles.ReadSerialAsync(grant, from, ct);
    }

    /// <summary>Types on the console that this connection reads.</summary>
    public Task WriteSerial(byte[] bytes) => consoles.WriteSerialAsync(
        Context.Items[Granted] as ConsoleGrant ?? throw new PortalException(ErrorCode.Forbidden, "Open the console with ReadSerial first."), bytes, Context.ConnectionAborted);
}
