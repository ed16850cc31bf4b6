using KvmPortal.Engine.Access;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Hosts.Inventories;

/// <summary>Looks at the host after the start, which it does not hold up, and whenever the kernel tells of hardware that came or went.</summary>
internal sealed class HostInventoryWatch(IMachineHost host, HostInventories inventories, HostLink link, ILogger<HostInventoryWatch> logger) : BackgroundService
{
    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            await link.Ready.WaitAsync(stoppingToken);
            // Watched before the first look, so that nothing between them is missed.
            var changes = host.WatchHardwareAsync(stoppingToken);
            await LookAsync(stoppingToken);
            await foreach (var _ in changes.WithCancellation(stoppingToken))
                await LookAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private async Task LookAsync(CancellationToken ct)
    {
        try
        {
            await inventories.RefreshAsync(Caller.System("hardware"), ct);
        }
        catch (Exception e) when (e is HostException or PortalException)
        {
            logger.LogWarning(e, "The host's inventory could not be taken.");
        }
    }
}
