using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Metrics;

/// <summary>Reads the host and every running machine on one timer: files that stay open, and one QMP question per machine for its disks.</summary>
internal sealed class MachineSampler(RunningMachines machines, HostMeter hostMeter, TimeProvider time)
{
    private static readonly TimeSpan QmpPatience = TimeSpan.FromMilliseconds(500);
    private readonly Dictionary<MachineSupervisor, (ProcessMeter? Meter, IReadOnlyList<int> Threads)> meters = [];

    public async IAsyncEnumerable<HostSample> RunAsync(TimeSpan interval, [EnumeratorCancellation] CancellationToken ct)
    {
        using var timer = new PeriodicTimer(interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(ct))
            {
                var read = await Task.WhenAll(machines.All.Select(m => SampleAsync(m, ct)));
                Forget();
                yield return hostMeter.Read([.. read.OfType<MachineSample>()]);
            }
        }
        finally
        {
            foreach (var meter in meters.Values)
                meter.Meter?.Dispose();
        }
    }

    /// <summary>Null when the machine has just ended.</summary>
    private async Task<MachineSample?> SampleAsync(MachineSupervisor machine, CancellationToken ct)
    {
        var threads = machine.VcpuThreads;
        if (!meters.TryGetValue(machine, out var known) || !known.Threads.SequenceEqual(threads))
        {
            known.Meter?.Dispose();
            meters[machine] = known = (ProcessMeter.Open(machine.Pid, threads), threads);
        }

        var meter = known.Meter;
        var vcpus = new long[threads.Count];
        if (meter is null || !meter.TryRead(out var cpu, out var resident, vcpus))
            return null;
        var sample = new MachineSample { MachineId = machine.Id, CpuNanoseconds = cpu, VcpuNanoseconds = vcpus, RssBytes = resident };
        if (machine.State == MachineRunState.Unresponsive)
            return sample;
        try
        {
            // A machine that hangs must not hold up the sample of the others.
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
            deadline.CancelAfter(QmpPatience);
            var stats = machine.Run.Spec.Disks.Count > 0 ? await machine.Qmp.QueryBlockStatsAsync(deadline.Token) : [];
            var balloon = machine.Run.Spec.Balloon ? (await machine.Qmp.QueryBalloonAsync(deadline.Token)).Actual + ((long)machine.Run.Spec.Memory.PluggedMiB << 20) : (long?)null;
            return sample with
            {
                BalloonBytes = balloon,
                DiskReadBytes = stats.Sum(s => s.Stats.RdBytes),
                DiskWriteBytes = stats.Sum(s => s.Stats.WrBytes),
                DiskReadOperations = stats.Sum(s => s.Stats.RdOperations),
                DiskWriteOperations = stats.Sum(s => s.Stats.WrOperations),
            };
        }
        catch (Exception e) when (e is HostException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // It ended between two looks, or does not answer: what /proc said still holds.
            return sample;
        }
    }

    private void Forget()
    {
        foreach (var gone in meters.Keys.Where(m => m.Gone.IsCompleted).ToList())
        {
            meters[gone].Meter?.Dispose();
            meters.Remove(gone);
        }
    }
}
