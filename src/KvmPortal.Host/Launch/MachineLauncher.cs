using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Launch;

/// <summary>The processes of one start, and what was read back about their confinement.</summary>
internal sealed record LaunchedProcesses(QemuProcess Qemu, QemuProcess? Tpm);

/// <summary>
/// Starts QEMU and its companions so that a guest that breaks out of QEMU gains nothing: a user of its own, no capability, a view of just its own files, its
/// own control group. What this host cannot give is left out with the reason, and everything is read back (see <see cref="ConfinementReader"/>).
/// </summary>
internal sealed class MachineLauncher(HostFolders folders, HostPaths host, HostOptions options, TimeProvider time)
{
    private readonly Launcher launcher = new();
    private readonly ConfinementReader reader = new(host);
    private readonly ControlGroups groups = new(host, Path.GetFileName(options.RunRoot));
    private readonly CoreScheduling cores = new();
    private CpuPartitions? partitions;
    private readonly Lazy<string?> ioDevice = new(() => BlockDevices.Below(host, folders.Disks));

    /// <summary>How this machine can be confined on this host.</summary>
    private sealed record Plan(int? Uid, IReadOnlyList<int> Groups, bool View, bool HostNetwork, IReadOnlyDictionary<string, string> Skipped);

    /// <summary>Starts swtpm, if the machine has a TPM, and QEMU. Throws LaunchFailed; what was started is then still to be ended by the caller.</summary>
    public async Task StartAsync(MachineSpec spec, IReadOnlyList<string> argv, MachinePaths at, Action<LaunchedProcesses> started, CancellationToken ct)
    {
        if (!UsesSystemd)
            MemoryLock.Require(host, spec);
        var plan = Decide(spec, at);
        GiveFiles(spec, at, plan.Uid);
        if (!UsesSystemd)
            groups.Prepare(spec, ioDevice.Value);
        QemuProcess? tpm = null;
        if (spec.Tpm)
        {
            var command = new ConfinedCommand { Argv = SoftwareTpm.Argv(at), Output = at.TpmLog, Uid = plan.Uid, HostNetwork = false };
            tpm = await SpawnAsync(spec, "tpm", command, plan.View, at.TpmViewDirectory, [new(at.RunDirectory, true), new(at.TpmState, true)], ct);
            started(new LaunchedProcesses(tpm, tpm));
            await SoftwareTpm.WaitAsync(tpm, at, ct);
        }

        var machine = new ConfinedCommand { Argv = argv, Output = at.StderrFile, Uid = plan.Uid, Groups = plan.Groups, HostNetwork = plan.HostNetwork, LocksMemory = spec.Placement is { Locked: true } };
        var qemu = await SpawnAsync(spec, "vm", machine, plan.View, at.ViewDirectory, [.. ViewOf(spec, at, argv[0])], ct);
        started(new LaunchedProcesses(qemu, tpm));
    }

    private bool UsesSystemd => options.Systemd ?? SystemdUnits.Available;

    private async Task<QemuProcess> SpawnAsync(MachineSpec spec, string kind, ConfinedCommand command, bool view, string viewFolder, IReadOnlyList<ViewFile> files, CancellationToken ct)
    {
        if (UsesSystemd)
            return await SystemdUnits.StartAsync($"kvmportal-{kind}-{spec.Id:N}", command with { Partitioned = kind == "vm" && spec.Placement is not null }, files, spec.Confinement.Limits, ControlGroups.MemoryMaxMiB(spec), ioDevice.Value, ct);
        var process = Launcher.Spawn(command with { View = view ? new MountView(viewFolder, files) : null });
        groups.Join(spec.Id, process.Pid);
        return process;
    }

