using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;

namespace KvmPortal.Host.Pinning;

/// <summary>Pins running machines, and releases them.</summary>
internal sealed class MachinePinning(RunningMachines machines, Pins pins, SharedPool pool, RealtimeVcpus realtime)
{
    /// <summary>A machine without a placement stays off the CPUs of others from its first instruction on.</summary>
    public void SettleShared(MachineSupervisor machine) => pool.Settle(machine, pool.Now());

    public async Task<StepDone> ApplyAsync(Guid id, MachinePlacement placement, CancellationToken ct)
    {
        var done = await PinAsync(id, placement, ct);
        pool.Settle();
        return done;
    }

    private async Task<StepDone> PinAsync(Guid id, MachinePlacement placement, CancellationToken ct)
    {
        var machine = machines.Get(id);
        await machine.RefreshThreadsAsync(ct);
        lock (machine.Moving)
        {
            var before = machine.Run.Placement;
            // Nothing is moved for a placement that makes no sense, or on the word of a QEMU that lies.
            pins.Require(machine.Threads, placement);
            // Written down first: should the portal die now, the watch of the next one goes on.
            machine.Keep(placement);
            try
            {
                // The partition first: who comes into a group is set to all of its CPUs.
                var isolation = machines.Launcher.Isolate(id, machine.Pid, placement, machine.VcpuThreads);
                var changed = pins.Apply(machine.Threads, placement) || before is null;
                if (placement.Realtime)
                    realtime.Apply(placement, machine.VcpuThreads);
                else if (before is { Realtime: true })
                    realtime.Release(machine.VcpuThreads);
                machine.Keep(placement, isolation);
                return new StepDone(changed) { Pid = machine.Pid, Confinement = machine.Run.Confinement };
            }
            catch
            {
                machines.Launcher.Release(id, machine.Pid);
                // Threads that come out of a group lose their places: the watch puts those of the placement before back.
                machine.Keep(before, before is null ? null : machines.Launcher.Isolate(id, machine.Pid, before, machine.VcpuThreads));
                throw;
            }
        }
    }

    /// <summary>Back to what was pinned before, or to all CPUs.</summary>
    public async Task UndoAsync(Guid id, MachinePlacement? before, CancellationToken ct)
    {
        if (before is not null)
        {
            await ApplyAsync(id, before, ct);
            return;
        }

        if (machines.Find(id) is not { } machine)
            return;
        lock (machine.Moving)
        {
            if (machine.Run.Placement is { Realtime: true })
                realtime.Release(machine.VcpuThreads);
            machine.Keep(null);
            if (!machine.IsAlive)
                return;
            machines.Launcher.Release(id, machine.Pid);
            pins.Release(machine.Threads);
        }

        pool.Settle();
    }
}
