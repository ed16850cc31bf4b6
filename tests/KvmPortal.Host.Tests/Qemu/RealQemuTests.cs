using KvmPortal.Host.Launch;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Qemu;
using KvmPortal.Host.Qmp;
using KvmPortal.Host.Tests.Golden;
using KvmPortal.Host.Tests.Linux;

namespace KvmPortal.Host.Tests.Qemu;

/// <summary>Every golden machine of the installed QEMU's version is given to it: it must take the arguments, answer and wait.</summary>
public sealed class RealQemuTests
{
    public static TheoryData<string> Cases => [.. GoldenMachine.Names()];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task The_installed_QEMU_takes_the_golden_machine(string name)
    {
        var ct = TestContext.Current.CancellationToken;
        var golden = GoldenMachine.Read(name);
        var qemu = await InstalledQemu.CapabilitiesAsync();
        using var folder = new ScratchFolder();
        var scratch = new ScratchMachine(folder);
        var spec = await scratch.FitAsync(golden.Machine, qemu);
        if (spec.Family == Contract.MachineFamily.Q35 && golden.Capabilities != CapabilitySets.NameOf(qemu.Version))
            // Written for another QEMU: the shape must still do here, with this QEMU's own machine type.
            spec = spec with { MachineType = qemu.Q35Machine! };
        var paths = MachinePaths.For(scratch.Folders, spec.Id);
        spec = spec with { Confinement = new() { Uid = 64_900 } };
        var launcher = new MachineLauncher(scratch.Folders, new HostPaths(), new HostOptions { DataRoot = folder.Path, RunRoot = scratch.Folders.Run }, TimeProvider.System);
        QemuProcess? tpm = null, process = null;
        var pages = spec.Placement?.Nodes.Sum(n => n.HugePageKiB is { } page ? n.SizeMiB * 1024 / page : 0) ?? 0;
        using var loan = pages > 0 ? await HugePageLoan.TakeAsync((int)pages, ct) : null;
        try
        {
            LaunchedProcesses? processes = null;
            await launcher.StartAsync(spec, QemuCommandLine.Build(spec, scratch.Facts(4), qemu), paths, begun => (processes, tpm) = (begun, begun.Tpm), ct);
            process = processes!.Qemu;
            await using (var qmp = await ConnectAsync(process, paths, ct))
            {
                Assert.Equal(spec.RestoreFrom is null ? "prelaunch" : "inmigrate", (await qmp.QueryStatusAsync(ct)).Status);
                Assert.Equal(spec.Id, (await qmp.QueryUuidAsync(ct)).Uuid);
                Assert.Equal(spec.Name, (await qmp.ExecuteAsync("query-name", null, TimeSpan.FromSeconds(10), ct)).GetProperty("name").GetString());
                Assert.Equal(spec.Cpu.Count, (await qmp.QueryCpusFastAsync(ct)).Count);
                AssertPlaced(spec, process.Pid);
                await AssertDisksAsync(qmp, spec, ct);
                await AssertNodesAsync(qmp, spec, ct);
                Assert.DoesNotContain(launcher.Inspect(spec, paths, processes).Measures, m => m.State == Contract.MeasureState.Failed);
                await QuitAsync(qmp, ct);
            }

            Assert.True(await process.WaitForEndAsync(TimeSpan.FromSeconds(10), ct), "QEMU did not end after quit.");
            Assert.Equal(0, process.ExitCode);
            // Its only words are that quit was asked for; a warning about an argument would stand here.
            Assert.DoesNotContain(StderrTail.Read(paths.StderrFile), line => !Expected(line));
        }
        finally
        {
            process?.Signal(PosixSignalNumber.Kill);
            tpm?.Signal(PosixSignalNumber.Kill);
            if (process is not null)
                await process.WaitForEndAsync(TimeSpan.FromSeconds(10), CancellationToken.None);
            if (tpm is not null)
                await tpm.WaitForEndAsync(TimeSpan.FromSeconds(10), CancellationToken.None);
        }
    }

    /// <summary>Every disk is there under its name, and an image's own idea of a backing file counts for nothing.</summary>
    private static async Task AssertDisksAsync(QmpClient qmp, Contract.MachineSpec spec, CancellationToken ct)
    {
        var blocks = (await qmp.ExecuteAsync("query-block", null, TimeSpan.FromSeconds(10), ct)).EnumerateArray().ToList();
        foreach (var disk in spec.Disks)
        {
            // virtio devices report their back end's path below the device's.
            var block = Assert.Single(blocks, b => b.GetProperty("qdev").GetString()!.Split('/') is var parts && parts.Contains(DiskNames.Device(disk.Name)));
            Assert.Equal(disk.Path is not null, block.TryGetProperty("inserted", out var inserted));
            if (disk.Path is null)
                continue;
            Assert.Equal(disk.ReadOnly, inserted.GetProperty("ro").GetBoolean());
            if (!disk.Cdrom)
                Assert.Equal(disk.Limits, await LimitsAsync(qmp, disk.Name, ct));
        }
    }

