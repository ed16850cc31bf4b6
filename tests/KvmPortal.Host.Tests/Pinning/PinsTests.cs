using KvmPortal.Host.Contract;
using KvmPortal.Host.Pinning;

namespace KvmPortal.Host.Tests.Pinning;

public sealed class PinsTests : IDisposable
{
    private readonly ThreadScene scene = new();

    public void Dispose() => scene.Dispose();

    [Fact]
    public void Each_thread_gets_its_place_QEMUs_main_thread_first_and_vCPUs_last()
    {
        scene.AddProcess(500, "vhost-100", kernel: true);
        Assert.True(scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement));
        Assert.Equal("90: 0-1; 100: 0-1; 101: 0-1; 102: 2; 103: 4; 104: 5; 500: 3", scene.ToString());
        Assert.Equal([100, 101, 90, 500, 102, 103, 104], scene.Moved);
        Assert.False(scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement));

        scene.Pins.Release(ThreadScene.Machine);
        Assert.Equal("90: 0-7; 100: 0-7; 101: 0-7; 102: 0-7; 103: 0-7; 104: 0-7; 500: 0-7", scene.ToString());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(700)]
    [InlineData(ThreadScene.Tpm)]
    public void A_thread_that_is_not_QEMUs_own_is_never_moved_whatever_QEMU_says(int foreign)
    {
        scene.AddProcess(1, "init", kernel: false);
        scene.AddProcess(700, "sshd", kernel: false);
        foreach (var lie in (MachineThreads[])[ThreadScene.Machine with { Vcpus = [103, foreign] }, ThreadScene.Machine with { IoThreads = [("disk0-io", foreign)] }])
        {
            Assert.Contains($"is thread {foreign}, which is none of its own.", Assert.Throws<HostException>(() => scene.Pins.Apply(lie, ThreadScene.Placement)).Message, StringComparison.Ordinal);
            Assert.Empty(scene.Moved);
            // What only reads or watches leaves it out, too.
            Assert.DoesNotContain(Places.Find(scene.Tree, lie with { CompanionPid = null }, ThreadScene.Placement), p => p.ThreadId == foreign);
        }
    }

    [Fact]
    public void Only_the_kernel_can_make_a_vhost_thread()
    {
        scene.AddProcess(500, "vhost-100", kernel: false);
        scene.AddProcess(501, "vhost-1000", kernel: true);
        scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement);
        Assert.DoesNotContain(500, scene.Moved);
        Assert.DoesNotContain(501, scene.Moved);

        // From Linux 6.4 on they are threads of QEMU.
        scene.Add(ThreadScene.Qemu, 105, "vhost-100");
        scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement);
        Assert.Equal(CpuSet.Of(3), scene[105]);
        scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement with { Vhost = CpuSet.Empty });
        Assert.Equal(CpuSet.Parse("0-1"), scene[105]);
    }

    [Fact]
    public void Threads_that_QEMU_makes_meanwhile_are_placed_too_and_workers_of_the_kernel_stay()
    {
        scene.Add(ThreadScene.Qemu, 106, "iou-wrk-102", worker: true);
        scene.Moving = thread =>
        {
            if (thread == 102)
                scene.Add(ThreadScene.Qemu, 107, "worker");
        };
        scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement);
        Assert.Equal((CpuSet.Parse("0-1"), CpuSet.Range(0, 7)), (scene[107], scene[106]));
    }

    [Fact]
    public void A_refusal_names_the_thread_and_all_is_as_it_was()
    {
        scene[103] = CpuSet.Parse("0-6");
        var absent = ThreadScene.Placement with { Vcpus = [CpuSet.Of(4), CpuSet.Of(64)] };
        Assert.Equal("vCPU 1 (thread 104) cannot be put on the CPUs 64: none of them is online.", Assert.Throws<HostException>(() => scene.Pins.Apply(ThreadScene.Machine, absent)).Message);
        Assert.Equal("90: 0-7; 100: 0-7; 101: 0-7; 102: 0-7; 103: 0-6; 104: 0-7", scene.ToString());
        Assert.Throws<HostException>(() => scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement with { Emulator = CpuSet.Empty }));
        scene.Moving = thread => scene[thread] = thread == 103 ? CpuSet.Range(0, 7) : scene[thread];
        Assert.Equal("vCPU 0 (thread 103) was to be put on the CPUs 4, but may run on 0-7.", Assert.Throws<HostException>(() => scene.Pins.Apply(ThreadScene.Machine, ThreadScene.Placement)).Message);
    }

    [Fact]
    public void A_vCPU_that_was_plugged_in_beyond_the_placement_is_with_the_emulator()
    {
        scene.Add(ThreadScene.Qemu, 108, "CPU 2/KVM");
        scene.Pins.Apply(ThreadScene.Machine with { Vcpus = [103, 104, 108] }, ThreadScene.Placement);
        Assert.Equal(CpuSet.Parse("0-1"), scene[108]);
    }

    [Fact]
    public void The_kernel_takes_and_gives_back_what_was_set()
    {
        var (affinity, before, mask) = (new KernelAffinity(), new ulong[CpuMask.Words], new ulong[CpuMask.Words]);
        var moved = new Thread(() =>
        {
            // 0 is the calling thread.
            Assert.True(affinity.TryGet(0, before));
            var one = CpuSet.Of(CpuMask.SetOf(before).First);
            Assert.Equal(0, affinity.Set(0, CpuMask.Of(one)));
            Assert.True(affinity.TryGet(0, mask));
            Assert.Equal(one, CpuMask.SetOf(mask));
            Assert.Equal(CpuMask.Invalid, affinity.Set(0, CpuMask.Of(CpuSet.Of(8000))));
        });
        moved.Start();
        moved.Join();
        Assert.Equal(CpuSet.Empty | CpuSet.Parse(File.ReadAllText("/sys/devices/system/cpu/online")), CpuMask.SetOf(before));
        Assert.False(affinity.TryGet(int.MaxValue, mask));
        Assert.Equal(CpuMask.NoSuchThread, affinity.Set(int.MaxValue, before));
    }
}
