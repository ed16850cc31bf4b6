using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Placements;

/// <summary>Gives back what a machine held once it has ended, however it ended; at the portal's start, what a former portal could not.</summary>
internal sealed class PlacementRelease(PlacementLedger ledger, HostLink link, LiveFeed live, IMachineHost host, ILogger<PlacementRelease> logger) : BackgroundService
{
    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            var changes = live.WatchAsync(stoppingToken);
            await link.Ready.WaitAsync(stoppingToken);
            await ReleaseAllAsync(stoppingToken);
            await foreach (var change in changes)
            {
                switch (change)
                {
                    case VmChanged { Vm: { Status.Pid: null } vm } when vm.Profile != Plans.Placement.Profiles.General.Name:
                        await ReleaseAsync(vm.Id, stoppingToken);
                        break;
                    case VmRemoved removed:
                        await ReleaseAsync(removed.Id, stoppingToken);
                        break;
                    case JobChanged { Job: { Target.Type: TargetType.Vm, State: not (JobState.Queued or JobState.Running) } job }:
                        await ReleaseAsync(new VmId(job.Target.Id), stoppingToken);
                        break;
                    case Resync:
                        await ReleaseAllAsync(stoppingToken);
                        break;
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private async Task ReleaseAllAsync(CancellationToken ct)
    {
        foreach (var vm in await ledger.HoldersAsync(ct))
            await ReleaseAsync(vm, ct);
    }

    private async Task ReleaseAsync(VmId vm, CancellationToken ct)
    {
        try
        {
            if (await ledger.HoldsAsync(vm, ct))
                await ledger.ReleaseIfIdleAsync(vm, chore => RestoreAsync(vm, chore, ct), ct);
        }
        catch (PortalException e)
        {
            // It is tried again at the next change, and at the next start.
            logger.LogWarning(e, "What machine {Machine} holds could not be given back.", vm);
        }
    }

    private async Task RestoreAsync(VmId vm, PlacementChore chore, CancellationToken ct)
    {
        try
        {
            await foreach (var report in host.ApplyAsync(new RestoreHostSetting { PreparationId = chore.Id, Setting = chore.Setting }, ct))
                if (report is StepLog { Warning: true } line)
                    logger.LogWarning("Of what the start of machine {Machine} had set on the host, this could not be given back: {Words}", vm, line.Text);
        }
        catch (HostException e)
        {
            // Its journal stays, and the machine's next end gives it back.
            logger.LogWarning(e, "What the start of machine {Machine} had set on the host could not be given back.", vm);
        }
    }
}
