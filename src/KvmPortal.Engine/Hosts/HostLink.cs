using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Hosts;

/// <summary>
/// Listens to the host for as long as the portal lives and turns what it says into states and events. The only reader of
/// <see cref="IMachineHost.WatchAsync"/>; a lost connection is said, and tried again.
/// </summary>
internal sealed class HostLink(IMachineHost host, VmTracker tracker, PortalEvents events, HostBoot boot, ILogger<HostLink> logger) : BackgroundService
{
    private readonly TaskCompletionSource firstSnapshot = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<VmEnded> ended = Channel.CreateUnbounded<VmEnded>(new UnboundedChannelOptions { SingleReader = true });
    private HashSet<VmId>? seen;

    /// <summary>Null while connected; else what is wrong.</summary>
    public Sentence? Problem { get; private set; } = Say.NotConnectedYet;

    /// <summary>Completes when the host has named every machine that runs; jobs wait for it.</summary>
    public Task Ready => firstSnapshot.Task;

    /// <summary>Machines that ended or crashed without being asked to, for the one who may start them again. Bounded by the number of VMs.</summary>
    public ChannelReader<VmEnded> Ended => ended.Reader;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        var pause = TimeSpan.FromMilliseconds(200);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await boot.NoteAsync(stoppingToken);
                await tracker.LoadAsync(stoppingToken);
                seen = [];
                await foreach (var happened in host.WatchAsync(stoppingToken))
                {
                    await HandleAsync(happened, stoppingToken);
                    pause = TimeSpan.FromMilliseconds(200);
                }
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                Problem = e is HostException known ? HostSentences.Read(known.Message) : Say.HostNotWatched;
                logger.LogError(e, "Watching the host failed; it is tried again.");
                await events.AppendAsync("host.lost", null, "system", Problem, warning: true, ct: stoppingToken);
            }

            try
            {
                await Task.Delay(pause, stoppingToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            pause = TimeSpan.FromSeconds(Math.Min(10, pause.TotalSeconds * 2));
        }
    }

    private async Task HandleAsync(HostEvent happened, CancellationToken ct)
    {
        switch (happened)
        {
            case MachineObserved e:
                seen?.Add(new VmId(e.MachineId));
                await ToldAsync(e.MachineId, new MachineTruth(e.State, null, Words(e.Reason)), e.Pid, e.Accelerator, ct);
                break;
            case SnapshotEnd:
                await ReconcileAsync(ct);
                Problem = null;
                if (firstSnapshot.TrySetResult())
                    _ = ProveAsync(ct);
                break;
            case MachineStateChanged e:
                await ToldAsync(e.MachineId, new MachineTruth(e.State, null, Words(e.Reason)), null, null, ct);
                if (e.State is MachineRunState.Panicked or MachineRunState.InternalError)
                    ended.Writer.TryWrite(new VmEnded(new VmId(e.MachineId), Crashed: true));
                break;
            case MachineEnded e:
                await ToldAsync(e.MachineId, new MachineTruth(null, e.End, e.End == MachineEnd.Quit ? null : Words(e.Reason)), null, null, ct, e.StderrTail);
                if (e.End is MachineEnd.Crashed or MachineEnd.GuestPowerOff or MachineEnd.HostSignal)
                    ended.Writer.TryWrite(new VmEnded(new VmId(e.MachineId), Crashed: e.End == MachineEnd.Crashed));
                break;
            case MachineNotice e:
                if (await tracker.FindAsync(new VmId(e.MachineId), ct) is { } vm)
                    await events.AppendAsync("vm.notice", Target(vm), "guest", e.Text, e.Warning, new { kind = e.Kind }, ct);
                break;
        }
    }

    /// <summary>Finds out once per boot of the host whether KVM works, before the first start has to wait for it.</summary>
    private async Task ProveAsync(CancellationToken ct)
    {
        try
        {
            if ((await host.GetFactsAsync(ct)).Kvm.Verdict == KvmVerdict.Unproven)
                await foreach (var _ in host.ApplyAsync(new ProveAccelerator(), ct))
                {
                    // The verdict is in the facts.
                }
        }
        catch (Exception e) when (e is HostException or OperationCanceledException)
        {
            // Without QEMU there is nothing to prove; the host page says so.
        }
    }

    /// <summary>What was thought to run and was not named has ended while nobody watched.</summary>
    private async Task ReconcileAsync(CancellationToken ct)
    {
        if (seen is null)
            return;
        var truth = await boot.Rebooted ? new MachineTruth(null, MachineEnd.HostReboot, Say.HostRestarted) : new MachineTruth(null, MachineEnd.Unknown, Say.EndedUnwatched);
        foreach (var id in await tracker.ThoughtRunningAsync(ct))
            if (!seen.Contains(id))
                await ToldAsync(id.Value, truth, null, null, ct);
        seen = null;
        tracker.DeriveAll();
    }

    private async Task ToldAsync(Guid machineId, MachineTruth truth, int? pid, Accelerator? accelerator, CancellationToken ct, IReadOnlyList<string>? stderr = null)
    {
        var id = new VmId(machineId);
        var before = (await tracker.FindAsync(id, ct))?.Status;
        if (tracker.SetTruth(id, truth, pid, accelerator) is not { } vm || before is null || (before.State == vm.Status.State && before.Reason == vm.Status.Reason))
            return;
        var bad = vm.Status.State is VmState.Crashed or VmState.Unknown || truth.Run == MachineRunState.IoError;
        var text = $"{vm.Name}: {PortalJson.Text(vm.Status.State)}." + (vm.Status.Reason is { } why ? $" {why}" : "");
        await events.AppendAsync("vm.state", Target(vm), "host", text, bad, new { state = vm.Status.State, before = before.State, reason = vm.Status.Reason, stderr }, ct);
    }

    private static Sentence? Words(string? text) => text is null ? null : HostSentences.Read(text);

    private static JobTarget Target(VmSummary vm) => new(TargetType.Vm, vm.Id.Value, vm.Name);
}

/// <summary>A machine ended, or stands still, that nobody had asked to.</summary>
internal sealed record VmEnded(VmId VmId, bool Crashed);
