using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Launch;

/// <summary>
/// One control group (version 2) per machine, below a group of this portal's own: limits are written before the process starts and read back after.
/// A host without the controllers gives what it has; the rest is said. Source: Documentation/admin-guide/cgroup-v2.rst of the kernel.
/// </summary>
internal sealed class ControlGroups
{
    private static readonly string[] Wanted = ["cpu", "memory", "io", "pids", "cpuset"];
    private readonly HostPaths paths;
    private readonly string? root;
    private readonly string? parent;
    private readonly string why;
    private readonly HashSet<string> controllers = [];

    /// <param name="name">Names this portal's group, so that two portals on a host keep apart.</param>
    public ControlGroups(HostPaths paths, string name)
    {
        this.paths = paths;
        why = "The host has no cgroup v2.";
        var mount = (HostPaths.Read(paths.Proc("self/mounts")) ?? "").Split('\n').Select(l => l.Split(' ')).FirstOrDefault(f => f.Length > 2 && f[2] == "cgroup2");
        if (mount is null)
            return;
        root = paths.In(mount[1].TrimStart('/'));
        foreach (var controller in (HostPaths.Read(Path.Combine(root, "cgroup.controllers")) ?? "").Split(' '))
            if (Wanted.Contains(controller))
                controllers.Add(controller);
        why = $"The host's cgroup v2 at {mount[1]} does not have this controller; it is probably bound to cgroup v1. The boot parameter systemd.unified_cgroup_hierarchy=1 gives all of them to version 2.";
        if (controllers.Count == 0)
            return;
        try
        {
            var group = root;
            foreach (var part in (string[])["kvmportal", name])
            {
                Enable(group);
                group = Path.Combine(group, part);
                Directory.CreateDirectory(group);
            }

            Enable(group);
            parent = group;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            controllers.Clear();
            why = $"The portal cannot make control groups below {mount[1]}: {e.Message}";
        }
    }

    /// <summary>The group of version 2 that a process is in, as a path; null when there is none.</summary>
    public string? GroupOf(int pid) => (HostPaths.Read(paths.Proc($"{pid}/cgroup")) ?? "").Split('\n').FirstOrDefault(l => l.StartsWith("0::/", StringComparison.Ordinal)) is { } line && root is not null
        ? Path.Combine(root, line[4..]) : null;

    /// <summary>Why a controller is not to be had here; null when it is.</summary>
    public string? WhyNot(string controller) => controllers.Contains(controller) ? null : why;

    /// <summary>Whether a group is one below the root: that of a machine, not the host's own.</summary>
    public bool Owns(string group) => root is not null && group.StartsWith(root + "/", StringComparison.Ordinal);

    /// <summary>The groups from just below the root down to this one.</summary>
    public IEnumerable<string> Levels(string group)
    {
        if (!Owns(group))
            yield break;
        var level = root!;
        foreach (var part in group[(root!.Length + 1)..].Split('/', StringSplitOptions.RemoveEmptyEntries))
            yield return level = Path.Combine(level, part);
    }

    /// <summary>The machine's group; null where the host has none.</summary>
    public string? PathOf(Guid id) => parent is null ? null : Path.Combine(parent, $"vm-{id:N}");

    /// <summary>Makes the group and writes its limits, before anything runs in it. What cannot be written shows when it is read back.</summary>
    public void Prepare(MachineSpec spec, string? ioDevice)
    {
        if (PathOf(spec.Id) is not { } group)
            return;
        Directory.CreateDirectory(group);
        foreach (var (file, value) in Settings(spec, ioDevice))
            Write(Path.Combine(group, file), value);
    }

