using KvmPortal.Host.Contract;
using KvmPortal.Host.Pinning;

namespace KvmPortal.Host.Tests.Pinning;

public sealed class PlacementReaderTests : IDisposable
{
    private const string Huge = "7f0000000000 bind:0 file=/memfd:memory-backend-memfd\\040(deleted) huge dirty=128 N0=128 kernelpagesize_kB=2048\n";
    private readonly ThreadScene scene = new();

    public void Dispose() => scene.Dispose();

    private PlacementReport Read(MachinePlacement? placement) => new PlacementReader(scene.Paths, TimeProvider.System).Read(ThreadScene.Machine, placement, new MemorySpec(256, 4));

    [Fact]
    public void A_machine_in_its_place_has_no_drift()
    {
        scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement);
        scene.Write("proc/100/numa_maps", "55d0 default file=/usr/bin/qemu-system-x86_64 mapped=9 N0=9 kernelpagesize_kB=4\n" + Huge);
        var report = Read(ThreadScene.Placement);
        Assert.Empty(report.Drifts);
        Assert.All(report.Threads, t => Assert.True(t.Right));
        Assert.Equal([ThreadRole.Emulator, ThreadRole.Emulator, ThreadRole.Companion, ThreadRole.IoThread, ThreadRole.Vcpu, ThreadRole.Vcpu], report.Threads.Select(t => t.Role));
        Assert.Equal(256, Assert.Single(report.Memory).Pages[2048]);
        Assert.Equal([new(5000, 300, 7), new(5000, 300, 7)], report.Evidence);
    }

    [Fact]
    public void Everything_that_is_not_as_wanted_has_its_sentence()
    {
        scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement);
        scene[103] = CpuSet.Of(6);
        scene.End(104);
        scene.Online = CpuSet.Range(0, 3);
        scene.Write("proc/100/numa_maps", Huge.Replace("N0=128", "N0=60 N1=4", StringComparison.Ordinal) + Huge.Replace("N0=128", "N3=1000000000000000000", StringComparison.Ordinal) + "garbage\n\n7f1 N\n");
        Assert.Equal(
        [
            "vCPU 0 (thread 103) may run on the CPUs 6; its place is 4.",
            "The host's CPUs 4, which this machine's placement uses, are offline.",
            "Only 1 of 2 vCPU threads are there.",
            "8 MiB of the guest's memory lie on node 1; their place is node 0.",
            "Only 128 of 256 MiB of the guest's memory are on pages of 2 MiB.",
        ], Read(ThreadScene.Placement).Drifts);
    }

    [Fact]
    public void Anonymous_memory_is_known_by_its_size_and_a_machine_without_placement_is_just_read()
    {
        scene.Write("proc/100/maps", "7f0000000000-7f0010000000 rw-p 00000000 00:00 0 \n7f1000000000-7f1040000000 rwxp 00000000 00:00 0 \n7f2000000000-7f2000100000 rw-p 00000000 00:00 0 \nbroken\n");
        scene.Write("proc/100/numa_maps", "7f0000000000 default anon=512 dirty=512 active=0 N0=256 N1=256 kernelpagesize_kB=4\n7f1000000000 default anon=9 N0=900000 kernelpagesize_kB=4\n7f2000000000 default anon=9 N0=256 kernelpagesize_kB=4\n");
        var report = Read(null);
        Assert.Equal([1L, 1L], report.Memory.Select(m => m.Pages[4]));
        Assert.Empty(report.Drifts);
        Assert.All(report.Threads, t => Assert.True(t.Right && t.Wanted.IsEmpty));
    }

    [Fact]
    public void A_process_that_is_gone_is_an_empty_report() => Assert.Empty(new PlacementReader(scene.Paths, TimeProvider.System)
        .Read(new MachineThreads(4242, [4243], [], null), null, new MemorySpec(256, 4)).Threads);
}
