using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Placements;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Placements;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Hosts;

/// <summary>One host: its facts, and the job that proves KVM again.</summary>
public sealed class HostModel(HostOperations hosts, HostReadiness readiness, JobOperations jobs, MetricsQueries metrics, PlacementOperations placements)
{
    public HostView? Host { get; private set; }
    public ProblemInfo? Problem { get; private set; }
    public JobView? Proof { get; private set; }
    public ReadinessReport? Report { get; private set; }
    public HostInventory? Inventory { get; private set; }
    public LedgerView? Ledger { get; private set; }
    /// <summary>The ledger by CPU.</summary>
    public CpuUses? Uses { get; private set; }

    /// <summary>Busy share of each CPU in the last second, 0..1.</summary>
    public IReadOnlyList<float> CpuBusy => metrics.HostCpus;

    public bool Proving => Proof is { State: JobState.Queued or JobState.Running };

    public async Task ReadAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            Host = await hosts.GetAsync(caller, ct);
            Problem = null;
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    /// <summary>Looks the host over (again).</summary>
    public async Task ExamineAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            (Inventory, Report) = await readiness.LookAsync(caller, ct);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    /// <summary>Reads who holds what (again).</summary>
    public async Task LookAtLedgerAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            var now = await placements.LedgerAsync(caller, ct);
            (Ledger, Uses) = (now, new CpuUses(now));
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    /// <summary>Proves KVM again and reads the facts anew when the job has ended.</summary>
    public async Task ProveAsync(Caller caller, Action changed, CancellationToken ct)
    {
        try
        {
            Proof = await hosts.ProveAcceleratorAsync(caller, ct);
            changed();
            while (Proving)
            {
                Proof = await jobs.WaitAsync(caller, Proof.Id, TimeSpan.FromSeconds(10), ct);
                changed();
            }

            await ReadAsync(caller, ct);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }

        changed();
    }

    /// <summary>Points of a longer window, read once.</summary>
    public Task<MetricsRange<HostPoint>> RangeAsync(ChartWindow window, CancellationToken ct) => metrics.HostRangeAsync(window.Span, window.Step, ct);

    /// <summary>The window's points and then each new one.</summary>
    public IAsyncEnumerable<HostPoint> WatchAsync(ChartWindow window, CancellationToken ct) => metrics.WatchHostAsync(window.Span, ct);

    /// <summary>What colour a verdict has; the words say the rest.</summary>
    public static string Colour(KvmVerdict verdict) => verdict switch
    {
        KvmVerdict.Works => "green",
        KvmVerdict.Broken => "red",
        KvmVerdict.Absent => "amber",
        KvmVerdict.Unproven => "blue",
    };
}