    /// <summary>
    /// QEMU has opened what the spec names and nothing else: no format was probed, and the backing file that every scratch image claims was not followed.
    /// </summary>
    private static async Task AssertNodesAsync(QmpClient qmp, Contract.MachineSpec spec, CancellationToken ct)
    {
        var nodes = (await qmp.ExecuteAsync("query-named-block-nodes", new { Flat = true }, TimeSpan.FromSeconds(10), ct)).EnumerateArray().Select(n => n.GetProperty("node-name").GetString()!);
        var expected = spec.Disks.Where(d => d.Path is not null).SelectMany(d => Enumerable.Range(0, d.Backing.Count + 1)
            .SelectMany(layer => new[] { DiskNames.FormatNode(d.Name, layer), DiskNames.FileNode(d.Name, layer) }).Concat(d.Cdrom ? [] : [DiskNames.Top(d.Name)]));
        if (spec.Firmware.Type == Contract.FirmwareType.Uefi)
            expected = expected.Concat(["firmware-code", "firmware-code-file", "firmware-variables", "firmware-variables-file"]);
        Assert.Equal(expected.Order(StringComparer.Ordinal), nodes.Order(StringComparer.Ordinal));
    }

    /// <summary>The kernel says itself that the memory is bound, of huge pages and locked as the placement says.</summary>
    private static void AssertPlaced(Contract.MachineSpec spec, int pid)
    {
        if (spec.Placement is not { } placement)
            return;
        var maps = File.ReadAllLines($"/proc/{pid}/numa_maps");
        foreach (var node in placement.Nodes.Where(n => n.HostNode is not null))
            Assert.Contains(maps, l => l.Contains(node.Policy == Contract.MemoryPolicy.Bind ? " bind:0 " : " prefer", StringComparison.Ordinal) || l.EndsWith(" bind:0", StringComparison.Ordinal));
        if (placement.Nodes.Sum(n => n.HugePageKiB is null ? 0 : n.SizeMiB) is > 0 and var huge)
            Assert.Equal(huge / 2, maps.Where(l => l.Contains(" huge ", StringComparison.Ordinal)).Sum(l => int.Parse(l.Split(' ').First(f => f.StartsWith("N0=", StringComparison.Ordinal))[3..], System.Globalization.CultureInfo.InvariantCulture)));
        var locked = File.ReadLines($"/proc/{pid}/status").First(l => l.StartsWith("VmLck:", StringComparison.Ordinal));
        Assert.Equal(placement.Locked, !locked.Contains("\t       0 kB", StringComparison.Ordinal));
    }

    private static async Task<Contract.DiskLimitsSpec> LimitsAsync(QmpClient qmp, string disk, CancellationToken ct)
    {
        var limits = await qmp.ExecuteAsync("qom-get", new { Path = $"/objects/{DiskNames.ThrottleGroup(disk)}", Property = "limits" }, TimeSpan.FromSeconds(10), ct);
        return new(limits.GetProperty("iops-total").GetInt64(), limits.GetProperty("bps-total").GetInt64());
    }

    private static async Task QuitAsync(QmpClient qmp, CancellationToken ct)
    {
        try
        {
            await qmp.QuitAsync(ct);
        }
        catch (Contract.HostException) when (qmp.Ended.IsCancellationRequested)
        {
            // QEMU was gone before its answer had left; its exit code tells whether all was well.
        }
    }

    // TCG lacks features of named CPU models, and its AMD CPU has no threads.
    private static bool Expected(string line) =>
        ((string[])["terminating on", "TCG doesn't support requested feature", "doesn't support hyperthreading", "Please configure -smp"]).Any(w => line.Contains(w, StringComparison.Ordinal));

    private static async Task<QmpClient> ConnectAsync(QemuProcess process, MachinePaths paths, CancellationToken ct)
    {
        for (var i = 0; ; i++)
        {
            try
            {
                if (File.Exists(paths.QmpSocket))
                    return await QmpClient.ConnectAsync(paths.QmpSocket, process.Pid, ct);
            }
            catch (System.Net.Sockets.SocketException) when (i < 4000 && !process.HasEnded)
            {
                // Bound, but not listening yet.
            }
            catch (Contract.HostException e)
            {
                throw new InvalidOperationException($"QEMU did not answer: {string.Join(" | ", StderrTail.Read(paths.StderrFile))}", e);
            }

            if (i >= 4000 || process.HasEnded)
                throw new InvalidOperationException($"QEMU did not start: {string.Join(" | ", StderrTail.Read(paths.StderrFile))}");
            await Task.Delay(5, ct);
        }
    }
}
