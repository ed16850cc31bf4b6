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
        catch (Exception e) when (e is PortalException or HostException or IOException or UnauthorizedAccessException)
        {
            // It is tried again at the next change, and at the next start.
            logger.LogWarning(e, "What machine {Machine} holds could not be given back.", vm);
        }
    }

    private async Task<bool> RestoreAsync(VmId vm, PlacementChore chore, CancellationToken ct)
    {
        try
        {
            await foreach (var report in host.ApplyAsync(new RestoreHostSetting { PreparationId = chore.Id, Setting = chore.Setting }, ct))
                if (report is StepLog { Warning: true } line)
                    logger.LogWarning("Of what the start of machine {Machine} had set on the host, this could not be given back: {Words}", vm, line.Text);
        }
        catch (HostException e)
        {
            // Its line stays, and it is tried again at the next change and at the next start of the portal.
            logger.LogWarning(e, "What the start of machine {Machine} had set on the host could not be given back.", vm);
            return false;
        }

        if (chore.Setting is IrqAffinitySetting)
            await KeepOffAsync(vm, ct);
        return true;
    }

    /// <summary>Interrupts that come back may come to CPUs that others have dedicated meanwhile: theirs are moved once more.</summary>
    private async Task KeepOffAsync(VmId but, CancellationToken ct)
    {
        foreach (var line in (await ledger.LinesAsync(ct)).Where(l => l.VmId != but))
            foreach (var chore in PlacementChores.Of(line.Plan, line.VmId).Where(c => c.Setting is IrqAffinitySetting))
                await foreach (var _ in host.ApplyAsync(new ApplyHostSetting { PreparationId = chore.Id, Setting = chore.Setting, Optional = true }, ct))
                {
                    // What cannot be moved was named at the start.
                }
    }
}
