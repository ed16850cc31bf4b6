using System.Diagnostics;
using System.Globalization;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Tests.Linux;

namespace KvmPortal.Guest.Tests;

/// <summary>Placed machines on a real QEMU: where the kernel says the threads and pages are, not what the portal believes.</summary>
public sealed class PlacementTests
{
    private static readonly CpuSet All = CpuSet.Parse(File.ReadAllText("/sys/devices/system/cpu/online"));
    // The tests' machine may have few CPUs: the last, the last but one …
    private static readonly int Last = All.Max();
    private static readonly CpuSet Emulator = CpuSet.Of(All.First);
    private static readonly CpuSet Io = CpuSet.Of(All.Skip(All.Count > 2 ? 1 : 0).First());

    private static MachinePlacement Placement(int vcpus, params GuestMemoryNode[] nodes) => new()
    {
        Vcpus = [.. Enumerable.Range(0, vcpus).Select(i => CpuSet.Of(All.Reverse().Skip(i % All.Count).First()))],
        Emulator = Emulator,
        IoThreads = new Dictionary<string, CpuSet> { ["disk0-io"] = Io },
        Sockets = 1,
        CoresPerSocket = vcpus,
        ThreadsPerCore = 1,
        Nodes = nodes,
    };

    private static GuestMemoryNode Node(int vcpus, int mib, long? huge = null) => new(CpuSet.Range(0, vcpus - 1), mib, 0, MemoryPolicy.Bind, huge, huge is null ? 0 : 2, []);

    private static MachineSpec Spec(MachinePlacement placement, string arguments = "noip") => GuestHost.Spec(arguments) with
    {
        Cpu = new(placement.Vcpus.Count, placement.Vcpus.Count, "max", 1),
        Memory = new(placement.Nodes.Sum(n => n.SizeMiB), 4),
        Balloon = false,
        Placement = placement,
    };

    [Fact]
    public async Task Every_thread_is_where_the_placement_says_before_the_CPUs_run_and_undo_gives_all_back()
    {
        await using var host = new GuestHost();
        var disk = Guid.NewGuid();
        var path = Path.Combine(host.Root, "d", "disks", $"{disk:N}.raw");
        await host.ApplyAsync(new CreateDisk { DiskId = disk, Path = path, Format = DiskFormat.Raw, SizeBytes = 16 << 20 });
        var placement = Placement(2, Node(2, 192));
        var spec = Spec(placement) with { Tpm = true, Disks = [new DiskSpec { Name = "disk0", Bus = DiskBus.VirtioBlk, Format = DiskFormat.Raw, Path = path, IoThread = true }] };
        var pid = await LaunchAsync(host, spec);
        var pin = new PinMachine { MachineId = spec.Id, Placement = placement with { CoreScheduling = true } };
        var pinned = await host.ApplyAsync(pin);
        Assert.True(pinned.Changed);
        // In force, or left out with the true reason; the rest of the report stays.
        foreach (var name in (string[])[Measures.Exclusivity, Measures.CoreScheduling])
            Assert.True(pinned.Confinement!.Measures.Single(m => m.Name == name) is { State: not MeasureState.Failed, Evidence.Length: > 0 });
        Assert.Contains(pinned.Confinement!.Measures, m => m.Name == Measures.Seccomp);
        Assert.False((await host.ApplyAsync(pin)).Changed);
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await Task.Delay(500, GuestHost.Ct);

        var vcpus = 0;
        foreach (var (thread, name, allowed) in Threads(pid))
        {
            var wanted = name.StartsWith("CPU ", StringComparison.Ordinal) ? placement.Vcpus[name[4] - '0'] : name.StartsWith("IO disk0-io", StringComparison.Ordinal) ? Io : Emulator;
            vcpus += name.StartsWith("CPU ", StringComparison.Ordinal) ? 1 : 0;
            Assert.True(allowed == wanted, $"{name} ({thread}): {allowed}, not {wanted}");
        }

        Assert.Equal(2, vcpus);
        var report = await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct);
        Assert.Empty(report.Drifts);
        Assert.Equal([0, 1], report.Threads.Where(t => t.Role == ThreadRole.Vcpu).Select(t => t.Index!.Value));
        Assert.Equal("disk0-io", Assert.Single(report.Threads, t => t.Role == ThreadRole.IoThread).Name);
        Assert.Contains(report.Threads, t => t.Role == ThreadRole.Companion && t.Actual == Emulator);
        Assert.All(report.Evidence, e => Assert.True(e.RunNanoseconds > 0));
        Assert.InRange(report.Memory.Single(m => m.Node == 0).Pages[4], 16, 192);

