using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Host.Pinning;

/// <summary>
/// Machines without a place of their own run anywhere but on the CPUs that other machines have for themselves: it shrinks before such a machine runs its first instruction, and grows
/// again when the machine has ended. Where the kernel's partitions keep others off already, this changes nothing; elsewhere it is what keeps them off.
/// </summary>
internal sealed class SharedPool(RunningMachines machines, ThreadTree tree, Pins pins, ILogger logger)
{
    private volatile MachinePlacement? last;

    /// <summary>The place of every machine without one; null while no CPU belongs to anybody alone.</summary>
    public MachinePlacement? Now()
    {
        var dedicated = CpuSet.Union(machines.All.Where(m => m.IsAlive).Select(m => m.Run.Placement).OfType<MachinePlacement>().Select(p => p.Dedicated | CpuPartitions.Dedicated(p)));
        var cpus = dedicated.IsEmpty ? CpuSet.Empty : tree.Online() - dedicated;
        // Nothing left is a mistake of whoever dedicated them; nobody is put nowhere.
        if (cpus.IsEmpty)
            return last = null;
        // The same one as long as it is the same: who watches compares by reference.
        return last is { } known && known.Emulator == cpus ? known
            : last = new MachinePlacement { Vcpus = [], Emulator = cpus, Vhost = cpus, Sockets = 1, CoresPerSocket = 1, ThreadsPerCore = 1, Nodes = [] };
    }

    /// <summary>Keeps every machine without a placement to the pool, or lets it run everywhere again.</summary>
    public void Settle()
    {
        var now = Now();
        foreach (var machine in machines.All)
            Settle(machine, now);
    }

    /// <summary>The same for one machine; costs nothing when it is so already.</summary>
    public void Settle(MachineSupervisor machine, MachinePlacement? now)
    {
        if (machine.Run.Placement is not null || machine.Run.Pool == now?.Emulator || !machine.IsAlive)
            return;
        try
        {
            lock (machine.Moving)
            {
                if (machine.Run.Placement is not null)
                    return;
                // Written down first: the next portal lets go of what this one could not.
                machine.KeepPool(now?.Emulator);
                if (now is null)
                    pins.Release(machine.Threads);
                else
                    pins.Apply(machine.Threads, now);
            }
        }
        catch (Exception e) when (e is HostException or IOException or UnauthorizedAccessException)
        {
            // The watch looks again and tells.
            logger.LogWarning(e, "Machine {Machine} could not be kept to the shared CPUs.", machine.Id);
        }
    }
}