    /// <summary>Reads back what is in force. Throws LaunchFailed when a measure that the settings require is not.</summary>
    public ConfinementReport Inspect(MachineSpec spec, MachinePaths at, LaunchedProcesses processes)
    {
        var plan = Decide(spec, at);
        var own = OwnFiles(spec, at).Select(f => f.Path).Concat([at.RunDirectory, at.StderrFile]).ToList();
        List<Measure> measures =
        [
            .. reader.Read(processes.Qemu.Pid, plan.Uid, at.RunDirectory, plan.Skipped, own),
            processes.Tpm is { } tpm ? reader.Companion("swtpm", tpm.Pid, plan.Uid) : new Measure(Measures.Companions, MeasureState.Skipped, "The machine has no companion process."),
            .. groups.Read(spec, processes.Qemu.Pid, ioDevice.Value, UsesSystemd ? groups.GroupOf(processes.Qemu.Pid) : null),
        ];
        if (spec is { CoreScheduling: true, Placement: null })
            measures.Add(cores.Isolate(processes.Qemu.Pid));
        var report = new ConfinementReport(time.GetUtcNow(), UsesSystemd ? "systemd" : "own", measures);
        Require(measures);
        return report;
    }

    private void Require(IEnumerable<Measure> measures)
    {
        var missing = measures.Where(m => m.State != MeasureState.InForce && options.RequiredMeasures.Contains(m.Name)).ToList();
        if (missing.Count > 0)
            throw new HostException(HostError.NotAllowed, $"The machine is not confined as the settings require: {string.Join("; ", missing.Select(m => $"{m.Name}: {m.Evidence}"))}.")
            {
                Hint = "Give the host what is missing, or take the measure out of the setting Host:RequiredMeasures.",
            };
    }

    /// <summary>
    /// Keeps others off the CPUs that a placement dedicates to vCPUs, and off the other threads of its cores, as far as this host can. Throws NotAllowed where the settings require
    /// it and it cannot.
    /// </summary>
    public IReadOnlyList<Measure> Isolate(Guid id, int pid, MachinePlacement placement, IReadOnlyList<int> vcpuThreads)
    {
        var dedicated = CpuPartitions.Dedicated(placement);
        List<Measure> measures = [Partitions.Isolate(GroupOf(id, pid), dedicated, vcpuThreads)];
        if (placement.CoreScheduling)
            measures.Add(cores.Isolate(pid));
        else
            cores.Release(pid);
        Require(measures.Where(m => m.Name != Measures.Exclusivity || !dedicated.IsEmpty));
        return measures;
    }

    public void Release(Guid id, int pid)
    {
        Partitions.Release(GroupOf(id, pid));
        cores.Release(pid);
    }

    /// <summary>What the kernel says of a machine's partition; null while it is in force.</summary>
    public string? PartitionProblem(Guid id, int pid) => Partitions.Problem(GroupOf(id, pid));

    private CpuPartitions Partitions => partitions ??= new CpuPartitions(groups);

    private string? GroupOf(Guid id, int pid) => UsesSystemd ? groups.GroupOf(pid) : groups.PathOf(id);

    /// <summary>Removes what a start made outside the machine's own folders.</summary>
    public void CleanUp(Guid id, MachinePaths at)
    {
        // A unit's group goes with the unit.
        Partitions.Release(groups.PathOf(id));
        MountView.Remove(at.ViewDirectory);
        MountView.Remove(at.TpmViewDirectory);
        groups.Remove(id);
    }

    private Plan Decide(MachineSpec spec, MachinePaths at)
    {
        var skipped = new Dictionary<string, string>();
        var uid = spec.Confinement.Uid;
        if (!Launcher.IsRoot)
        {
            const string why = "The portal does not run as root, so its machines run as its own user.";
            uid = null;
            foreach (var measure in (string[])[Measures.Identity, Measures.Groups, Measures.Capabilities])
                skipped[measure] = why;
        }
        else if (uid is null)
            skipped[Measures.Identity] = skipped[Measures.Groups] = "No user id is reserved for this machine.";
        var view = UsesSystemd || launcher.NoView is null;
        if (!view && launcher.NoView is { } noView)
        {
            skipped[Measures.MountView] = skipped[Measures.Namespaces] = skipped[Measures.Network] = noView;
            if (uid is not null && BarrierOf(spec, at) is { } barrier)
            {
                skipped[Measures.Identity] = skipped[Measures.Groups] = $"Without a mount view of its own the machine's user cannot pass {barrier}.";
                uid = null;
            }
        }

        var network = spec.Nics.Any(n => n.Kind == NicKind.User);
        if (network)
            skipped[Measures.Network] = "User-mode networking uses the host's network.";
        List<int> groupIds = [];
        if (spec.Accelerator == Accelerator.Kvm && uid is { } mine)
            (uid, groupIds) = KvmAccess(mine, skipped);
        return new Plan(uid, groupIds, view, network || !view, skipped);
    }

