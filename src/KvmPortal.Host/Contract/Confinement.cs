namespace KvmPortal.Host.Contract;

/// <summary>How a machine's processes are to be confined; part of its spec.</summary>
public sealed record ConfinementSpec
{
    /// <summary>The user and group id that only this machine has, from the portal's reserved range; null runs it as the portal's own user.</summary>
    public int? Uid { get; init; }
    public ControlGroupSpec Limits { get; init; } = new();
}

/// <summary>Limits by the kernel's control groups (version 2: Documentation/admin-guide/cgroup-v2.rst).</summary>
public sealed record ControlGroupSpec
{
    /// <summary>`cpu.weight`, 1 to 10000; 100 is the kernel's default.</summary>
    public int CpuWeight { get; init; } = 100;
    /// <summary>`cpu.max` in percent of one CPU; null is unlimited.</summary>
    public int? CpuPercent { get; init; }
    /// <summary>`memory.max` of QEMU and its companions together; null takes the guest's memory and what QEMU needs beside it.</summary>
    public int? MemoryMaxMiB { get; init; }
    /// <summary>`io.weight`, 1 to 10000.</summary>
    public int IoWeight { get; init; } = 100;
    /// <summary>`io.max` of the device that holds the disks; 0 is unlimited.</summary>
    public int IoReadMiBps { get; init; }
    public int IoWriteMiBps { get; init; }
    public int IoReadIops { get; init; }
    public int IoWriteIops { get; init; }
    /// <summary>`pids.max`: threads and processes.</summary>
    public int TasksMax { get; init; } = 1024;
}

public enum MeasureState { InForce, Skipped, Failed }

/// <param name="Name">One of <see cref="Measures"/>.</param>
/// <param name="Evidence">What was read back from the running process, or why the measure was skipped.</param>
public sealed record Measure(string Name, MeasureState State, string Evidence);

/// <summary>What confines a running machine, read back from the kernel after its start and before its CPUs ran.</summary>
/// <param name="Launcher">`own` (the portal's chain of util-linux programs) or `systemd` (a transient service).</param>
public sealed record ConfinementReport(DateTimeOffset At, string Launcher, IReadOnlyList<Measure> Measures);

/// <summary>The closed list of measures.</summary>
public static class Measures
{
    public const string Identity = "identity";
    public const string Groups = "groups";
    public const string Capabilities = "capabilities";
    public const string NoNewPrivileges = "no-new-privileges";
    public const string Seccomp = "seccomp";
    public const string MountView = "mount-view";
    public const string Namespaces = "namespaces";
    public const string Network = "network";
    public const string Descriptors = "descriptors";
    public const string Environment = "environment";
    public const string CoreDumps = "core-dumps";
    public const string Umask = "umask";
    public const string RunDirectory = "run-directory";
    public const string Companions = "companions";
    public const string Cpu = "cgroup-cpu";
    public const string Memory = "cgroup-memory";
    public const string Io = "cgroup-io";
    public const string Tasks = "cgroup-tasks";
    /// <summary>That nobody else runs on the CPUs of a pinned machine's vCPUs; read when it is pinned.</summary>
    public const string Exclusivity = "exclusivity";
    /// <summary>That nobody else runs beside it on a core; read when it is pinned, where its placement asks for that.</summary>
    public const string CoreScheduling = "core-scheduling";

    public static IReadOnlyList<string> All { get; } =
        [Identity, Groups, Capabilities, NoNewPrivileges, Seccomp, MountView, Namespaces, Network, Descriptors, Environment, CoreDumps, Umask, RunDirectory, Companions, Cpu, Memory, Io, Tasks, Exclusivity, CoreScheduling];
}
