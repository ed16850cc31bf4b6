using System.Diagnostics;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Qemu;
using KvmPortal.Host.Tests.Golden;
using KvmPortal.Host.Tests.Launch;

namespace KvmPortal.Host.Tests.Qemu;

/// <summary>
/// Fits a golden machine to the test's host: scratch files for its disks, kernel and firmware variables, memory that surely is there, ports that are free,
/// and TCG. What is under test, the shape of the command line, stays.
/// </summary>
internal sealed class ScratchMachine(ScratchFolder folder)
{
    private int files;

    public HostFolders Folders { get; } = new(folder.In("r"), folder.In("s"), folder.In("d"), folder.In("i"));

    public MachinePaths Prepare(Guid id)
    {
        var paths = MachinePaths.For(Folders, id);
        Directory.CreateDirectory(paths.RunDirectory);
        Directory.CreateDirectory(paths.StateDirectory);
        Directory.CreateDirectory(Folders.Disks);
        return paths;
    }

    public HostFacts Facts(int cpus) => GoldenMachine.Facts(cpus, Folders);

    public async Task<MachineSpec> FitAsync(MachineSpec spec, QemuCapabilities qemu)
    {
        var paths = Prepare(spec.Id);
        if (spec.Firmware.Type == FirmwareType.Uefi)
            File.Copy((spec.Firmware.SecureBoot ? qemu.SecureBoot : qemu.Uefi)!.Variables, paths.FirmwareVariables);
        var disks = new List<DiskSpec>();
        foreach (var disk in spec.Disks)
            disks.Add(await FitAsync(disk));
        return spec with
        {
            Accelerator = Accelerator.Tcg,
            Cpu = spec.Cpu with { Model = spec.Cpu.Model == "host" ? "max" : spec.Cpu.Model },
            Memory = new(Math.Min(spec.Memory.SizeMiB, 512), 4),
            // Where the tests' own limit forbids locking, the launcher refuses (see MemoryLockTests).
            Placement = spec.Placement is { } placement ? placement with { Locked = placement.Locked && MemoryLockTests.IsAllowed } : null,
            Disks = disks,
            Nics = [.. spec.Nics.Select(n => n with { Forwards = [.. n.Forwards.Select(f => f with { HostAddress = "127.0.0.1", HostPort = 0 })] })],
            DirectBoot = spec.DirectBoot is { } boot ? boot with { KernelPath = Kernel(), InitrdPath = boot.InitrdPath is null ? null : Write(new byte[4096]) } : null,
        };
    }

    private async Task<DiskSpec> FitAsync(DiskSpec disk)
    {
        if (disk.Path is not { } path)
            return disk;
        var backing = new List<BackingFile>();
        foreach (var layer in disk.Backing)
            backing.Add(layer with { Path = await CreateAsync(layer.Path, layer.Format) });
        return disk with { Path = await CreateAsync(path, disk.Format), Backing = backing };
    }

    /// <summary>Keeps the golden's file name, whatever is in it; a qcow2 claims a backing file that must never be opened.</summary>
    private async Task<string> CreateAsync(string like, DiskFormat format)
    {
        var path = Path.Combine(Folders.Disks, $"{files++}-{Path.GetFileName(like)}");
        using var process = Process.Start("qemu-img", format == DiskFormat.Qcow2
            ? ["create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", path, "16M"]
            : ["create", "-q", "-f", "raw", path, "16M"]);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
        return path;
    }

    /// <summary>The least that QEMU takes for a Linux kernel: a boot protocol 2.12 header (Documentation/arch/x86/boot.rst) and no code.</summary>
    private string Kernel()
    {
        var image = new byte[32 * 1024];
        image[0x1f1] = 4;
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        image[0x206] = 12;
        image[0x207] = 2;
        image[0x211] = 1;
        BitConverter.TryWriteBytes(image.AsSpan(0x22c), 0x7fffffff);
        return Write(image);
    }

    private string Write(byte[] content)
    {
        var path = folder.In($"file{files++}");
        File.WriteAllBytes(path, content);
        return path;
    }
}