    /// <summary>Whoever may open /dev/kvm by its group gets that group; where only root may, the machine runs as root without capabilities.</summary>
    private static (int? Uid, List<int> Groups) KvmAccess(int uid, Dictionary<string, string> skipped)
    {
        var mode = File.GetUnixFileMode("/dev/kvm");
        if (mode.HasFlag(UnixFileMode.OtherRead | UnixFileMode.OtherWrite))
            return (uid, []);
        if (mode.HasFlag(UnixFileMode.GroupRead | UnixFileMode.GroupWrite) && Images.LinuxFiles.GroupOf("/dev/kvm") is > 0 and var group)
            return (uid, [group]);
        skipped[Measures.Identity] = skipped[Measures.Groups] = "Only root may open /dev/kvm here. Give it the group kvm and mode 0660, as udev's rules do.";
        return (null, []);
    }

    /// <summary>Lets strangers pass (not look into) the portal's own folders, and names the first folder above them that they cannot pass.</summary>
    private string? BarrierOf(MachineSpec spec, MachinePaths at)
    {
        const UnixFileMode passable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        foreach (var folder in (string[])[options.DataRoot, options.RunRoot, folders.Disks, folders.Images, folders.State, at.StateDirectory])
            if (Directory.Exists(folder))
                File.SetUnixFileMode(folder, passable);
        return OwnFiles(spec, at).Select(f => f.Path).Append(at.QmpSocket).Select(Ownership.Barrier).FirstOrDefault(b => b is not null && b != at.RunDirectory);
    }

    private static void GiveFiles(MachineSpec spec, MachinePaths at, int? uid)
    {
        var owner = Launcher.IsRoot ? uid ?? 0 : (int?)null;
        Ownership.GiveFolder(at.RunDirectory, owner);
        if (spec.Tpm)
        {
            Ownership.GiveFolder(at.TpmState, owner);
            if (owner is { } tpm)
                foreach (var file in Directory.EnumerateFiles(at.TpmState))
                    Ownership.GiveFile(file, tpm);
        }

        foreach (var (path, writable) in OwnFiles(spec, at))
            if (!File.Exists(path))
                continue;
            else if (!writable)
                Ownership.LetRead(path);
            else if (owner is { } user)
                Ownership.GiveFile(path, user);
    }

    /// <summary>The files that the machine works with, and whether it writes them.</summary>
    private static IEnumerable<(string Path, bool Writable)> OwnFiles(MachineSpec spec, MachinePaths at)
    {
        foreach (var disk in spec.Disks)
        {
            if (disk.Path is { } path)
                yield return (path, !disk.Cdrom && !disk.ReadOnly);
            foreach (var backing in disk.Backing)
                yield return (backing.Path, false);
        }

        if (spec.DirectBoot is { } direct)
        {
            yield return (direct.KernelPath, false);
            if (direct.InitrdPath is { } initrd)
                yield return (initrd, false);
        }

        if (spec.Firmware.Type == FirmwareType.Uefi)
            yield return (at.FirmwareVariables, true);
    }

    private static IEnumerable<ViewFile> ViewOf(MachineSpec spec, MachinePaths at, string binary)
    {
        if (Path.IsPathRooted(binary) && !binary.StartsWith("/usr/", StringComparison.Ordinal))
            yield return new ViewFile(Path.GetDirectoryName(binary)!);
        yield return new ViewFile(at.RunDirectory, Writable: true);
        foreach (var (path, writable) in OwnFiles(spec, at))
            yield return new ViewFile(path, writable);
        if (spec.Accelerator == Accelerator.Kvm)
            yield return new ViewFile("/dev/kvm", Writable: true, Device: true);
        if (spec.Nics.Any(n => n.Kind == NicKind.User))
            foreach (var file in ViewFile.Resolver())
                yield return file;
    }
}
