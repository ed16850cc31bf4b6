using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>The steps on a running machine that happen at once. Each looks and acts under the fleet's lock.</summary>
internal static class MachineSteps
{
    /// <returns>Whether anything changed.</returns>
    public static bool Apply(Fleet fleet, HostStep step)
    {
        lock (fleet.Gate)
        {
            return step switch
            {
                PinMachine pin => SimulatedPlacement.Pin(fleet.Get(pin.MachineId), pin.Placement),
                RunMachine run => Run(fleet, fleet.Get(run.MachineId)),
                PauseMachine pause => Pause(fleet, fleet.Get(pause.MachineId)),
                ResetMachine reset => Reset(fleet, fleet.Get(reset.MachineId)),
                EndMachine end => fleet.Find(end.MachineId) is { } machine && End(fleet, machine),
                SetDiskLimits limits => Limit(fleet.Get(limits.MachineId), limits.Disk, limits.Limits),
                SetVcpus vcpus => Vcpus(fleet.Get(vcpus.MachineId), vcpus.Count),
                SetMemory memory => Memory(fleet.Get(memory.MachineId), memory.SizeMiB),
                SetBalloon balloon => Balloon(fleet, fleet.Get(balloon.MachineId), balloon.TargetMiB),
                ChangeMedium medium => Medium(fleet.Get(medium.MachineId), medium.Disk, medium.Path),
                _ => throw new ArgumentException($"Not a step of a running machine: {step.Kind}", nameof(step)),
            };
        }
    }

    /// <returns>Whether anything changed; null: not a step of a running machine.</returns>
    public static bool? Undo(Fleet fleet, HostStep step)
    {
        lock (fleet.Gate)
        {
            if (step is not MachineStep { MachineId: var id } || step is PrepareMachine or DiscardMachine)
                return null;
            if (fleet.Find(id) is not { } machine)
                return false;
            switch (step)
            {
                case LaunchMachine:
                    return End(fleet, machine);
                case PinMachine pin:
                    return SimulatedPlacement.Pin(machine, pin.Before);
                case RunMachine when machine is { Resumed: true, State: MachineRunState.Running }:
                    machine.Resumed = false;
                    return Pause(fleet, machine);
                case PauseMachine when machine.State == MachineRunState.Paused:
                    fleet.Enter(machine, MachineRunState.Running);
                    return true;
                case SetDiskLimits limits:
                    return Limit(machine, limits.Disk, limits.Before);
                case SetVcpus vcpus:
                    return Vcpus(machine, vcpus.Before);
                case SetMemory memory:
                    return Memory(machine, memory.BeforeMiB);
                case SetBalloon balloon:
                    return Balloon(fleet, machine, balloon.BeforeMiB);
                case ChangeMedium medium:
                    return Medium(machine, medium.Disk, medium.BeforePath);
                default:
                    return false;
            }
        }
    }

    private static bool Run(Fleet fleet, SimulatedMachine machine)
    {
        switch (machine.State)
        {
            case MachineRunState.Running:
                return false;
            case MachineRunState.Prelaunch or MachineRunState.Paused or MachineRunState.IoError:
                machine.Resumed = machine.State == MachineRunState.Paused;
                fleet.Enter(machine, MachineRunState.Running);
                return true;
            default:
                throw Wrong(machine, "run");
        }
    }

    private static bool Pause(Fleet fleet, SimulatedMachine machine)
    {
        if (machine.State == MachineRunState.Paused)
            return false;
        if (machine.State != MachineRunState.Running)
            throw Wrong(machine, "be paused");
        fleet.Enter(machine, MachineRunState.Paused);
        return true;
    }

    private static bool Reset(Fleet fleet, SimulatedMachine machine)
    {
        if (machine.State == MachineRunState.Migrating)
            throw Wrong(machine, "be reset");
        fleet.Reset(machine, "The machine was reset.");
        return true;
    }

    private static bool End(Fleet fleet, SimulatedMachine machine) => fleet.End(machine, MachineEnd.Quit, "QEMU was asked to quit.", 0);

    private static bool Limit(SimulatedMachine machine, string name, DiskLimitsSpec limits)
    {
        var disk = Disk(machine, name);
        if ((machine.Limits?.GetValueOrDefault(name) ?? disk.Limits) == limits)
            return false;
        (machine.Limits ??= [])[name] = limits;
        return true;
    }

    private static bool Vcpus(SimulatedMachine machine, int count)
    {
        if (count < 1 || count > machine.Spec.Cpu.Max)
            throw new HostException(HostError.WrongState, $"The machine was started with room for {machine.Spec.Cpu.Max} vCPUs.") { Hint = "Raise cpu.max and start the machine anew." };
        if (machine.Spec.Cpu.Count == count)
            return false;
        machine.Spec = machine.Spec with { Cpu = machine.Spec.Cpu with { Count = count } };
        return true;
    }

    private static bool Memory(SimulatedMachine machine, int sizeMiB)
    {
        var memory = machine.Spec.Memory;
        if (sizeMiB > (memory.MaxMiB ?? memory.SizeMiB))
            throw new HostException(HostError.WrongState, $"The machine was started with room for {memory.MaxMiB ?? memory.SizeMiB} MiB.") { Hint = "Raise memory.maxMiB and start the machine anew." };
        if (sizeMiB < memory.SizeMiB)
            throw new HostException(HostError.WrongState, $"The machine was started with {memory.SizeMiB} MiB, which cannot be unplugged; the balloon can take of it.");
        if (memory.SizeMiB + memory.PluggedMiB == sizeMiB)
            return false;
        machine.BalloonMiB += sizeMiB - memory.SizeMiB - memory.PluggedMiB;
        machine.Spec = machine.Spec with { Memory = memory with { PluggedMiB = sizeMiB - memory.SizeMiB } };
        return true;
    }

    private static bool Balloon(Fleet fleet, SimulatedMachine machine, int targetMiB)
    {
        if (!machine.Spec.Balloon)
            throw new HostException(HostError.WrongState, "The machine has no balloon.");
        if (targetMiB <= 0)
            throw new HostException(HostError.QmpFailed, "Parameter 'target' expects a size") { QmpClass = "GenericError" };
        var reached = Math.Min(targetMiB, machine.Spec.Memory.SizeMiB + machine.Spec.Memory.PluggedMiB);
        if (machine.BalloonMiB == reached)
            return false;
        machine.BalloonMiB = reached;
        fleet.Notice(machine.Id, "balloon-change", $"The guest has {reached} MiB of memory now.");
        return true;
    }

    private static bool Medium(SimulatedMachine machine, string name, string? path)
    {
        var disk = Disk(machine, name);
        if (!disk.Cdrom)
            throw new HostException(HostError.WrongState, $"{name} is not a CD-ROM drive.");
        if ((machine.Media is { } media && media.TryGetValue(name, out var inside) ? inside : disk.Path) == path)
            return false;
        (machine.Media ??= [])[name] = path;
        return true;
    }

    private static DiskSpec Disk(SimulatedMachine machine, string name) =>
        machine.Spec.Disks.FirstOrDefault(disk => disk.Name == name)
        ?? throw new HostException(HostError.NotFound, $"The machine has no disk {name}.");

    private static HostException Wrong(SimulatedMachine machine, string what) =>
        new(HostError.WrongState, $"A machine in state {machine.State} cannot {what}.")
        {
            Hint = machine.State is MachineRunState.Panicked or MachineRunState.InternalError ? "Reset or end it." : null,
        };
}