        // In place, on the running machine, and back.
        var other = placement with { Vcpus = [.. placement.Vcpus.Reverse()] };
        await host.ApplyAsync(new PinMachine { MachineId = spec.Id, Placement = other, Before = placement });
        Assert.Equal(other.Vcpus, Vcpus(pid));
        await host.UndoAsync(new PinMachine { MachineId = spec.Id, Placement = other, Before = placement });
        Assert.Equal(placement.Vcpus, Vcpus(pid));
        await host.UndoAsync(pin);
        await host.UndoAsync(pin);
        Assert.All(Threads(pid), t => Assert.Equal(All, t.Allowed));
        Assert.Null((await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Placement);
    }

    [Fact]
    public async Task A_placement_that_this_host_cannot_give_names_the_thread_and_changes_nothing()
    {
        await using var host = new GuestHost();
        var placement = Placement(1, Node(1, 192));
        var spec = Spec(placement) with { DirectBoot = null };
        var pid = await LaunchAsync(host, spec);
        var absent = placement with { Vcpus = [CpuSet.Of(Last + 1000)] };
        var failed = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new PinMachine { MachineId = spec.Id, Placement = absent }));
        Assert.Matches($@"^vCPU 0 \(thread \d+\) cannot be put on the CPUs {Last + 1000}: none of them is online\.$", failed.Message);
        Assert.All(Threads(pid), t => Assert.Equal(All, t.Allowed));
        Assert.Null((await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Placement);
    }

    [Fact]
    public async Task What_somebody_moves_is_found_within_5_seconds_and_put_back_also_after_a_restart_of_the_portal()
    {
        await using var host = new GuestHost();
        var placement = Placement(2, Node(2, 192));
        var spec = Spec(placement) with { DirectBoot = null };
        var pid = await LaunchAsync(host, spec);
        await host.ApplyAsync(new PinMachine { MachineId = spec.Id, Placement = placement });
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        for (var round = 0; round < 2; round++)
        {
            var thread = Threads(pid).Single(t => t.Name.StartsWith($"CPU {round}/", StringComparison.Ordinal)).Thread;
            var moved = Stopwatch.StartNew();
            await TasksetAsync(thread, "-pc", All);
            var drift = await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "placement-drift");
            Assert.True(moved.Elapsed < TimeSpan.FromSeconds(5), $"{moved.Elapsed}");
            Assert.True(drift.Warning);
            Assert.Equal($"vCPU {round} (thread {thread}) may run on the CPUs {All}; its place is {placement.Vcpus[round]}.", drift.Text);
            Assert.Equal($"vCPU {round} (thread {thread}) was put back on the CPUs {placement.Vcpus[round]}.", (await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "placement-repaired")).Text);
            Assert.Equal(placement.Vcpus, Vcpus(pid));
            await host.RestartAsync();
            await host.EventAsync<MachineObserved>(spec.Id);
        }

        // Everything at once is not a notice for each thread.
        await TasksetAsync(pid, "-apc", All);
        await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "placement-drift" && n.Text.EndsWith("more threads are out of place.", StringComparison.Ordinal));
        await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "placement-repaired" && n.Text.EndsWith("threads were put back where they belong.", StringComparison.Ordinal));
        Assert.Equal(placement.Vcpus, Vcpus(pid));

        // Without repair it is told once, and stays.
        await host.ApplyAsync(new PinMachine { MachineId = spec.Id, Placement = placement with { Repair = false }, Before = placement });
        await host.RestartAsync();
        await host.EventAsync<MachineObserved>(spec.Id);
        await TasksetAsync(Threads(pid).Single(t => t.Name.StartsWith("CPU 1/", StringComparison.Ordinal)).Thread, "-pc", All);
        await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "placement-drift");
        await Task.Delay(4500, GuestHost.Ct);
        Assert.Single(host.Events.OfType<MachineNotice>(), n => n.Kind.StartsWith("placement-", StringComparison.Ordinal));
        Assert.Equal([placement.Vcpus[0], All], Vcpus(pid));
        Assert.NotEmpty((await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Drifts);
    }

    [Fact]
    public async Task Huge_pages_are_really_used_and_returned()
    {
        using var loan = await HugePageLoan.TakeAsync(64, GuestHost.Ct);
        var free = HugePageLoan.Free;
        await using (var host = new GuestHost())
        {
            var spec = Spec(Placement(1, Node(1, 128, 2048)));
            var pid = await LaunchAsync(host, spec);
            Assert.Equal(free - 64, HugePageLoan.Free);
            await host.ApplyAsync(new PinMachine { MachineId = spec.Id, Placement = spec.Placement! });
            await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
            await host.ReadUntilAsync(spec.Id, "GUEST-UP");
            var mapped = Assert.Single(File.ReadLines($"/proc/{pid}/numa_maps"), l => l.Contains(" huge ", StringComparison.Ordinal));
            Assert.Contains(" bind:0 ", mapped, StringComparison.Ordinal);
            Assert.Contains(" N0=64 ", mapped, StringComparison.Ordinal);
            var report = await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct);
            Assert.Equal(128, Assert.Single(report.Memory).Pages[2048]);
            Assert.Empty(report.Drifts);

            // One page too many is refused before anything runs.
            var more = Spec(Placement(1, Node(1, 130, 2048)));
            await host.ApplyAsync(new EndMachine { MachineId = spec.Id });
            Assert.Equal(free, HugePageLoan.Free);
            if (free == 64)
                Assert.Equal(HostError.LaunchFailed, (await Assert.ThrowsAsync<HostException>(() => LaunchAsync(host, more))).Error);
        }

        Assert.Equal(free, HugePageLoan.Free);
    }

    [Fact]
    public async Task The_guest_sees_its_two_memory_nodes_and_its_topology()
    {
        await using var host = new GuestHost();
        var placement = Placement(4,
            new GuestMemoryNode(CpuSet.Parse("0-1"), 128, 0, MemoryPolicy.Bind, null, 0, [10, 21]),
            new GuestMemoryNode(CpuSet.Parse("2-3"), 96, 0, MemoryPolicy.Bind, null, 0, [21, 10])) with { Sockets = 2, CoresPerSocket = 2 };
        var spec = Spec(placement);
        await LaunchAsync(host, spec);
        await host.ApplyAsync(new PinMachine { MachineId = spec.Id, Placement = placement });
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "cd /sys/devices/system/node; echo N0=$(cat node0/cpulist) N1=$(cat node1/cpulist) D=$(cat node0/distance) P=$(cat ../cpu/cpu?/topology/physical_package_id) C=$(cat ../cpu/cpu?/topology/core_id) E''ND");
        var said = await host.ReadUntilAsync(spec.Id, " END");
        Assert.True(said.Contains("N0=0-1 N1=2-3 D=10 21 P=0 0 1 1 C=0 1 0 1 END", StringComparison.Ordinal), said);
        Assert.Empty((await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Drifts);
    }

    private static async Task<int> LaunchAsync(GuestHost host, MachineSpec spec)
    {
        await host.ApplyAsync(new PrepareMachine { MachineId = spec.Id, Firmware = spec.Firmware });
        return (await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec })).Pid!.Value;
    }

    private static List<CpuSet> Vcpus(int pid) => [.. Threads(pid).Where(t => t.Name.StartsWith("CPU ", StringComparison.Ordinal)).OrderBy(t => t.Name, StringComparer.Ordinal).Select(t => t.Allowed)];

    private static List<(int Thread, string Name, CpuSet Allowed)> Threads(int pid)
    {
        var threads = new List<(int, string, CpuSet)>();
        foreach (var folder in Directory.GetDirectories($"/proc/{pid}/task"))
        {
            try
            {
                // Workers of io_uring are the kernel's: nobody can place them.
                var name = File.ReadAllText(Path.Combine(folder, "comm")).Trim();
                if (!name.StartsWith("iou-", StringComparison.Ordinal))
                    threads.Add((int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture), name,
                        CpuSet.Parse(File.ReadLines(Path.Combine(folder, "status")).First(l => l.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split(':')[1])));
            }
            catch (IOException)
            {
                // A worker that has just ended.
            }
        }

        return threads;
    }

    private static async Task TasksetAsync(int thread, string how, CpuSet cpus)
    {
        using var taskset = Process.Start(new ProcessStartInfo("taskset", [how, cpus.ToString(), thread.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true })!;
        await taskset.WaitForExitAsync(GuestHost.Ct);
        Assert.Equal(0, taskset.ExitCode);
    }
}
