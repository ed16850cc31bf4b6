using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Hosts;

/// <summary>
/// Looks for guests on the host that the portal does not know, because no event tells of them, and says when one comes or goes. They are shown, never ended:
/// they may be another tool's, or ours from a database that was lost.
/// </summary>
internal sealed class StrangerWatch(IMachineHost host, HostLink link, PortalEvents events, TimeProvider time, ILogger<StrangerWatch> logger) : BackgroundService
{
    /// <summary>An unauthorised guest is to be told within a minute.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    private IReadOnlyList<Stranger> known = [];

    /// <summary>As of the last look.</summary>
    public IReadOnlyList<Stranger> Known => Volatile.Read(ref known);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            await link.Ready.WaitAsync(stoppingToken);
            using var timer = new PeriodicTimer(Interval, time);
            do
                await LookAsync(stoppingToken);
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private async Task LookAsync(CancellationToken ct)
    {
        try
        {
            var now = await host.FindStrangersAsync(ct);
            var before = Known;
            Volatile.Write(ref known, now);
            foreach (var come in now.Where(n => before.All(b => (b.Pid, b.StartTicks) != (n.Pid, n.StartTicks))))
                await TellAsync("host.stranger", Say.StrangerSeen(come.Program, $"{come.Pid}", $"{come.Uid}"), come, warning: true, ct);
            foreach (var gone in before.Where(b => now.All(n => (b.Pid, b.StartTicks) != (n.Pid, n.StartTicks))))
                await TellAsync("host.stranger-gone", Say.StrangerGone(gone.Program, $"{gone.Pid}"), gone, warning: false, ct);
        }
        catch (HostException e)
        {
            logger.LogWarning(e, "The host could not be searched for unknown guests.");
        }
    }

    private Task TellAsync(string type, Sentence text, Stranger stranger, bool warning, CancellationToken ct) =>
        events.AppendAsync(type, new JobTarget(TargetType.Host, HostOperations.LocalHostId, stranger.Name ?? stranger.Program), "host", text, warning, new { stranger.Pid, stranger.Kind, stranger.Uid, stranger.Program, stranger.Name }, ct);
}
