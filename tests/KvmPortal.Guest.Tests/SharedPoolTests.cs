using System.Diagnostics;
using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Guest.Tests;

/// <summary>Ordinary machines beside one with CPUs of its own, as the kernel says.</summary>
public sealed class SharedPoolTests
{
    private static readonly CpuSet All = CpuSet.Parse(File.ReadAllText("/sys/devices/system/cpu/online"));

    [Fact]
    public async Task Ordinary_machines_leave_the_CPUs_that_another_has_for_itself_and_come_back_when_it_has_ended()
    {
        await using var host = new GuestHost();
        var before = GuestHost.Spec() with { DirectBoot = null };
        var pid = await host.StartAsync(before);
        Assert.All(Allowed(pid), a => Assert.Equal(All, a));

        var (own, beside) = (CpuSet.Of(All.Max()), All - CpuSet.Of(All.Max()));
        var placement = new MachinePlacement
        {
            Vcpus = [own],
            Emulator = CpuSet.Of(All.First),
            Dedicated = own,
            Sockets = 1,
            CoresPerSocket = 1,
            ThreadsPerCore = 1,
            Nodes = [new GuestMemoryNode(CpuSet.Of(0), 192, 0, MemoryPolicy.Bind, null, 0, [])],
        };
        var placed = GuestHost.Spec() with { DirectBoot = null, Balloon = false, Placement = placement };
        await host.ApplyAsync(new LaunchMachine { MachineId = placed.Id, Spec = placed });
        await host.ApplyAsync(new PinMachine { MachineId = placed.Id, Placement = placement });
        // At once, before the placed machine has run an instruction.
        Assert.All(Allowed(pid), a => Assert.Equal(beside, a));
        await host.ApplyAsync(new RunMachine { MachineId = placed.Id });
        var after = GuestHost.Spec() with { DirectBoot = null };
        var afterPid = await host.StartAsync(after);
        Assert.All(Allowed(afterPid), a => Assert.Equal(beside, a));
        var report = await host.Host.InspectPlacementAsync(after.Id, GuestHost.Ct);
        Assert.Equal((null, beside), (report.Placement, report.SharedPool));
        Assert.Empty(report.Drifts);

        // Somebody's hand is told and undone for them, too, also by the next portal.
        await host.RestartAsync();
        await host.EventAsync<MachineObserved>(before.Id);
        using (var taskset = Process.Start(new ProcessStartInfo("taskset", ["-apc", own.ToString(), pid.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true })!)
            await taskset.WaitForExitAsync(GuestHost.Ct);
        await host.EventAsync<MachineNotice>(before.Id, n => n.Kind == "placement-repaired");
        Assert.All(Allowed(pid), a => Assert.Equal(beside, a));

        await host.ApplyAsync(new EndMachine { MachineId = placed.Id });
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < TimeSpan.FromSeconds(10) && Allowed(pid).Concat(Allowed(afterPid)).Any(a => a != All); await Task.Delay(100, GuestHost.Ct))
        {
        }

        Assert.All(Allowed(pid).Concat(Allowed(afterPid)), a => Assert.Equal(All, a));
        Assert.True((await host.Host.InspectPlacementAsync(before.Id, GuestHost.Ct)).SharedPool.IsEmpty);
    }

    [Fact]
    public async Task A_machine_that_wants_cores_not_to_be_shared_gets_a_cookie_or_the_true_reason_why_not()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec() with { DirectBoot = null, CoreScheduling = true };
        var done = await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec });
        var measure = done.Confinement!.Measures.Single(m => m.Name == Measures.CoreScheduling);
        Assert.True(measure is { State: MeasureState.InForce } || measure.Evidence is "This kernel has no core scheduling." or "The host's cores have one thread each.", $"{measure}");
    }

    private static List<CpuSet> Allowed(int pid) =>
        [.. Directory.EnumerateDirectories($"/proc/{pid}/task").Select(t => File.ReadLines(Path.Combine(t, "status")).Single(l => l.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal))).Select(l => CpuSet.Parse(l.Split(':')[1].Trim()))];
}
