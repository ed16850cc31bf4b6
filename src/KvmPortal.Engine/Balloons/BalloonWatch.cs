using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Balloons;

/// <summary>
/// Automatic ballooning: while the host is short of memory it takes some from machines that allow it, never below their floors, and gives it back afterwards. What a balloon really
/// moved is told one round later; a guest that does not follow is left alone for a while. Remembers nothing over a restart of the portal: what a machine lacks is seen from its balloon.
/// </summary>
internal sealed class BalloonWatch(IMachineHost host, PortalStore store, VmTracker tracker, PortalEvents events, ILogger<BalloonWatch> logger) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);
    private const int RoundsLeftAlone = 60;
    private readonly Dictionary<VmId, BalloonMove> asked = [];
    private readonly Dictionary<VmId, int> leftAlone = [];
    private int calmRounds;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await foreach (var sample in host.SampleAsync(Interval, stoppingToken))
                    await RoundAsync(sample, stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is HostException or PortalException or IOException)
            {
                logger.LogWarning(e, "Automatic ballooning could not look at the host's memory.");
            }

            await Task.Delay(Interval, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>One round, by one sample.</summary>
    internal async Task RoundAsync(HostSample sample, CancellationToken ct)
    {
        var standing = new MemoryStanding(sample.MemoryTotalBytes >> 20, sample.MemoryAvailableBytes >> 20, sample.MemoryPressure);
        foreach (var id in leftAlone.Keys.ToList())
            if (--leftAlone[id] <= 0)
                leftAlone.Remove(id);
        // Most hosts, most of the time: nothing was taken and nothing is needed.
        if (!BalloonDecision.IsShort(standing) && asked.Count == 0 && sample.Machines.All(m => m.BalloonBytes is null))
        {
            calmRounds = 0;
            return;
        }

        var machines = await MachinesAsync(sample, ct);
        await TellAsync(machines, standing, ct);
        var verdict = BalloonDecision.Decide(standing, [.. machines.Values.Where(m => !leftAlone.ContainsKey(m.Id))], calmRounds);
        calmRounds = verdict.CalmRounds;
        foreach (var move in verdict.Moves)
            if (await SetAsync(move, ct))
                asked[move.Id] = move;
    }

    /// <summary>What the last round's moves came to.</summary>
    private async Task TellAsync(Dictionary<VmId, BalloonMachine> machines, MemoryStanding standing, CancellationToken ct)
    {
        foreach (var (id, move) in asked.ToList())
        {
            asked.Remove(id);
            if (!machines.TryGetValue(id, out var now) || await tracker.FindAsync(id, ct) is not { } vm)
                continue;
            var moved = move.BeforeMiB - now.NowMiB;
            if (moved == 0 || Math.Sign(moved) != Math.Sign(move.BeforeMiB - move.TargetMiB))
            {
                // Its guest has no balloon driver, or has nothing to give: it must not give later, when nobody needs it.
                leftAlone[id] = RoundsLeftAlone;
                await SetAsync(new BalloonMove(id, move.TargetMiB, move.BeforeMiB), ct);
                continue;
            }

            var text = moved > 0 ? Say.BalloonTook(moved, vm.Name, (int)standing.AvailableMiB, now.NowMiB) : Say.BalloonGave(-moved, vm.Name, now.NowMiB);
            await events.AppendAsync(moved > 0 ? "vm.balloon-taken" : "vm.balloon-given", new JobTarget(TargetType.Vm, id.Value, vm.Name), "balloon", text,
                data: new { beforeMiB = move.BeforeMiB, nowMiB = now.NowMiB, now.FullMiB, now.FloorMiB }, ct: ct);
        }
    }

    private async Task<Dictionary<VmId, BalloonMachine>> MachinesAsync(HostSample sample, CancellationToken ct)
    {
        var balloons = sample.Machines.Where(m => m.BalloonBytes is not null).ToDictionary(m => new VmId(m.MachineId), m => (int)(m.BalloonBytes!.Value >> 20));
        var running = await store.ReadAsync(db => db.Vms.Where(v => v.RunningDefinition != null).Select(v => new { v.Id, v.RunningDefinition }).ToListAsync(ct), ct);
        var machines = new Dictionary<VmId, BalloonMachine>();
        foreach (var vm in running)
            if (balloons.TryGetValue(vm.Id, out var now) && vm.RunningDefinition!.Memory is { AutoBalloon: true, Pages: PagesChoice.Auto or PagesChoice.Small } memory
                && (await tracker.FindAsync(vm.Id, ct))?.Status.State == VmState.Running)
            {
                var full = memory.BalloonMiB ?? memory.SizeMiB;
                machines[vm.Id] = new BalloonMachine(vm.Id, full, Math.Min(full, memory.MinMiB ?? memory.SizeMiB / 2), now);
            }

        return machines;
    }

    private async Task<bool> SetAsync(BalloonMove move, CancellationToken ct)
    {
        try
        {
            await foreach (var _ in host.ApplyAsync(new SetBalloon { MachineId = move.Id.Value, TargetMiB = move.TargetMiB, BeforeMiB = move.BeforeMiB }, ct))
            {
                // Whether the guest follows is seen in the next round.
            }

            return true;
        }
        catch (HostException e)
        {
            logger.LogDebug(e, "The balloon of {Machine} could not be set.", move.Id);
            return false;
        }
    }
}
