using KvmPortal.Engine.Access;
using KvmPortal.Engine.Jobs;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Hosts.Preparations;

/// <summary>
/// When the portal starts: sets the host up again where a boot has undone it, before machines start by themselves; looks whether expected boot parameters came; and sees
/// what has drifted meanwhile.
/// </summary>
internal sealed class PreparesAfterBoot(PreparationOperations preparations, BootParameterOperations parameters, JobOperations jobs, (HostLink Link, HostBoot Boot, EngineOptions Options) portal, ILogger<PreparesAfterBoot> logger) : BackgroundService
{
    /// <summary>Machines that start by themselves wait no longer for one job.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            await portal.Link.Ready.WaitAsync(stoppingToken);
            var caller = Caller.System("host-boot");
            foreach (var job in await preparations.AfterBootAsync(portal.Options.Simulated is not null, stoppingToken))
                await jobs.WaitAsync(caller, job.Id, Patience, stoppingToken);
            portal.Boot.Prepared.TrySetResult();
            await parameters.VerifyAsync(stoppingToken);
            await preparations.ListAsync(caller, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            logger.LogError(e, "The host could not be set up again after its boot.");
        }
        finally
        {
            portal.Boot.Prepared.TrySetResult();
        }
    }
}
