using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using static KvmPortal.Host.Tests.Simulated.SimulatedFixture;

namespace KvmPortal.Host.Tests.Simulated;

public sealed class SimulatedWatchTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_watch_names_what_runs_then_ends_the_snapshot_then_tells_what_happens_in_order()
    {
        using var host = NewHost();
        var id = await host.Start(Spec());
        await using var events = host.WatchAsync(Token).GetAsyncEnumerator(Token);
        await events.MoveNextAsync();
        Assert.Equal(id, Assert.IsType<MachineObserved>(events.Current).MachineId);
        await events.MoveNextAsync();
        Assert.IsType<SnapshotEnd>(events.Current);
        await host.Changes(new PauseMachine { MachineId = id });
        host.EmitNotice(id, "watchdog", "bark");
        host.Crash(id);
        Assert.Equal(MachineRunState.Paused, (await events.Next<MachineStateChanged>()).State);
        Assert.Equal("watchdog", (await events.Next<MachineNotice>()).Kind);
        var ended = await events.Next<MachineEnded>();
        Assert.Equal((MachineEnd.Crashed, 134), (ended.End, ended.ExitCode));
    }

    [Fact]
    public async Task A_watcher_that_is_too_slow_gets_a_fresh_snapshot()
    {
        using var host = NewHost();
        var id = await host.Start(Spec());
        await using var events = host.WatchAsync(Token).GetAsyncEnumerator(Token);
        await events.Next<SnapshotEnd>();
        for (var number = 0; number <= EventFanOut.Capacity; number++)
            host.EmitNotice(id, "watchdog", "bark");
        host.GuestPowerOff(id);
        // The one machine is gone, so the second snapshot is nothing but its end.
        await events.MoveNextAsync();
        Assert.IsType<SnapshotEnd>(events.Current);
        var other = await host.Start(Spec());
        Assert.Equal(other, (await events.Next<MachineObserved>()).MachineId);
    }

    [Theory]
    [InlineData("a-crash-0s")]
    [InlineData("a-panic-0s")]
    [InlineData("a-ioerror-0s")]
    public async Task A_timed_fault_in_the_name_happens(string name)
    {
        using var host = NewHost();
        await using var events = host.WatchAsync(Token).GetAsyncEnumerator(Token);
        await events.Next<SnapshotEnd>();
        await host.Start(Spec(name));
        if (name.Contains("crash"))
            Assert.Equal(MachineEnd.Crashed, (await events.Next<MachineEnded>()).End);
        else
        {
            Assert.Equal(MachineRunState.Running, (await events.Next<MachineStateChanged>()).State);
            Assert.Equal(name.Contains("panic") ? MachineRunState.Panicked : MachineRunState.IoError,
                (await events.Next<MachineStateChanged>()).State);
        }
    }

    [Fact]
    public async Task Ten_thousand_machines_start_and_are_sampled_together_and_counters_never_fall()
    {
        using var host = NewHost();
        for (var number = 0; number < 10_000; number++)
            await host.Start(Spec($"m{number}"));
        var samples = new List<HostSample>();
        await foreach (var sample in host.SampleAsync(TimeSpan.FromMilliseconds(20), Token))
        {
            samples.Add(sample);
            if (samples.Count == 3)
                break;
        }
        Assert.All(samples, sample => Assert.Equal(10_000, sample.Machines.Count));
        foreach (var (earlier, later) in samples[0].Machines.Zip(samples[2].Machines))
        {
            Assert.Equal(earlier.MachineId, later.MachineId);
            Assert.True(later.CpuNanoseconds > earlier.CpuNanoseconds);
            Assert.True(later.DiskReadBytes >= earlier.DiskReadBytes);
            Assert.True(later.CpuNanoseconds >= later.VcpuNanoseconds.Sum());
            Assert.Null(later.NetReceiveBytes);
        }
    }

    [Fact]
    public async Task Facts_and_command_line_say_that_they_are_simulated()
    {
        using var host = NewHost();
        await host.Changes(new ProveAccelerator());
        var facts = await host.GetFactsAsync(Token);
        Assert.True(facts.Simulated);
        Assert.Equal((KvmVerdict.Works, 64), (facts.Kvm.Verdict, facts.Cpu.OnlineCount));
        Assert.Contains("web (simulated)", await host.ComposeAsync(Spec(), Token));
    }
}
