using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Plugging;

/// <summary>
/// Lets a running machine's memory grow and shrink by its virtio-mem device, between what it was started with and what it was started with room for. The guest takes and gives
/// memory step by step; what it gives back goes to the host at once. A guest that stands still for too long keeps what it had.
/// </summary>
internal sealed class MemoryPlug(RunningMachines machines)
{
    /// <summary>Without any progress of the guest.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);
    private const int MostRounds = 240;

    /// <param name="sizeMiB">All of the guest's memory.</param>
    /// <returns>Whether anything changed.</returns>
    public async Task<bool> SetAsync(Guid id, int sizeMiB, CancellationToken ct)
    {
        var machine = machines.Get(id);
        var memory = machine.Run.Spec.Memory;
        if (sizeMiB == memory.SizeMiB + memory.PluggedMiB && memory.MaxMiB is null)
            return false;
        if (memory.MaxMiB is not { } max || sizeMiB > max)
            throw new HostException(HostError.WrongState, $"The machine was started with room for {memory.MaxMiB ?? memory.SizeMiB} MiB.") { Hint = "Raise memory.maxMiB and start the machine anew." };
        if (sizeMiB < memory.SizeMiB)
            throw new HostException(HostError.WrongState, $"The machine was started with {memory.SizeMiB} MiB, which cannot be unplugged; the balloon can take of it.");
        var wanted = sizeMiB - memory.SizeMiB;
        var had = await PluggedAsync(machine, ct);
        var before = await machine.Qmp.RequestedMemoryAsync(ct);
        if (had == wanted && before == wanted)
        {
            Keep(machine, wanted);
            return false;
        }

        machine.RequireRunningGuest();
        try
        {
            await machine.Qmp.RequestMemoryAsync(wanted, ct);
            var got = await WaitAsync(machine, had, wanted, ct);
            if (got != wanted)
                throw new HostException(HostError.Timeout, Short(had, wanted, got)) { Hint = "A guest needs its virtio-mem driver, and can give only memory that it does not use and can move." };
        }
        catch
        {
            await BackAsync(machine, had);
            throw;
        }

        Keep(machine, wanted);
        return true;
    }

    private static string Short(int had, int wanted, int got) => wanted > had
        ? string.Create(CultureInfo.InvariantCulture, $"The guest took only {got - had} of {wanted - had} MiB; it keeps the memory that it had.")
        : string.Create(CultureInfo.InvariantCulture, $"The guest gave back only {had - got} of {had - wanted} MiB; it keeps the memory that it had.");

    /// <summary>As long as the guest goes on it has time.</summary>
    private static async Task<int> WaitAsync(MachineSupervisor machine, int had, int wanted, CancellationToken ct)
    {
        var now = had;
        for (var round = 0; round < MostRounds && now != wanted; round++)
        {
            var last = now;
            if (!await machine.WaitForHardwareAsync(async () => (now = await PluggedAsync(machine, ct)) != last, Patience, ct))
                break;
        }

        return now;
    }

    private static async Task BackAsync(MachineSupervisor machine, int had)
    {
        try
        {
            await machine.Qmp.RequestMemoryAsync(had, CancellationToken.None);
            await WaitAsync(machine, await PluggedAsync(machine, CancellationToken.None), had, CancellationToken.None);
        }
        catch (HostException)
        {
            // QEMU is gone, or hangs: what led here is told.
        }
    }

    private static void Keep(MachineSupervisor machine, int pluggedMiB) => machine.KeepHardware(machine.Run.Spec.Cpu, machine.Run.Spec.Memory with { PluggedMiB = pluggedMiB });

    private static async Task<int> PluggedAsync(MachineSupervisor machine, CancellationToken ct) => await machine.Qmp.PluggedMemoryAsync(ct);
}
