using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Qemu;

namespace KvmPortal.Host.Benchmarks;

/// <summary>
/// Measures what a guest loses against the host: the same program in both places, in turns, on the same CPUs. All files are in one folder, which also names the processes: what a portal that was killed
/// has left is found by it and removed.
/// </summary>
internal sealed class BenchmarkSteps(string folder, HostPaths paths, Func<MachineSpec, CancellationToken, Task<BuildContext>> context, TimeProvider time)
{
    private const int DiskMiB = 16;
    private const long Iterations = 20_000_000;
    private static readonly TimeSpan BootTime = TimeSpan.FromSeconds(180);
    private readonly SemaphoreSlim alone = new(1, 1);
    private readonly ThreadTree tree = new(paths);
    private readonly Pins pins = new(new ThreadTree(paths), new KernelAffinity());

    /// <summary>An argument that only processes of a benchmark of this portal have.</summary>
    public bool IsOurs(string argument) => argument.StartsWith(folder + "/", StringComparison.Ordinal);

    /// <summary>Removes what a former portal has left; its processes are ended before.</summary>
    public void Sweep()
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    public void Clean(Guid machine)
    {
        if (Directory.Exists(FolderOf(machine)))
            Directory.Delete(FolderOf(machine), recursive: true);
    }

    public async IAsyncEnumerable<StepReport> ApplyAsync(MeasureLoss step, [EnumeratorCancellation] CancellationToken ct)
    {
        if (RuntimeInformation.OSArchitecture != Architecture.X64)
            throw new HostException(HostError.Missing, "The benchmark's program is for x86-64 hosts.");
        // Two at once would measure each other.
        await alone.WaitAsync(ct);
        try
        {
            await foreach (var report in MeasureAsync(step, ct))
                yield return report;
        }
        finally
        {
            Clean(step.MachineId);
            alone.Release();
        }
    }

    private async IAsyncEnumerable<StepReport> MeasureAsync(MeasureLoss step, [EnumeratorCancellation] CancellationToken ct)
    {
        var kernel = GuestKernel.Find(paths, step.KernelPath, step.InitrdPath);
        var files = Provide(step.MachineId, kernel);
        yield return new StepLog($"The guest runs {kernel.Path}.");
        var build = await context(BenchmarkGuest.SpecOf(step.Spec, kernel.Path, files.Initrd, files.GuestDisk), ct);
        var placement = step.Spec.Placement;
        var mebibytes = (int)Math.Clamp(step.Spec.Memory.SizeMiB / 8L, 4, 64);
        var pairs = new List<LossPair>();
        await using var guest = BenchmarkSide.Start(build.Capabilities.Binary, BenchmarkGuest.Arguments(build));
        await guest.ReadyAsync(BootTime, ct);
        if (placement is not null)
            Pin(guest.Pid, placement);
        guest.Suspend();
        await using var host = BenchmarkSide.Start(files.Program, [files.HostDisk]);
        await host.ReadyAsync(TimeSpan.FromSeconds(30), ct);
        // The first of each place warms caches, and is not counted.
        for (var number = -1; number < step.Rounds; number++)
        {
            var vcpu = Math.Max(number, 0) % step.Spec.Cpu.Count;
            int? cpu = placement is not null && vcpu < placement.Vcpus.Count ? placement.Vcpus[vcpu].First : null;
            LossRound? first = number % 2 == 0 ? await OnHostAsync() : null;
            guest.Resume();
            var inside = await guest.RoundAsync(vcpu, Iterations, mebibytes, ct);
            guest.Suspend();
            var outside = first ?? await OnHostAsync();
            if (number >= 0)
                pairs.Add(new LossPair(vcpu, outside, inside));
            yield return new StepProgress(number + 2, step.Rounds + 1);

            Task<LossRound> OnHostAsync() => host.RoundAsync(cpu, Iterations, mebibytes, ct);
        }

        string? problem = pairs.Any(p => p.Host.Disk is null) ? "The host's file system takes no direct access." : pairs.Any(p => p.Guest.Disk is null) ? "The guest's kernel has no driver for a virtio disk." : null;
        yield return new StepDone(true) { Loss = new LossMeasurement(step.MachineId, time.GetUtcNow(), step.Spec.Accelerator, kernel.Path, placement is null ? CpuSet.Empty : CpuSet.Union(placement.Vcpus), pairs, problem) };
    }

