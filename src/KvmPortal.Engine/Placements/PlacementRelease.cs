using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Jobs;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Placements;

/// <summary>Gives back what a machine held once it has ended, however it ended; at the portal's start, what a former portal could not.</summary>
internal sealed class PlacementRelease(PlacementLedger ledger, HostLink link, LiveFeed live, ILogger<PlacementRelease> logger) : BackgroundService
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
                await ledger.ReleaseIfIdleAsync(vm, ct);
        }
        catch (PortalException e)
        {
            // It is tried again at the next change, and at the next start.
            logger.LogWarning(e, "What machine {Machine} holds could not be given back.", vm);
        }
    }
}
