using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Plugging;

/// <summary>
/// Gives a running machine more vCPUs or takes some away, up to what it was started with room for. The lowest free slot is filled first and the highest vCPU goes first, so that
/// vCPU numbers have no gaps and each keeps its place. A guest must let go of a vCPU by itself: one that does not keeps all that it had.
/// </summary>
internal sealed class VcpuPlug(RunningMachines machines, MachinePinning pinning)
{
    private static readonly TimeSpan LetGo = TimeSpan.FromSeconds(15);

    /// <returns>Whether anything changed.</returns>
    public async Task<bool> SetAsync(Guid id, int count, CancellationToken ct)
    {
        var machine = machines.Get(id);
        var slots = await SlotsAsync(machine, ct);
        var had = slots.Count(s => s.QomPath is not null);
        if (count < 1 || count > slots.Count)
            throw new HostException(HostError.WrongState, $"The machine was started with room for {slots.Count} vCPUs.") { Hint = "Raise cpu.max and start the machine anew." };
        var changed = had != count;
        if (changed)
            machine.RequireRunningGuest();
        machine.Plugging = true;
        try
        {
            await MoveAsync(machine, slots, had, count, ct);
        }
        catch
        {
            // All or nothing: as many as before, as far as the guest goes along.
            await BackAsync(machine, had);
            throw;
        }
        finally
        {
            machine.Plugging = false;
        }

        await KnowAsync(machine, count, ct);
        return changed;
    }

    private static async Task MoveAsync(MachineSupervisor machine, IReadOnlyList<QmpPlugging.VcpuSlot> slots, int had, int count, CancellationToken ct)
    {
        for (var i = 0; i < slots.Count && had < count; i++)
            if (slots[i].QomPath is null)
            {
                await machine.Qmp.PlugVcpuAsync(slots[i], $"vcpu{i}", ct);
                had++;
            }

        for (var i = slots.Count - 1; i > 0 && had > count; i--)
            if (slots[i].QomPath is { } path)
            {
                await AskAsync(machine, i, path, ct);
                if (!await machine.WaitForHardwareAsync(async () => (await SlotsAsync(machine, ct))[i].QomPath is null, LetGo, ct))
                    throw new HostException(HostError.Timeout, $"The guest did not let go of vCPU {i} within {LetGo.TotalSeconds:0} s; it may still do so later.") { Hint = "Is it up, and does its kernel know CPU hot-plug? A smaller number holds from the next start on in any case." };
                had--;
            }
    }

    /// <summary>QEMU refuses while the guest still uses the old way of hot-plug: firmware, and kernels without ACPI.</summary>
    private static async Task AskAsync(MachineSupervisor machine, int vcpu, string path, CancellationToken ct)
    {
        try
        {
            await machine.Qmp.UnplugAsync(path, ct);
        }
        catch (HostException e) when (e.Error == HostError.QmpFailed)
        {
            throw new HostException(HostError.WrongState, $"The guest cannot let go of vCPU {vcpu}: it has not come up far enough.", e);
        }
    }

    /// <summary>Best effort: what fails here is told by the failure that led here.</summary>
    private async Task BackAsync(MachineSupervisor machine, int had)
    {
        try
        {
            var slots = await SlotsAsync(machine, CancellationToken.None);
            await MoveAsync(machine, slots, slots.Count(s => s.QomPath is not null), had, CancellationToken.None);
            await KnowAsync(machine, had, CancellationToken.None);
        }
        catch (Exception e) when (e is HostException or IOException)
        {
            // The guest holds what was just plugged, or QEMU is gone.
        }
    }

    /// <summary>The record, the samplers and the watch get to know the new threads, and those of a placed machine go to their places at once.</summary>
    private async Task KnowAsync(MachineSupervisor machine, int count, CancellationToken ct)
    {
        await machine.RefreshThreadsAsync(ct);
        machine.KeepHardware(machine.Run.Spec.Cpu with { Count = count }, machine.Run.Spec.Memory);
        if (machine.Run.Placement is { } placement)
            await pinning.ApplyAsync(machine.Id, placement with { }, ct);
        else
            pinning.SettleShared(machine);
    }

    private static async Task<IReadOnlyList<QmpPlugging.VcpuSlot>> SlotsAsync(MachineSupervisor machine, CancellationToken ct) => await machine.Qmp.QueryVcpuSlotsAsync(ct);
}
