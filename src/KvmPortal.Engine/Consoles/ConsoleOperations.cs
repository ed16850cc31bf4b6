using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Consoles;

public enum ConsoleKind { Vnc, Serial }

/// <param name="Ticket">Unguessable, single use, 30 s to connect.</param>
public sealed record ConsoleTicket(string Ticket, VmId VmId, string VmName, ConsoleKind Kind, bool ViewOnly, DateTimeOffset ExpiresAt);

/// <summary>What a redeemed ticket allows.</summary>
public sealed record ConsoleGrant(VmId VmId, string VmName, ConsoleKind Kind, bool ViewOnly, Caller Caller);

/// <summary>Consoles: tickets, and the streams behind them.</summary>
public sealed class ConsoleOperations
{
    /// <summary>Issues a ticket. Conflict when the VM does not run or has no such console.</summary>
    public Task<ConsoleTicket> IssueAsync(Caller caller, VmId id, ConsoleKind kind, bool viewOnly, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Uses a ticket up; null when it is unknown, used or too old, or for another kind.</summary>
    public ConsoleGrant? Redeem(string ticket, ConsoleKind kind) => throw new NotImplementedException();
    public Task<Stream> OpenVncAsync(ConsoleGrant grant, CancellationToken ct) => throw new NotImplementedException();
    public IAsyncEnumerable<SerialChunk> ReadSerialAsync(ConsoleGrant grant, long from, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Types on the serial console; a view-only grant: Forbidden.</summary>
    public Task WriteSerialAsync(ConsoleGrant grant, ReadOnlyMemory<byte> bytes, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>For REST: history from an offset, waiting up to <paramref name="wait"/> for the first byte; at most 1 MiB.</summary>
    public Task<SerialChunk> ReadSerialOnceAsync(Caller caller, VmId id, long from, TimeSpan wait, CancellationToken ct) => throw new NotImplementedException();
    public Task WriteSerialAsync(Caller caller, VmId id, ReadOnlyMemory<byte> bytes, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>PNG bytes.</summary>
    public Task<byte[]> ScreenshotAsync(Caller caller, VmId id, CancellationToken ct) => throw new NotImplementedException();
}
