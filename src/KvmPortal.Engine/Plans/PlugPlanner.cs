using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>What a running machine can take of a change of vCPUs and memory.</summary>
/// <param name="Started">What its QEMU was started with room for; null where nobody wrote it down.</param>
/// <param name="GuestRuns">A guest that stands still can neither take nor give anything.</param>
/// <param name="Emulated">Runs on TCG.</param>
internal sealed record PlugRoom(StartedRoom? Started, VmDefinition Running, bool GuestRuns, bool Emulated)
{
    public static PlugRoom? Of(Vm vm, VmStatus status) => vm.RunningDefinition is { } running ? new PlugRoom(vm.StartedWith, running, status.State == VmState.Running, status.Accelerator == Accelerator.Tcg) : null;
}

/// <summary>Plans vCPUs and memory that come and go while the machine runs. Pure.</summary>
internal static class PlugPlanner
{
    /// <summary>The better answer for vCPUs and memory; others stay as they are.</summary>
    public static FieldEffect Judge(FieldEffect effect, VmDefinition after, PlugRoom? room)
    {
        if (room is null)
            return effect;
        var judged = effect.Pointer switch
        {
            "/cpu/count" => Vcpus(after.Cpu.Count, room),
            "/memory/sizeMiB" => Memory(after.Memory.SizeMiB, room),
            "/cpu/max" => (Effect.NextBoot, Say.RoomSinceStart),
            "/memory/maxMiB" => (Effect.NextBoot, Say.RoomSinceStart),
            "/memory/balloonMiB" => room.Running.Memory.Balloon ? (Effect.Live, Say.BalloonAtOnce) : (Effect.NextBoot, Say.BalloonNotThere),
            "/memory/minMiB" or "/memory/autoBalloon" => (Effect.Live, Say.PortalOnly),
            _ => (effect.Effect, effect.Reason),
        };
        return effect with { Effect = judged.Item1, Reason = judged.Item2 };
    }

    /// <param name="merged">What the machine runs with; afterwards with what these steps change.</param>
    public static IReadOnlyList<PlanStep> Steps(VmId id, VmDefinition running, VmDefinition after, PlugRoom? room, ref VmDefinition merged)
    {
        var steps = new List<PlanStep>();
        if (room is null)
            return steps;
        if (after.Memory.SizeMiB != running.Memory.SizeMiB && Memory(after.Memory.SizeMiB, room) is (Effect.HotPlug, var why))
        {
            steps.Add(PlanStep.Host(new SetMemory { MachineId = id.Value, SizeMiB = after.Memory.SizeMiB, BeforeMiB = running.Memory.SizeMiB },
                Say.SetMemory(running.Memory.SizeMiB, after.Memory.SizeMiB), why));
            merged = merged with { Memory = merged.Memory with { SizeMiB = after.Memory.SizeMiB } };
        }

        if (Target(after) is var target && (target ?? merged.Memory.SizeMiB) is var keep && target != Target(running) && running.Memory.Balloon)
        {
            steps.Add(PlanStep.Host(new SetBalloon { MachineId = id.Value, TargetMiB = Math.Min(keep, merged.Memory.SizeMiB), BeforeMiB = Target(running) ?? running.Memory.SizeMiB }, Say.SetBalloon(Math.Min(keep, merged.Memory.SizeMiB)), Say.BalloonAtOnce));
            merged = merged with { Memory = merged.Memory with { BalloonMiB = target } };
        }

        if (after.Cpu.Count != running.Cpu.Count && Vcpus(after.Cpu.Count, room) is (Effect.HotPlug, var because))
        {
            steps.Add(PlanStep.Host(new SetVcpus { MachineId = id.Value, Count = after.Cpu.Count, Before = running.Cpu.Count }, Say.SetVcpus(running.Cpu.Count, after.Cpu.Count), because));
            merged = merged with { Cpu = merged.Cpu with { Count = after.Cpu.Count } };
        }

        return steps;
    }

    private static int? Target(VmDefinition definition) => definition.Memory.BalloonMiB;

    private static (Effect, Sentence) Vcpus(int count, PlugRoom room) =>
        room.Started is not { } started ? (Effect.NextBoot, Say.CpusSinceStart)
        : room.Running.Machine == MachineChoice.Microvm ? (Effect.NextBoot, Say.MicrovmNoCpuPlug)
        : count > started.MaxVcpus ? (Effect.NextBoot, Say.NoVcpuRoom(started.MaxVcpus))
        : !room.GuestRuns ? (Effect.NextBoot, Say.GuestStandsStill)
        // QEMU 7.2 corrupts its own heap when an emulated vCPU is unplugged, and dies when the next one is plugged.
        : room.Emulated && count < room.Running.Cpu.Count ? (Effect.NextBoot, Say.EmulatedVcpusStay)
        : (Effect.HotPlug, count > room.Running.Cpu.Count ? Say.VcpusPlugged : Say.VcpusUnplugged);

    private static (Effect, Sentence) Memory(int sizeMiB, PlugRoom room) =>
        room.Started is not { } started ? (Effect.NextBoot, Say.MemorySinceStart)
        : started.MaxMemoryMiB is not { } max ? (Effect.NextBoot, Say.NoMemoryRoom(started.MemoryMiB))
        : sizeMiB > max ? (Effect.NextBoot, Say.NoMemoryRoom(max))
        : sizeMiB < started.MemoryMiB ? (Effect.NextBoot, Say.StartMemoryStays(started.MemoryMiB))
        : (sizeMiB - started.MemoryMiB) % MemorySpec.StepMiB != 0 ? (Effect.NextBoot, Say.MemoryStep(MemorySpec.StepMiB))
        : !room.GuestRuns ? (Effect.NextBoot, Say.GuestStandsStill)
        : (Effect.HotPlug, sizeMiB > room.Running.Memory.SizeMiB ? Say.MemoryGrows : Say.MemoryShrinks);
}
