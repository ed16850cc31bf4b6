namespace KvmPortal.Host.Contract;

/// <summary>
/// Runs the same small workloads on the host's CPUs that are planned for a machine and in a throw-away guest with the machine's CPUs, memory and placement, in turns. The machine itself must not run, and
/// its disks are not touched. Undo removes what is left; nothing is left when it ends, however it ends. Result: <see cref="StepDone.Loss"/>.
/// </summary>
public sealed record MeasureLoss : MachineStep
{
    public override string Kind => "measure-loss";
    /// <summary>As the machine would start; disks, cards, firmware and consoles are left out.</summary>
    public required MachineSpec Spec { get; init; }
    /// <summary>Pairs of a round on the host and one in the guest, 3 to 30.</summary>
    public required int Rounds { get; init; }
    /// <summary>Linux for the guest; null: the newest of the host's /boot.</summary>
    public string? KernelPath { get; init; }
    /// <summary>Goes before the workload's own initramfs: drivers in its /mods are loaded.</summary>
    public string? InitrdPath { get; init; }
}

/// <summary>What was measured, pair by pair.</summary>
/// <param name="Kernel">File that the guest ran.</param>
/// <param name="HostCpus">Where the machine's vCPUs and the host's rounds ran; empty: wherever the host's scheduler put them.</param>
/// <param name="DiskProblem">Why no disk was measured; null where it was.</param>
public sealed record LossMeasurement(Guid MachineId, DateTimeOffset At, Accelerator Accelerator, string Kernel, CpuSet HostCpus, IReadOnlyList<LossPair> Pairs, string? DiskProblem);

public sealed record LossPair(int Vcpu, LossRound Host, LossRound Guest);

/// <summary>One round; nanoseconds.</summary>
/// <param name="Compute">Integer arithmetic in registers.</param>
/// <param name="Chase">Dependent accesses all over a buffer: latency of memory and of page tables.</param>
/// <param name="Stream">Reading the buffer in order.</param>
/// <param name="Timer">Mean time that sleeps of 500 µs were too long.</param>
/// <param name="WorstTimer">The longest of them.</param>
/// <param name="Disk">256 accesses of 4 KiB in turns read and written, past the page cache; null: not measured.</param>
public sealed record LossRound(long Compute, long Chase, long Stream, long Timer, long WorstTimer, long? Disk);
