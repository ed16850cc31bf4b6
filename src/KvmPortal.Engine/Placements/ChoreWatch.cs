using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Placements;

/// <summary>
/// Looks whether what the starts of running machines have set on the host is still so: interrupts, wake-up limits, governors, pools. The kernel tells nobody when such a file is written,
/// so it looks, at the files that were written only. What somebody has changed is told, and set again where the machine's placement is kept.
/// </summary>
internal sealed class ChoreWatch(PlacementLedger ledger, IMachineHost host, (VmTracker Tracker, PortalStore Store) vms, (PortalEvents Events, TimeProvider Time) portal, ILogger<ChoreWatch> logger) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(1);
    private readonly Dictionary<Guid, long> toldAt = [];
    private readonly Dictionary<VmId, (DateTimeOffset Since, IReadOnlyList<PlacementChore> Chores)> known = [];

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            using var timer = new PeriodicTimer(Interval, portal.Time);
            while (await timer.WaitForNextTickAsync(stoppingToken))
                await LookAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    internal async Task LookAsync(CancellationToken ct)
    {
        var holders = await ledger.SinceAsync(ct);
        foreach (var gone in known.Keys.Where(id => !holders.ContainsKey(id)).ToList())
        {
            foreach (var chore in known[gone].Chores)
                toldAt.Remove(chore.Id);
            known.Remove(gone);
        }

        foreach (var (id, since) in holders)
        {
            if (await vms.Tracker.FindAsync(id, ct) is not { Status.State: VmState.Running or VmState.Paused } vm)
                continue;
            if (!known.TryGetValue(id, out var mine) || mine.Since != since)
                known[id] = mine = (since, PlacementChores.Of((await ledger.LineAsync(id, ct))?.Plan, id));
            foreach (var chore in mine.Chores)
            {
                try
                {
                    await LookAsync(vm, chore, ct);
                }
                catch (Exception e) when (e is HostException or PortalException)
                {
                    logger.LogWarning(e, "What the start of {Machine} has set on the host could not be looked at.", vm.Name);
                }
            }
        }
    }

    private async Task LookAsync(VmSummary vm, PlacementChore chore, CancellationToken ct)
    {
        var look = await host.LookAtSettingAsync(chore.Setting, chore.Id, ct);
        var moved = look.Made.Where(v => v.Now is not null && v.Now != v.Wanted).ToList();
        if (look.InForce || moved.Count == 0)
            return;

        var target = new JobTarget(TargetType.Vm, vm.Id.Value, vm.Name);
        var drift = Say.ChoreMoved(moved[0].Path, moved[0].Now!, moved[0].Wanted);
        // Somebody who changes it again and again (irqbalance does) is not told of each time.
        var tell = !toldAt.TryGetValue(chore.Id, out var last) || portal.Time.GetElapsedTime(last) >= Quiet;
        if (tell)
            toldAt[chore.Id] = portal.Time.GetTimestamp();
        if (tell)
            await portal.Events.AppendAsync("vm.notice", target, "system", drift, warning: true, new { kind = "placement-drift" }, ct);
        if (chore.Setting is HugePagesSetting || !await RepairsAsync(vm.Id, ct))
            return;
        await foreach (var _ in host.ApplyAsync(new ApplyHostSetting { PreparationId = chore.Id, Setting = chore.Setting, Optional = chore.Optional }, ct))
        {
            // What it says is in the look that follows.
        }

        if (tell && (await host.LookAtSettingAsync(chore.Setting, chore.Id, ct)).InForce)
            await portal.Events.AppendAsync("vm.notice", target, "system", Say.ChoreSetAgain(chore.Summary), warning: false, new { kind = "placement-repaired" }, ct);
    }

    private Task<bool> RepairsAsync(VmId id, CancellationToken ct) => vms.Store.ReadAsync(async db => (await db.Vms.FindAsync([id], ct))?.Definition.Placement.Repair == true, ct);
}
