using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Guest.Tests;

/// <summary>vCPUs and memory of a running Linux guest, as the guest sees them and as the host's kernel does.</summary>
public sealed class PlugTests
{
    private static readonly CpuSet All = CpuSet.Parse(File.ReadAllText("/sys/devices/system/cpu/online"));

    private static async Task<string> AskAsync(GuestHost host, Guid id, string expression, int number)
    {
        await host.TypeAsync(id, $"echo A''{number}=$({expression})=E''{number}");
        var said = await host.ReadUntilAsync(id, $"=E{number}\r");
        return said[(said.LastIndexOf($"A{number}=", StringComparison.Ordinal) + $"A{number}=".Length)..said.LastIndexOf($"=E{number}", StringComparison.Ordinal)];
    }

    private static Task BringUpAsync(GuestHost host, Guid id) => host.TypeAsync(id, "for c in /sys/devices/system/cpu/cpu[1-9]/online; do echo 1 >$c; done");

    [Fact]
    public async Task VCPUs_come_and_go_are_seen_by_the_guest_and_are_in_their_places_at_once()
    {
        await using var host = new GuestHost();
        var placement = new MachinePlacement
        {
            Vcpus = [.. Enumerable.Range(0, 4).Select(i => CpuSet.Of(All.Reverse().Skip(i % All.Count).First()))],
            Emulator = CpuSet.Of(All.First),
            Sockets = 1,
            CoresPerSocket = 2,
            ThreadsPerCore = 2,
            Nodes = [new(CpuSet.Parse("0-3"), 192, 0, MemoryPolicy.Bind, null, 0, [])],
        };
        var spec = GuestHost.Spec() with { Cpu = new(1, 4, "max", 2), Balloon = false, Placement = placement };
        await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec });
        await host.ApplyAsync(new PinMachine { MachineId = spec.Id, Placement = placement });
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        Assert.Equal("1", await AskAsync(host, spec.Id, "nproc", 1));

        var plug = new SetVcpus { MachineId = spec.Id, Count = 3, Before = 1 };
        Assert.True((await host.ApplyAsync(plug)).Changed);
        Assert.False((await host.ApplyAsync(plug)).Changed);
        var report = await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct);
        Assert.Empty(report.Drifts);
        Assert.Equal(placement.Vcpus.Take(3), report.Threads.Where(t => t.Role == ThreadRole.Vcpu).OrderBy(t => t.Index).Select(t => t.Actual));
        Assert.Equal(3, report.Evidence.Count);
        await BringUpAsync(host, spec.Id);
        Assert.Equal("3", await AskAsync(host, spec.Id, "nproc", 2));
        // Their use is measured each.
        await foreach (var sample in host.Host.SampleAsync(TimeSpan.FromMilliseconds(300), GuestHost.Ct))
        {
            Assert.Equal(3, Assert.Single(sample.Machines).VcpuNanoseconds.Count);
            break;
        }

        // The next portal knows them, too, and what somebody moves is put back.
        await host.RestartAsync();
        await host.EventAsync<MachineObserved>(spec.Id);
        var newest = (await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Threads.Single(t => t.Index == 2).ThreadId;
        using (var taskset = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("taskset", ["-pc", All.ToString(), newest.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true })!)
            await taskset.WaitForExitAsync(GuestHost.Ct);
        await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "placement-repaired" && n.Text.StartsWith("vCPU 2 ", StringComparison.Ordinal));

        // More than there is room for changes nothing.
        var more = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new SetVcpus { MachineId = spec.Id, Count = 5, Before = 3 }));
        Assert.Equal("The machine was started with room for 4 vCPUs.", more.Message);

        // Undo takes them back one by one, as far as the guest lets go.
        await host.ApplyAsync(new SetVcpus { MachineId = spec.Id, Count = 2, Before = 3 });
        Assert.Equal("2", await AskAsync(host, spec.Id, "nproc", 3));
        await host.UndoAsync(plug);
        Assert.Equal("1", await AskAsync(host, spec.Id, "nproc", 4));
        Assert.Single((await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Threads, t => t.Role == ThreadRole.Vcpu);
        Assert.Empty((await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Drifts);
    }

    [Fact]
    public async Task A_guest_that_does_not_let_go_of_a_vCPU_keeps_all_that_it_had()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec() with { Cpu = new(1, 3, "max", 1) };
        await host.StartAsync(spec);
        // Its firmware hears nothing of requests.
        await host.ApplyAsync(new SetVcpus { MachineId = spec.Id, Count = 2, Before = 1 });
        var early = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new SetVcpus { MachineId = spec.Id, Count = 1, Before = 2 }));
        Assert.Equal("The guest cannot let go of vCPU 1: it has not come up far enough.", early.Message);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        // Nor does a guest without the interrupt for it.
        Assert.Equal("0", await AskAsync(host, spec.Id, "echo disable >/sys/firmware/acpi/interrupts/gpe02; echo 0", 1));
        var failed = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new SetVcpus { MachineId = spec.Id, Count = 1, Before = 2 }));
        Assert.Equal((HostError.Timeout, "The guest did not let go of vCPU 1 within 15 s; it may still do so later."), (failed.Error, failed.Message));
        Assert.Equal(2, (await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Threads.Count(t => t.Role == ThreadRole.Vcpu));
        // When it hears of it at last, at its next look, that is told.
        Assert.Equal("0", await AskAsync(host, spec.Id, "echo enable >/sys/firmware/acpi/interrupts/gpe02; echo 0", 2));
        await host.ApplyAsync(new SetVcpus { MachineId = spec.Id, Count = 3, Before = 2 });
        Assert.Equal("The guest has let go of a vCPU after its time had passed; it has 2 now.", (await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "vcpu-gone")).Text);
        Assert.Equal(2, (await host.Host.InspectPlacementAsync(spec.Id, GuestHost.Ct)).Threads.Count(t => t.Role == ThreadRole.Vcpu));
        await host.ApplyAsync(new PauseMachine { MachineId = spec.Id });
        Assert.Equal(HostError.WrongState, (await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new SetVcpus { MachineId = spec.Id, Count = 3, Before = 2 }))).Error);
    }

    [Fact]
    public async Task Memory_grows_and_shrinks_and_the_host_gets_it_back()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec() with { Memory = new(192, 4) { MaxMiB = 704 } };
        var pid = await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        var small = long.Parse(await AskAsync(host, spec.Id, "awk '/MemTotal/{print $2}' /proc/meminfo", 1), CultureInfo.InvariantCulture);
        var empty = Resident(pid);

        var grow = new SetMemory { MachineId = spec.Id, SizeMiB = 704, BeforeMiB = 192 };
        Assert.True((await host.ApplyAsync(grow)).Changed);
        Assert.False((await host.ApplyAsync(grow)).Changed);
        var large = long.Parse(await AskAsync(host, spec.Id, "awk '/MemTotal/{print $2}' /proc/meminfo", 2), CultureInfo.InvariantCulture);
        Assert.InRange(large - small, 500 << 10, 512 << 10);
        // Used, so that the host really has to give it.
        Assert.Equal("419430400", await AskAsync(host, spec.Id, "mount -t tmpfs -o size=450m t /tmp; dd if=/dev/zero of=/tmp/f bs=1M count=400 2>/dev/null; wc -c </tmp/f", 3));
        var full = Resident(pid);
        Assert.True(full - empty > 350, $"{empty} -> {full} MiB");

        // What is in use is not given back; the guest says how much it could, and keeps all.
        var refused = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new SetMemory { MachineId = spec.Id, SizeMiB = 192, BeforeMiB = 704 }));
        Assert.Matches(@"^The guest gave back only \d+ of 512 MiB; it keeps the memory that it had\.$", refused.Message);
        Assert.Equal("419430400", await AskAsync(host, spec.Id, "wc -c </tmp/f", 4));
        Assert.False((await host.ApplyAsync(grow)).Changed);

        await host.TypeAsync(spec.Id, "rm /tmp/f; umount /tmp");
        Assert.Equal("0", await AskAsync(host, spec.Id, "cat /tmp/f 2>/dev/null | wc -c", 5));
        await host.ApplyAsync(new SetMemory { MachineId = spec.Id, SizeMiB = 256, BeforeMiB = 704 });
        var back = Resident(pid);
        Assert.True(full - back > 300, $"{full} -> {back} MiB");
        Assert.InRange(long.Parse(await AskAsync(host, spec.Id, "awk '/MemTotal/{print $2}' /proc/meminfo", 6), CultureInfo.InvariantCulture) - small, 60 << 10, 64 << 10);

        // The next portal knows how much it has, and a suspended machine comes back with it.
        await host.RestartAsync();
        await host.EventAsync<MachineObserved>(spec.Id);
        Assert.False((await host.ApplyAsync(new SetMemory { MachineId = spec.Id, SizeMiB = 256, BeforeMiB = 704 })).Changed);
        var below = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new SetMemory { MachineId = spec.Id, SizeMiB = 128, BeforeMiB = 256 }));
        Assert.Contains("started with 192 MiB", below.Message, StringComparison.Ordinal);
        var state = host.StateFile(spec.Id, "suspend.state");
        await host.ApplyAsync(new SaveMachine { MachineId = spec.Id, Path = state });
        await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec with { RestoreFrom = state, Memory = new(256, 4) { MaxMiB = 768 } } });
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        await host.ApplyAsync(new SetMemory { MachineId = spec.Id, SizeMiB = 320, BeforeMiB = 256 });
        Assert.InRange(long.Parse(await AskAsync(host, spec.Id, "awk '/MemTotal/{print $2}' /proc/meminfo", 7), CultureInfo.InvariantCulture) - small, 124 << 10, 128 << 10);
    }

    [Fact]
    public async Task A_guest_that_takes_no_memory_is_told_and_keeps_what_it_had()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec("noip fast") with { Memory = new(192, 4) { MaxMiB = 448 } };
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        var failed = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new SetMemory { MachineId = spec.Id, SizeMiB = 448, BeforeMiB = 192 }));
        Assert.Equal((HostError.Timeout, "The guest took only 0 of 256 MiB; it keeps the memory that it had."), (failed.Error, failed.Message));
    }

    [Fact]
    public async Task The_balloon_takes_and_gives()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec() with { Memory = new(256, 4) };
        var pid = await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        Assert.Equal("104857600", await AskAsync(host, spec.Id, "mount -t tmpfs -o size=120m t /tmp; dd if=/dev/zero of=/tmp/f bs=1M count=100 2>/dev/null; wc -c </tmp/f", 1));
        var full = Resident(pid);
        Assert.Equal("0", await AskAsync(host, spec.Id, "rm /tmp/f; umount /tmp; echo 0", 2));
        await host.ApplyAsync(new SetBalloon { MachineId = spec.Id, TargetMiB = 128, BeforeMiB = 256 });
        await ReachesAsync(host, spec.Id, 128);
        Assert.True(full - Resident(pid) > 60, $"{full} -> {Resident(pid)} MiB");
        await host.UndoAsync(new SetBalloon { MachineId = spec.Id, TargetMiB = 128, BeforeMiB = 256 });
        await ReachesAsync(host, spec.Id, 256);
    }

    private static async Task ReachesAsync(GuestHost host, Guid id, long mib)
    {
        var looks = 0;
        await foreach (var sample in host.Host.SampleAsync(TimeSpan.FromMilliseconds(200), GuestHost.Ct))
        {
            if (sample.Machines.Single(m => m.MachineId == id).BalloonBytes >> 20 == mib)
                return;
            Assert.True(++looks < 100, "The balloon never got there.");
        }
    }

    /// <summary>MiB of a process in the host's memory.</summary>
    private static long Resident(int pid) => long.Parse(File.ReadAllText($"/proc/{pid}/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize >> 20;
}
