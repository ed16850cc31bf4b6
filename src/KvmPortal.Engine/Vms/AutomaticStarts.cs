using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using Microsoft.Extensions.Hosting;

namespace KvmPortal.Engine.Vms;

/// <summary>
/// Starts machines that nobody asks for: in their order after a boot of the host (`autostart`), and again after they ended by themselves (`restart`), ever more
/// slowly and not without end. Each is an ordinary start, with its plan and its job.
/// </summary>
internal sealed class AutomaticStarts(VmOperations vms, HostLink link, HostBoot boot, PortalEvents events, TimeProvider time) : BackgroundService
{
    private static readonly Caller Caller = Caller.System("automatic-start");
    private readonly Dictionary<VmId, List<long>> restarts = [];

    /// <summary>Seconds before the n-th restart within the window: 1, 2, 4 … 60.</summary>
    public static TimeSpan BackOff(int earlier) => TimeSpan.FromSeconds(Math.Min(60, Math.Pow(2, Math.Min(earlier, 10))));

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            await link.Ready.WaitAsync(stoppingToken);
            if (await boot.Rebooted)
            {
                // Huge pages and the rest first: a machine that counts on them would not start, or start slow.
                await boot.Prepared.Task.WaitAsync(stoppingToken);
                await StartWithHostAsync(stoppingToken);
            }

            await foreach (var ended in link.Ended.ReadAllAsync(stoppingToken))
                await EndedAsync(ended, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private async Task StartWithHostAsync(CancellationToken ct)
    {
        foreach (var (id, definition) in await vms.AutostartAsync(ct))
        {
            await StartAsync(id, definition.Name, Say.StartsWithHost(definition.Name), ct);
            await Task.Delay(TimeSpan.FromSeconds(definition.Autostart.DelaySeconds), time, ct);
        }
    }

    private async Task EndedAsync(VmEnded ended, CancellationToken ct)
    {
        if (await vms.DefinitionAsync(ended.VmId, ct) is not { } definition)
            return;
        var policy = definition.Restart.Policy;
        if (policy == RestartPolicy.Never || (policy == RestartPolicy.OnCrash && !ended.Crashed))
            return;
        if (!restarts.TryGetValue(ended.VmId, out var earlier))
            restarts[ended.VmId] = earlier = [];
        earlier.RemoveAll(at => time.GetElapsedTime(at) > TimeSpan.FromSeconds(definition.Restart.WindowSeconds));
        var target = new Jobs.JobTarget(Jobs.TargetType.Vm, ended.VmId.Value, definition.Name);
        if (earlier.Count >= definition.Restart.MaxRestarts)
        {
            await events.AppendAsync("vm.restart-limit", target, "system", Say.RestartLimit(definition.Name, $"{earlier.Count}", $"{definition.Restart.WindowSeconds}"), warning: true, ct: ct);
            return;
        }

        earlier.Add(time.GetTimestamp());
        // Waits apart: one machine's patience delays no other.
        _ = StartLaterAsync(ended.VmId, definition, earlier.Count, ct);
    }

    private async Task StartLaterAsync(VmId id, VmDefinition definition, int number, CancellationToken ct)
    {
        try
        {
            await Task.Delay(BackOff(number - 1), time, ct);
            // Somebody may have started or deleted it meanwhile; then a start changes nothing or says so.
            if (await vms.DefinitionAsync(id, ct) is { Restart.Policy: not RestartPolicy.Never })
                await StartAsync(id, definition.Name, Say.RestartsAfterCrash(definition.Name, $"{number}", $"{definition.Restart.MaxRestarts}"), ct);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task StartAsync(VmId id, string name, Sentence why, CancellationToken ct)
    {
        var target = new Jobs.JobTarget(Jobs.TargetType.Vm, id.Value, name);
        try
        {
            await events.AppendAsync("vm.automatic-start", target, "system", why, ct: ct);
            await vms.ActAsync(Caller, id, VmAction.Start, new VmActionOptions(), ct);
        }
        catch (PortalException e)
        {
            await events.AppendAsync("vm.automatic-start", target, "system", Say.NotStartedAgain(name, e.Message), warning: true, ct: ct);
        }
    }
}