    /// <summary>Each vCPU's thread, by the name that QEMU gives it, on its CPU; the disk's thread and the rest on theirs.</summary>
    private void Pin(int pid, MachinePlacement placement)
    {
        var vcpus = new SortedDictionary<int, int>();
        int? io = null;
        foreach (var thread in tree.Of(pid))
        {
            var name = tree.Name(pid, thread);
            if (name.StartsWith("CPU ", StringComparison.Ordinal) && int.TryParse(name[4..].Split('/')[0], out var number))
                vcpus[number] = thread;
            else if (name.StartsWith("IO " + BenchmarkGuest.Disk, StringComparison.Ordinal))
                io = thread;
        }

        if (vcpus.Count < placement.Vcpus.Count)
            throw new HostException(HostError.WrongState, $"Only {vcpus.Count} of {placement.Vcpus.Count} vCPU threads are there.");
        var disk = placement.IoThreads.Count > 0 ? placement.IoThreads.Values.First() : placement.Emulator;
        var places = placement with { IoThreads = new Dictionary<string, CpuSet> { [DiskNames.IoThread(BenchmarkGuest.Disk)] = disk } };
        pins.Apply(new MachineThreads(pid, [.. vcpus.Values], io is { } t ? [(DiskNames.IoThread(BenchmarkGuest.Disk), t)] : [], null), places);
    }

    private sealed record Files(string Program, string Initrd, string HostDisk, string GuestDisk);

    private Files Provide(Guid machine, GuestKernel kernel)
    {
        var mine = FolderOf(machine);
        Clean(machine);
        Directory.CreateDirectory(mine, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var files = new Files(Path.Combine(mine, "workload"), Path.Combine(mine, "initrd.img"), Path.Combine(mine, "host.raw"), Path.Combine(mine, "guest.raw"));
        File.WriteAllBytes(files.Program, BenchmarkProgram.Bytes());
        File.SetUnixFileMode(files.Program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        using (var initrd = File.Create(files.Initrd))
        {
            // Archives one after another are one to the kernel.
            if (kernel.Initrd is { } first)
                using (var from = File.OpenRead(first))
                    from.CopyTo(initrd);
            initrd.Write(new byte[(512 - (int)(initrd.Position % 512)) % 512]);
            using var ours = new MemoryStream();
            var archive = new Initramfs(ours);
            archive.AddFolder("dev");
            if (kernel.Initrd is null)
                archive.AddFolder("mods");
            for (var i = 0; i < kernel.Modules.Count; i++)
                archive.AddFile($"mods/{i:d3}-{Path.GetFileName(kernel.Modules[i])}", File.ReadAllBytes(kernel.Modules[i]));
            archive.AddFile(BenchmarkGuest.Init[1..], BenchmarkProgram.Bytes());
            archive.End();
            initrd.Write(ours.GetBuffer().AsSpan(0, (int)ours.Length));
        }

        // Written, not sparse: both places read and write blocks that are there.
        foreach (var disk in (string[])[files.HostDisk, files.GuestDisk])
            File.WriteAllBytes(disk, new byte[DiskMiB << 20]);
        return files;
    }

    private string FolderOf(Guid machine) => Path.Combine(folder, machine.ToString("N"));
}

/// <summary>The throw-away guest: a machine's CPUs, memory and placement, with nothing of its own. Pure.</summary>
internal static class BenchmarkGuest
{
    public const string Init = "/kvmportal-benchmark";
    public const string Disk = "bench0";

    public static MachineSpec SpecOf(MachineSpec of, string kernel, string initrd, string disk) => of with
    {
        Name = "benchmark",
        Firmware = new FirmwareSpec(FirmwareType.Bios, false),
        DirectBoot = new DirectBootSpec(kernel, initrd, $"console=ttyS0 quiet loglevel=3 panic=-1 rdinit={Init}"),
        Disks = [new DiskSpec { Name = Disk, Bus = DiskBus.VirtioBlk, Format = DiskFormat.Raw, Path = disk, IoThread = true }],
        Nics = [],
        Tpm = false,
        RestoreFrom = null,
        // Locking needs rights that the portal gives to its machines only; nothing here is swapped in the minute that it lives.
        Placement = of.Placement is { } placement ? placement with { Locked = false } : null,
    };

    /// <summary>Without the program itself.</summary>
    public static IReadOnlyList<string> Arguments(BuildContext build)
    {
        var arguments = build.Arguments;
        arguments.Add("-name", "guest=benchmark,debug-threads=on");
        arguments.Add("-no-user-config");
        arguments.Add("-nodefaults");
        arguments.Add("-no-reboot");
        arguments.Add("-display", "none");
        arguments.Add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
        Qemu.Devices.MachineArguments.Add(build);
        Qemu.Devices.CpuArguments.Add(build);
        Qemu.Devices.MemoryArguments.Add(build);
        Qemu.Devices.DirectBootArguments.Add(build);
        Qemu.Devices.DiskArguments.Add(build);
        arguments.Add("-chardev", "stdio,id=serial,signal=off");
        arguments.Json("-device", new() { ["driver"] = "isa-serial", ["id"] = "serial0", ["chardev"] = "serial" });
        return arguments.ToList();
    }
}
