using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
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
    private const int MostTickets = 10_000;
    private const int MostBytesAtOnce = 1 << 20;
    private const int MostTyped = 64 * 1024;
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(30);
    private readonly ConcurrentDictionary<string, (ConsoleGrant Grant, long IssuedAt)> tickets = new();
    private readonly IMachineHost host;
    private readonly VmTracker tracker;
    private readonly VmReader reader;
    private readonly TimeProvider time;

    internal ConsoleOperations(IMachineHost host, VmTracker tracker, VmReader reader, TimeProvider time)
    {
        this.host = host;
        this.tracker = tracker;
        this.reader = reader;
        this.time = time;
    }

    /// <summary>Issues a ticket. Conflict when the VM does not run or has no such console.</summary>
    public async Task<ConsoleTicket> IssueAsync(Caller caller, VmId id, ConsoleKind kind, bool viewOnly, CancellationToken ct)
    {
        var vm = await RunningAsync(id, ct);
        var inputs = await reader.InputsAsync(id, ct);
        var consoles = (inputs.Vm.RunningDefinition ?? inputs.Definition).Consoles;
        if (kind == ConsoleKind.Vnc ? consoles.Graphics == GraphicsChoice.None : !consoles.Serial)
            throw new PortalException(ErrorCode.Conflict, Say.NoConsole(vm.Name, PortalJson.Text(kind))) { Hint = Say.NoConsoleHint };
        foreach (var (old, entry) in tickets)
            if (time.GetElapsedTime(entry.IssuedAt) >= Lifetime)
                tickets.TryRemove(old, out _);
        if (tickets.Count >= MostTickets)
            throw new PortalException(ErrorCode.TooMany, Say.TooManyTickets);
        var ticket = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        tickets[ticket] = (new ConsoleGrant(id, vm.Name, kind, viewOnly, caller), time.GetTimestamp());
        return new ConsoleTicket(ticket, id, vm.Name, kind, viewOnly, time.GetUtcNow() + Lifetime);
    }

    /// <summary>Uses a ticket up; null when it is unknown, used or too old, or for another kind.</summary>
    public ConsoleGrant? Redeem(string ticket, ConsoleKind kind) =>
        tickets.TryRemove(ticket, out var entry) && time.GetElapsedTime(entry.IssuedAt) < Lifetime && entry.Grant.Kind == kind ? entry.Grant : null;

    public Task<Stream> OpenVncAsync(ConsoleGrant grant, CancellationToken ct) => host.OpenVncAsync(grant.VmId.Value, ct);

    public IAsyncEnumerable<SerialChunk> ReadSerialAsync(ConsoleGrant grant, long from, CancellationToken ct) => host.ReadSerialAsync(grant.VmId.Value, Math.Max(0, from), ct);

    /// <summary>Types on the serial console; a view-only grant: Forbidden.</summary>
    public Task WriteSerialAsync(ConsoleGrant grant, ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        if (grant.ViewOnly)
            throw new PortalException(ErrorCode.Forbidden, Say.ViewOnly);
        return TypeAsync(grant.VmId, bytes, ct);
    }

    /// <summary>For REST: history from an offset, waiting up to <paramref name="wait"/> for the first byte; at most 1 MiB.</summary>
    public async Task<SerialChunk> ReadSerialOnceAsync(Caller caller, VmId id, long from, TimeSpan wait, CancellationToken ct)
    {
        if (await tracker.FindAsync(id, ct) is null)
            throw PortalException.NotFound("virtual machine", id.ToString());
        if (from < 0)
            throw PortalException.Invalid([new Problem("?from", "out-of-range", Say.OffsetRule)]);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        using var gathered = new MemoryStream();
        long? first = null;
        var patience = wait;
        try
        {
            await using var chunks = host.ReadSerialAsync(id.Value, from, limit.Token).GetAsyncEnumerator(limit.Token);
            while (gathered.Length < MostBytesAtOnce)
            {
                var next = chunks.MoveNextAsync().AsTask();
                // What is there already comes at once; after the first bytes only a moment is waited for more.
                if (!next.IsCompleted && await Task.WhenAny(next, Task.Delay(patience > TimeSpan.Zero ? patience : TimeSpan.FromMilliseconds(20), time, ct)) != next)
                {
                    await limit.CancelAsync();
                    await next.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
                    break;
                }

                if (!await next)
                    break;
                // A hole (history that is no longer kept) ends this answer: offsets must stay true.
                if (first is { } start && chunks.Current.Offset != start + gathered.Length)
                    break;
                first ??= chunks.Current.Offset;
                gathered.Write(chunks.Current.Bytes);
                patience = TimeSpan.Zero;
            }
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
        }

        ct.ThrowIfCancellationRequested();
        return new SerialChunk(first ?? from, gathered.ToArray());
    }

    public async Task WriteSerialAsync(Caller caller, VmId id, ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        await RunningAsync(id, ct);
        await TypeAsync(id, bytes, ct);
    }

    /// <summary>PNG bytes.</summary>
    public async Task<byte[]> ScreenshotAsync(Caller caller, VmId id, CancellationToken ct)
    {
        var vm = await RunningAsync(id, ct);
        var inputs = await reader.InputsAsync(id, ct);
        if ((inputs.Vm.RunningDefinition ?? inputs.Definition).Consoles.Graphics == GraphicsChoice.None)
            throw new PortalException(ErrorCode.Conflict, Say.NoDisplay(vm.Name));
        return await host.TakeScreenshotAsync(id.Value, ct);
    }

    private Task TypeAsync(VmId id, ReadOnlyMemory<byte> bytes, CancellationToken ct) =>
        bytes.Length > MostTyped ? throw new PortalException(ErrorCode.TooLarge, Say.TypedTooMuch) : host.WriteSerialAsync(id.Value, bytes, ct);

    private async Task<VmSummary> RunningAsync(VmId id, CancellationToken ct)
    {
        var vm = await tracker.FindAsync(id, ct) ?? throw PortalException.NotFound("virtual machine", id.ToString());
        return vm.Status.Pid is not null ? vm : throw new PortalException(ErrorCode.Conflict, Say.StartItFirst(vm.Name));
    }
}
