using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Host.Pinning;

/// <summary>One watch for all placed machines of the host, and for the others while they are to stay off somebody's CPUs: what somebody moves is found within two seconds, told, and put back where the placement says so.</summary>
internal sealed class PlacementWatch(RunningMachines machines, SharedPool pool, ThreadTree tree, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private readonly KernelAffinity affinity = new();
    private readonly Dictionary<Guid, Entry> watched = [];
    private readonly CancellationTokenSource stop = new();
    private Task running = Task.CompletedTask;

    private sealed class Entry(MachineSupervisor machine, WatchedMachine watched)
    {
        public MachineSupervisor Machine { get; } = machine;
        public WatchedMachine Watched { get; } = watched;
        public IReadOnlyList<int> Vcpus { get; } = machine.VcpuThreads;
        /// <summary>What was last told of its partition.</summary>
        public string? Problem { get; set; }
    }

    public void Begin()
    {
        if (!stop.IsCancellationRequested)
            running = RunAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (stop.IsCancellationRequested)
            return;
        await stop.CancelAsync();
        await running;
        stop.Dispose();
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop.Token))
                Look();
        }
        catch (OperationCanceledException)
        {
            // The portal goes; the next one looks again.
        }
    }

    private void Look()
    {
        // Machines without a placement have one, too, while others have CPUs of their own.
        var shared = pool.Now();
        foreach (var machine in machines.All)
            pool.Settle(machine, shared);
        var placed = machines.All.Where(m => (shared ?? m.Run.Placement) is not null && m.VcpuThreads.Count > 0).ToList();
        foreach (var id in watched.Keys.Except(placed.Select(m => m.Id)).ToList())
            watched.Remove(id);
        if (placed.Count == 0)
            return;
        var online = tree.Online();
        foreach (var machine in placed)
        {
            try
            {
                Look(machine, shared, online);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or HostException)
            {
                logger.LogWarning(e, "The placement of machine {Machine} could not be looked at.", machine.Id);
            }
        }
    }

    private void Look(MachineSupervisor machine, MachinePlacement? shared, CpuSet online)
    {
        List<PlacementFinding> found;
        lock (machine.Moving)
        {
            if ((machine.Run.Placement ?? shared) is not { } placement || machine.Gone.IsCompleted)
                return;
            if (!watched.TryGetValue(machine.Id, out var known) || known.Machine != machine || !known.Vcpus.SequenceEqual(machine.VcpuThreads) || !ReferenceEquals(known.Watched.Placement, placement))
                watched[machine.Id] = known = new Entry(machine, new WatchedMachine(tree, affinity, time, (machine.Threads, () => machine.IsAlive), placement));
            found = known.Watched.Look(online);
            var problem = machines.PartitionProblem(machine);
            if (problem is not null && problem != known.Problem)
                found.Add(new(false, problem));
            known.Problem = problem;
        }

        foreach (var finding in found)
            machines.Notify(new MachineNotice
            {
                At = time.GetUtcNow(),
                MachineId = machine.Id,
                Kind = finding.Repaired ? "placement-repaired" : "placement-drift",
                Text = finding.Text,
                Warning = !finding.Repaired,
            });
    }
}
