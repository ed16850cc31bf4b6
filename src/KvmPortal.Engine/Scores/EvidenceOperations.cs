using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Scores;

/// <summary>Measures running machines, on demand only: two looks and the time between.</summary>
public sealed class EvidenceOperations
{
    private const int AtOnce = 4;
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);
    private readonly SemaphoreSlim looking = new(AtOnce, AtOnce);
    private readonly VmTracker tracker;
    private readonly IMachineHost host;
    private readonly TimeProvider time;

    internal EvidenceOperations(VmTracker tracker, IMachineHost host, TimeProvider time) => (this.tracker, this.host, this.time) = (tracker, host, time);

    /// <param name="window">1 to 30 s between the looks.</param>
    /// <exception cref="PortalException">Conflict: it does not run. TooMany: others measure already.</exception>
    public async Task<EvidenceReport> MeasureAsync(Caller caller, VmId id, TimeSpan window, CancellationToken ct)
    {
        if (window < TimeSpan.FromSeconds(1) || window > Longest)
            throw PortalException.Invalid([new Problem("/window", "out-of-range", Say.AmountFromTo(1, (int)Longest.TotalSeconds, Say.UnitSeconds))]);
        if (!await tracker.HasProcessAsync(id, ct))
            throw new PortalException(ErrorCode.Conflict, Say.EvidenceNotRunning);
        if (!await looking.WaitAsync(Longest, ct))
            throw new PortalException(ErrorCode.TooMany, Say.EvidenceBusy);
        try
        {
            var first = await host.MeasureAsync(id.Value, ct);
            await Task.Delay(window, time, ct);
            return EvidenceReport.Between(first, await host.MeasureAsync(id.Value, ct));
        }
        catch (HostException e) when (e.Error == HostError.NotRunning)
        {
            throw new PortalException(ErrorCode.Conflict, Say.EvidenceNotRunning, e);
        }
        finally
        {
            looking.Release();
        }
    }
}
