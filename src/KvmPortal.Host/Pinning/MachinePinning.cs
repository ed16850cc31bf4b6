using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;

namespace KvmPortal.Host.Pinning;

/// <summary>Pins running machines, and releases them.</summary>
internal sealed class MachinePinning(RunningMachines machines, Pins pins)
{
    /// <returns>Whether anything changed.</returns>
    public async Task<bool> ApplyAsync(Guid id, MachinePlacement placement, CancellationToken ct)
    {
        var machine = machines.Get(id);
        await machine.RefreshThreadsAsync(ct);
        lock (machine.Moving)
        {
            // Written down first: should the portal die now, the watch of the next one goes on.
            var before = machine.Run.Placement;
            machine.Keep(placement);
            try
            {
                return pins.Apply(machine.Threads, placement) || before is null;
            }
            catch
            {
                machine.Keep(before);
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
            machine.Keep(null);
            if (machine.IsAlive)
                pins.Release(machine.Threads);
        }
    }
}