    /// <summary>Moves the process, which has only just begun, and with it everything that it starts.</summary>
    public void Join(Guid id, int pid)
    {
        if (PathOf(id) is { } group)
            Write(Path.Combine(group, "cgroup.procs"), pid.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Removes the group of a machine that has ended.</summary>
    public void Remove(Guid id)
    {
        if (PathOf(id) is not { } group || !Directory.Exists(group))
            return;
        try
        {
            Directory.Delete(group);
        }
        catch (IOException)
        {
            // The last process is still being reaped; the next start uses the same group.
        }
    }

    /// <summary>What is in force, read back from the group.</summary>
    /// <param name="group">The group that is to be looked at; null takes the one that <see cref="Prepare"/> made.</param>
    public IEnumerable<Measure> Read(MachineSpec spec, int pid, string? ioDevice, string? group = null)
    {
        group ??= PathOf(spec.Id);
        var inside = group is not null && (HostPaths.Read(Path.Combine(group, "cgroup.procs")) ?? "").Split('\n').Contains(pid.ToString(CultureInfo.InvariantCulture));
        var limits = spec.Confinement.Limits;
        yield return Of(Measures.Cpu, "cpu", $"weight {limits.CpuWeight}, maximum {(limits.CpuPercent is { } percent ? $"{percent} % of a CPU" : "none")}", "cpu.weight", "cpu.max");
        yield return Of(Measures.Memory, "memory", $"maximum {MemoryMaxMiB(spec)} MiB", "memory.max");
        yield return Limited(limits) && ioDevice is null ? new Measure(Measures.Io, MeasureState.Skipped, "The folder of the disks is on no single block device.")
            : Of(Measures.Io, "io", "weight and maxima", "io.weight", "io.max");
        yield return Of(Measures.Tasks, "pids", $"at most {limits.TasksMax}", "pids.max");

        Measure Of(string measure, string controller, string what, params string[] files)
        {
            if (!controllers.Contains(controller))
                return new Measure(measure, MeasureState.Skipped, why);
            if (!inside)
                return new Measure(measure, MeasureState.Failed, $"The process is not in its control group {group}.");
            var settings = Settings(spec, ioDevice).Where(s => files.Contains(s.File)).ToList();
            var wrong = settings.Where(s => !Holds(HostPaths.Read(Path.Combine(group!, s.File)), s.Value)).Select(s => s.File).ToList();
            return wrong.Count == 0 ? new Measure(measure, MeasureState.InForce, $"{what} ({string.Join(", ", settings.Select(s => $"{s.File} = {s.Value}"))})")
                : new Measure(measure, MeasureState.Failed, $"{string.Join(", ", wrong)} did not take the value.");
        }
    }

    /// <summary>The guest's memory and what QEMU needs beside it: device state, page tables and, under TCG, the translated code (up to 1 GiB).</summary>
    private static int Most(MemorySpec memory) => memory.MaxMiB ?? memory.SizeMiB;

    public static int MemoryMaxMiB(MachineSpec spec) =>
        spec.Confinement.Limits.MemoryMaxMiB ?? Most(spec.Memory) + Most(spec.Memory) / 32 + (spec.Accelerator == Accelerator.Tcg ? 1536 : 512);

    private static bool Limited(ControlGroupSpec limits) => limits.IoReadMiBps + limits.IoWriteMiBps + limits.IoReadIops + limits.IoWriteIops > 0;

    private IEnumerable<(string File, string Value)> Settings(MachineSpec spec, string? ioDevice)
    {
        var limits = spec.Confinement.Limits;
        if (controllers.Contains("cpu"))
        {
            yield return ("cpu.weight", Text(limits.CpuWeight));
            yield return ("cpu.max", limits.CpuPercent is { } percent ? $"{Text(percent * 1000L)} 100000" : "max 100000");
        }

        if (controllers.Contains("memory"))
            yield return ("memory.max", Text((long)MemoryMaxMiB(spec) << 20));
        if (controllers.Contains("pids"))
            yield return ("pids.max", Text(limits.TasksMax));
        if (!controllers.Contains("io"))
            yield break;
        yield return ("io.weight", $"default {limits.IoWeight}");
        if (ioDevice is not null && Limited(limits))
            yield return ("io.max", $"{ioDevice} rbps={Most(limits.IoReadMiBps * 1048576L)} wbps={Most(limits.IoWriteMiBps * 1048576L)} riops={Most(limits.IoReadIops)} wiops={Most(limits.IoWriteIops)}");
    }

    private void Enable(string group)
    {
        foreach (var controller in controllers.ToList())
            if (!Write(Path.Combine(group, "cgroup.subtree_control"), $"+{controller}"))
                controllers.Remove(controller);
    }

    /// <summary>The kernel rounds memory to pages and prints several lines for io; both still hold the value.</summary>
    private static bool Holds(string? text, string value) =>
        text is not null && (text.Split('\n').Contains(value) || (long.TryParse(text, out var is_) && long.TryParse(value, out var wanted) && is_ <= wanted && wanted - is_ < 4096));

    private static bool Write(string file, string value)
    {
        try
        {
            File.WriteAllText(file, value);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string Most(long value) => value == 0 ? "max" : Text(value);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
