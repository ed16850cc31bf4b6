using System.Text.Json;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qemu;

namespace KvmPortal.Host.Simulated;

/// <summary>Where pretended threads are: where they were put, unless the machine's name contains `drift`; then the thread of its vCPU 0 may run anywhere.</summary>
internal static class SimulatedPlacement
{
    public static bool Pin(SimulatedMachine machine, MachinePlacement? placement)
    {
        if (placement is not null && (placement.Emulator.IsEmpty || placement.Vcpus.Any(v => v.IsEmpty)))
            throw new HostException(HostError.NotAllowed, "The placement leaves a thread without a CPU.");
        // By value: a step that is repeated comes from its row in the database.
        var changed = JsonSerializer.Serialize(machine.Placement) != JsonSerializer.Serialize(placement);
        machine.Placement = placement;
        return changed;
    }

    /// <summary>A fifth of each CPU is used; only a machine that floats waits for others and is preempted.</summary>
    public static MachineEvidence Evidence(SimulatedMachine machine, DateTimeOffset now)
    {
        var microseconds = (long)machine.Uptime(now).TotalMilliseconds * 1000;
        return new MachineEvidence(now, Vcpus(machine, now), microseconds / 1_000_000, 0)
        {
            Pressure = [new PressureEvidence("cpu", "/proc/pressure/cpu", false, machine.Placement is null ? microseconds / 500 : 0, null)],
            Nodes = [new NodeEvidence(0, 0, 0)],
            Kvm = machine.Spec.Accelerator == Accelerator.Tcg ? KvmCounterState.Emulated : KvmCounterState.There,
            KvmCounters = machine.Spec.Accelerator == Accelerator.Tcg ? new Dictionary<string, long>()
                : new Dictionary<string, long> { ["exits"] = microseconds / 1000, ["halt_exits"] = microseconds / 4000, ["halt_attempted_poll"] = microseconds / 4000, ["halt_successful_poll"] = microseconds / 5000 },
        };
    }

    /// <summary>A guest in its place loses about 2 %, one that floats about 8 %; each pair a little more or less.</summary>
    public static LossMeasurement Loss(MeasureLoss step, DateTimeOffset now)
    {
        var placement = step.Spec.Placement;
        var pairs = Enumerable.Range(0, step.Rounds).Select(i =>
        {
            var slower = (placement is null ? 1.08 : 1.02) + ((i % 3 - 1) * 0.004);
            long Guest(long host) => (long)(host * slower);
            return new LossPair(i % step.Spec.Cpu.Count, new LossRound(40_000_000, 30_000_000, 2_000_000, 3_000, 9_000, 12_000_000),
                new LossRound(Guest(40_000_000), Guest(30_000_000), Guest(2_000_000), 9_000 + (i * 100), 30_000, Guest(12_600_000)));
        }).ToList();
        return new LossMeasurement(step.MachineId, now, step.Spec.Accelerator, step.KernelPath ?? "/boot/vmlinuz-simulated", placement is null ? CpuSet.Empty : CpuSet.Union(placement.Vcpus), pairs, null);
    }

    private static List<VcpuEvidence> Vcpus(SimulatedMachine machine, DateTimeOffset now)
    {
        var ran = (long)machine.Uptime(now).TotalMilliseconds * 1_000_000;
        return [.. Enumerable.Range(0, machine.Spec.Cpu.Count).Select(_ => new VcpuEvidence(ran / 5, machine.Placement is null ? ran / 500 : 0, machine.Placement is null ? ran / 1_000_000_000 : 0))];
    }

    public static PlacementReport Report(SimulatedMachine machine, CpuSet all, DateTimeOffset now)
    {
        var placement = machine.Placement;
        var first = machine.Pid * 100;
        var threads = new List<PlacedThread> { Thread(first, "qemu-system-x86", ThreadRole.Emulator, null, placement?.Emulator) };
        foreach (var disk in machine.Spec.Disks.Where(d => d.IoThread))
            threads.Add(Thread(first + threads.Count, DiskNames.IoThread(disk.Name), ThreadRole.IoThread, null, placement?.IoThreads.GetValueOrDefault(DiskNames.IoThread(disk.Name), placement.Emulator)));
        for (var i = 0; i < machine.Spec.Cpu.Count; i++)
            threads.Add(Thread(first + threads.Count, $"CPU {i}/KVM", ThreadRole.Vcpu, i, i < placement?.Vcpus.Count ? placement.Vcpus[i] : placement?.Emulator));
        var moved = placement is null || !machine.Script.Drift ? -1 : threads.FindIndex(t => t.Role == ThreadRole.Vcpu);
        if (moved >= 0)
            threads[moved] = threads[moved] with { Actual = all };
        var memory = placement is null
            ? [new PlacedMemory(0, new Dictionary<long, long> { [machine.Spec.Memory.PageSizeKiB] = machine.Spec.Memory.SizeMiB })]
            : placement.Nodes.GroupBy(n => n.HostNode ?? 0).OrderBy(n => n.Key)
                .Select(n => new PlacedMemory(n.Key, n.GroupBy(m => m.HugePageKiB ?? 4).ToDictionary(m => m.Key, m => m.Sum(x => (long)x.SizeMiB)))).ToList();
        List<string> drifts = [.. threads.Where(t => !t.Right).Select(t => Pinning.Sentences.Moved(new Pinning.Place(machine.Pid, t.ThreadId, t.Name, t.Role, t.Index, t.Wanted), t.Actual))];
        return new PlacementReport(now, placement, threads, memory, drifts) { Evidence = Vcpus(machine, now) };

        PlacedThread Thread(int id, string name, ThreadRole role, int? index, CpuSet? wanted) => new(id, name, role, index, wanted ?? CpuSet.Empty, wanted ?? all);
    }
}
