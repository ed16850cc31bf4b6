using System.Diagnostics;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Pinning;

namespace KvmPortal.Host.Tests.Pinning;

public sealed class WatchedMachineTests : IDisposable
{
    private readonly ThreadScene scene = new();

    public void Dispose() => scene.Dispose();

    private WatchedMachine Pinned(MachinePlacement? placement = null)
    {
        scene.Pins.Apply(ThreadScene.Machine, placement ?? ThreadScene.Placement);
        scene.Moved.Clear();
        var watched = scene.Watch(placement ?? ThreadScene.Placement);
        Assert.Empty(watched.Look(scene.Online));
        return watched;
    }

    [Fact]
    public void A_moved_thread_is_told_once_and_put_back()
    {
        var watched = Pinned();
        scene[104] = CpuSet.Range(0, 7);
        Assert.Equal([new(false, "vCPU 1 (thread 104) may run on the CPUs 0-7; its place is 5."), new(true, "vCPU 1 (thread 104) was put back on the CPUs 5.")], watched.Look(scene.Online));
        Assert.Equal([104], scene.Moved);
        Assert.Empty(watched.Look(scene.Online));

        // Somebody who insists is undone each time, but not told of each time.
        for (var i = 0; i < 10; i++)
        {
            scene.Pass(TimeSpan.FromSeconds(2));
            scene[104] = CpuSet.Of(1);
            Assert.Empty(watched.Look(scene.Online));
            Assert.Equal(CpuSet.Of(5), scene[104]);
        }

        scene.Pass(TimeSpan.FromMinutes(1));
        scene[104] = CpuSet.Of(1);
        Assert.Equal(2, watched.Look(scene.Online).Count);
    }

    [Fact]
    public void Many_threads_are_one_notice()
    {
        var watched = Pinned();
        foreach (var thread in (int[])[100, 101, 102, 103, 104])
            scene[thread] = CpuSet.Range(0, 7);
        Assert.Equal([new(false, "QEMU's thread 100 may run on the CPUs 0-7; its place is 0-1. 4 more threads are out of place."), new(true, "5 threads were put back where they belong.")], watched.Look(scene.Online));
    }

    [Fact]
    public void Without_repair_it_is_told_and_left()
    {
        var watched = Pinned(ThreadScene.Placement with { Repair = false });
        scene[102] = CpuSet.Of(7);
        Assert.Equal("I/O thread disk0-io (thread 102) may run on the CPUs 7; its place is 2.", Assert.Single(watched.Look(scene.Online)).Text);
        Assert.Empty(watched.Look(scene.Online));
        Assert.Equal(CpuSet.Of(7), scene[102]);
        Assert.Empty(scene.Moved);
    }

    [Fact]
    public void New_threads_are_placed_without_a_word_and_ended_ones_forgotten()
    {
        var watched = Pinned();
        scene.Add(ThreadScene.Qemu, 120, "worker");
        scene.End(101);
        for (var i = 0; i < 5; i++)
            Assert.Empty(watched.Look(scene.Online));
        Assert.Equal(CpuSet.Parse("0-1"), scene[120]);
        scene[120] = CpuSet.Of(6);
        Assert.Equal(2, watched.Look(scene.Online).Count);
    }

    [Fact]
    public void A_number_that_is_anothers_by_now_is_not_touched()
    {
        var watched = Pinned();
        scene.End(101);
        scene.AddProcess(101, "sshd", kernel: false);
        watched.Look(scene.Online);
        Assert.Empty(scene.Moved);
    }

    [Fact]
    public void A_worker_that_an_I_O_thread_made_while_no_portal_watched_is_no_drift()
    {
        scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement);
        scene.Add(ThreadScene.Qemu, 121, "worker");
        scene[121] = CpuSet.Of(2);
        Assert.Empty(scene.Watch(ThreadScene.Placement).Look(scene.Online));
        Assert.Equal(CpuSet.Parse("0-1"), scene[121]);
    }

    [Fact]
    public void A_CPU_that_is_taken_away_and_given_back()
    {
        var wide = ThreadScene.Placement with { Vcpus = [CpuSet.Parse("4,6"), CpuSet.Of(5)] };
        var watched = Pinned(wide);
        // What the kernel does: who has no CPU left may run anywhere, others lose the one.
        scene.Online = CpuSet.Parse("0-4,7");
        scene[103] = CpuSet.Of(4);
        scene[104] = scene.Online;
        Assert.Equal(
        [
            new(false, "The host's CPUs 5-6, which this machine's placement uses, are offline."),
            new(false, "vCPU 1 (thread 104) may run on the CPUs 0-4,7; its place is 5."),
            new(false, "vCPU 1 (thread 104) cannot be put on the CPUs 5: none of them is online."),
        ], watched.Look(scene.Online));
        Assert.Empty(watched.Look(scene.Online));

        scene.Online = CpuSet.Range(0, 7);
        Assert.Equal([new(true, "vCPU 1 (thread 104) was put back on the CPUs 5.")], watched.Look(scene.Online));
        Assert.Equal((CpuSet.Parse("4,6"), CpuSet.Of(5)), (scene[103], scene[104]));
    }

    /// <summary>The bound of the product: watching 100 machines of 20 threads costs less than half a percent of a core. Real /proc and real system calls.</summary>
    [Fact]
    public void Watching_a_hundred_machines_costs_next_to_nothing()
    {
        var tree = new ThreadTree(new HostPaths());
        using var stop = new ManualResetEventSlim();
        var threads = Enumerable.Range(0, 20).Select(_ => new Thread(stop.Wait)).ToList();
        threads.ForEach(t => t.Start());
        try
        {
            var own = tree.Of(Environment.ProcessId);
            var everywhere = tree.Online();
            var placement = ThreadScene.Placement with { Emulator = everywhere, Vcpus = [everywhere] };
            var machines = Enumerable.Range(0, 100).Select(_ => new WatchedMachine(tree, new KernelAffinity(), TimeProvider.System, (new MachineThreads(Environment.ProcessId, own.Take(1).ToList(), [], null), () => true), placement)).ToList();
            Assert.True(own.Count >= 20);
            var best = TimeSpan.MaxValue;
            for (var round = 0; round < 10; round++)
            {
                var begun = Stopwatch.GetTimestamp();
                // Five looks are ten seconds: each machine's threads are listed once.
                for (var look = 0; look < 5; look++)
                    foreach (var machine in machines)
                        Assert.Empty(machine.Look(tree.Online() & everywhere));
                best = TimeSpan.FromTicks(Math.Min(best.Ticks, Stopwatch.GetElapsedTime(begun).Ticks * 20 / own.Count));
            }

            TestContext.Current.TestOutputHelper?.WriteLine($"{best.TotalMilliseconds / 10_000:P3} of a core for 100 machines of 20 threads");
            Assert.True(best < TimeSpan.FromMilliseconds(50), $"{best.TotalMilliseconds} ms of 10 s");
        }
        finally
        {
            stop.Set();
            threads.ForEach(t => t.Join());
        }
    }
}
