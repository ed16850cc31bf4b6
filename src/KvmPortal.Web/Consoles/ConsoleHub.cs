using System.Runtime.CompilerServices;
using KvmPortal.Engine;
using KvmPortal.Engine.Consoles;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Hosting;
using Microsoft.AspNetCore.SignalR;

namespace KvmPortal.Web.Consoles;

/// <summary>A run of serial output; `bytes` is base64 in JSON.</summary>
public sealed record SerialPiece(long Offset, byte[] Bytes);

/// <summary>Serial consoles: one ticket opens one connection's console; reading again after a break needs a new ticket and goes on by offset.</summary>
public sealed class ConsoleHub(ConsoleOperations consoles, PortalSettings settings, Goodbye goodbye) : Hub
{
    private const string Grant = "grant";

    /// <inheritdoc/>
    public override Task OnConnectedAsync()
    {
        if (Context.GetHttpContext() is { } http && !ConsoleEndpoints.OriginAllowed(http.Request, settings.Consoles))
            Context.Abort();
        return Task.CompletedTask;
    }

    /// <summary>History from an offset, then live until the machine ends.</summary>
    public IAsyncEnumerable<SerialPiece> ReadSerial(string ticket, long from, CancellationToken ct)
    {
        var grant = consoles.Redeem(ticket, ConsoleKind.Serial) ?? throw new HubException("The console ticket is unknown, used or expired: ask for a new one.");
        Context.Items[Grant] = grant;
        return goodbye.UntilStopping(ReadAsync(grant, from, ct), ct);
    }

    /// <summary>Types bytes on the console that this connection reads.</summary>
    public async Task WriteSerial(byte[] bytes)
    {
        if (Context.Items[Grant] is not ConsoleGrant grant)
            throw new HubException("Open the console first.");
        try
        {
            await consoles.WriteSerialAsync(grant, bytes, Context.ConnectionAborted);
        }
        catch (Exception e) when (e is PortalException or HostException)
        {
            throw new HubException(e.Message);
        }
    }

    private async IAsyncEnumerable<SerialPiece> ReadAsync(ConsoleGrant grant, long from, [EnumeratorCancellation] CancellationToken ct)
    {
        await foreach (var chunk in consoles.ReadSerialAsync(grant, from, ct))
            yield return new SerialPiece(chunk.Offset, chunk.Bytes);
    }
}
