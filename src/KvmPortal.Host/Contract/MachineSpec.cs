namespace KvmPortal.Host.Contract;

/// <summary>
/// One machine, resolved for one host and one QEMU: absolute paths, MAC addresses, accelerator and versioned machine type are all decided.
/// The only input about the machine that the argv builder has.
/// </summary>
public sealed record MachineSpec
{
    /// <summary>The VM's id; also the guest's SMBIOS UUID.</summary>
    public required Guid Id { get; init; }
    /// <summary>VM name, for `-name`; already validated ([A-Za-z0-9][A-Za-z0-9._-]{0,62}).</summary>
    public required string Name { get; init; }
    public required Accelerator Accelerator { get; init; }
    public required MachineFamily Family { get; init; }
    /// <summary>Versioned type, e.g. `pc-q35-7.2`; `microvm` has no versions.</summary>
    public required string MachineType { get; init; }
    public required CpuSpec Cpu { get; init; }
    public required MemorySpec Memory { get; init; }
    public required FirmwareSpec Firmware { get; init; }
    public DirectBootSpec? DirectBoot { get; init; }
    public IReadOnlyList<DiskSpec> Disks { get; init; } = [];
    public IReadOnlyList<NicSpec> Nics { get; init; } = [];
    /// <summary>True: a VNC display with a VGA adapter; false: `-display none`.</summary>
    public bool Vnc { get; init; } = true;
    public bool Serial { get; init; } = true;
    public bool Balloon { get; init; } = true;
    public bool GuestAgent { get; init; } = true;
    public bool Rng { get; init; } = true;
    /// <summary>VM generation id; null where the machine type has none (microvm).</summary>
    public Guid? GenerationId { get; init; }
    public bool Tpm { get; init; }
    /// <summary>A file with saved machine state to resume from (`suspend`); null for a fresh boot.</summary>
    public string? RestoreFrom { get; init; }
    public ConfinementSpec Confinement { get; init; } = new();
    /// <summary>The clock of the board shows local time, as Windows wants it, and catches up on ticks that were lost.</summary>
    public bool LocalClock { get; init; }
    /// <summary>Nobody else runs on the other threads of a core while this machine runs on one.</summary>
    public bool CoreScheduling { get; init; }
    /// <summary>Where its threads and memory go; null leaves them to the host's scheduler.</summary>
    public MachinePlacement? Placement { get; init; }
}

public enum Accelerator { Kvm, Tcg }

public enum MachineFamily { Q35, Microvm }

/// <param name="Model">A QEMU CPU model: `host`, `max` or a named one.</param>
/// <param name="Max">vCPUs that may be plugged in all; equals Count when hot-plug is not wanted.</param>
/// <param name="ThreadsPerCore">Guest-visible SMT threads per core; Max is a multiple of it.</param>
public sealed record CpuSpec(int Count, int Max, string Model, int ThreadsPerCore)
{
    /// <summary>With `host` on KVM: also what can be neither saved nor moved to another host (an invariant TSC). For machines that stay.</summary>
    public bool Exact { get; init; }
    /// <summary>On KVM the guest is told that its CPUs are its own: its locks spin without yielding, and it polls for itself before it sleeps.</summary>
    public bool DedicatedHints { get; init; }
    /// <summary>False: the guest is not told how long others had its CPUs (real-time guests, for which there are no others).</summary>
    public bool StealTime { get; init; } = true;
    /// <summary>On KVM Windows finds the interfaces of Hyper-V, which are cheaper than emulated timers and interrupts.</summary>
    public bool HyperV { get; init; }
}

/// <param name="SizeMiB">At the start.</param>
/// <param name="PageSizeKiB">4 for ordinary pages, 2048 or 1048576 for huge pages.</param>
public sealed record MemorySpec(int SizeMiB, int PageSizeKiB)
{
    /// <summary>Up to how much all of the guest's memory may grow while it runs, MiB; null: not at all. A step of <see cref="StepMiB"/> above <see cref="SizeMiB"/>.</summary>
    public int? MaxMiB { get; init; }
    /// <summary>What has been added to <see cref="SizeMiB"/> since the start, MiB.</summary>
    public int PluggedMiB { get; init; }

    /// <summary>Memory grows and shrinks in steps of so many MiB.</summary>
    public const int StepMiB = 4;
}

public enum FirmwareType { Bios, Uefi }

/// <param name="SecureBoot">Needs UEFI on q35; enforced through SMM.</param>
public sealed record FirmwareSpec(FirmwareType Type, bool SecureBoot);

public sealed record DirectBootSpec(string KernelPath, string? InitrdPath, string CommandLine);

public enum DiskBus { VirtioBlk, VirtioScsi, Sata }

public enum DiskFormat { Raw, Qcow2 }

/// <summary>One disk or CD-ROM. <see cref="Name"/> is validated ([a-z][a-z0-9]{0,15}) and becomes the QEMU id.</summary>
public sealed record DiskSpec
{
    public required string Name { get; init; }
    public required DiskBus Bus { get; init; }
    public required DiskFormat Format { get; init; }
    /// <summary>Absolute path; null is an empty CD-ROM drive.</summary>
    public string? Path { get; init; }
    /// <summary>Backing chain below <see cref="Path"/>, nearest first, each with its explicit format; never read from the image itself.</summary>
    public IReadOnlyList<BackingFile> Backing { get; init; } = [];
    public bool Cdrom { get; init; }
    public bool ReadOnly { get; init; }
    /// <summary>1-based boot position; null: not bootable.</summary>
    public int? BootIndex { get; init; }
    /// <summary>Own iothread (fast disks).</summary>
    public bool IoThread { get; init; }
    /// <summary>So many I/O threads share its queues; more than one needs a QEMU that can map them (9.0).</summary>
    public int IoThreads { get; init; } = 1;
    /// <summary>Limits; 0 is unlimited. Every disk has a throttle group so that limits can change live.</summary>
    public DiskLimitsSpec Limits { get; init; } = new(0, 0);
}

public sealed record BackingFile(string Path, DiskFormat Format);

public sealed record DiskLimitsSpec(long Iops, long BytesPerSecond);

public enum NicKind { User }

public sealed record NicSpec
{
    public required string Name { get; init; }
    public required NicKind Kind { get; init; }
    /// <summary>Canonical lower-case MAC, `52:54:00:xx:xx:xx`.</summary>
    public required string Mac { get; init; }
    public IReadOnlyList<PortForward> Forwards { get; init; } = [];
    public int? BootIndex { get; init; }
}

public enum ForwardProtocol { Tcp, Udp }

/// <param name="HostAddress">Address the host listens on; default 127.0.0.1.</param>
public sealed record PortForward(ForwardProtocol Protocol, string HostAddress, int HostPort, int GuestPort);
