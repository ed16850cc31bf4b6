using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Tests.Golden;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Launch;

/// <summary>Limits by control groups in a pretended cgroup file system: what is written, what is read back, and what a host cannot give.</summary>
public sealed class ControlGroupsTests
{
    private static MachineSpec Spec(ControlGroupSpec limits) =>
        GoldenMachine.Read(GoldenMachine.Names().First()).Machine with { Accelerator = Accelerator.Kvm, Memory = new(1024, 4), Confinement = new() { Limits = limits } };

    [Fact]
    public void All_limits_are_written_and_read_back_on_a_host_with_version_2()
    {
        using var folder = new ScratchFolder();
        Mount(folder, "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", "cpuset cpu io memory hugetlb pids");
        var spec = Spec(new ControlGroupSpec { CpuWeight = 200, CpuPercent = 150, IoReadMiBps = 100, IoWriteIops = 500, TasksMax = 300 });
        var groups = new ControlGroups(new HostPaths(folder.Path), "abcd1234");
        groups.Prepare(spec, "253:0");
        groups.Join(spec.Id, 77);
        var group = groups.PathOf(spec.Id)!;
        Assert.Equal(folder.In($"sys/fs/cgroup/kvmportal/abcd1234/vm-{spec.Id:N}"), group);
        string Of(string file) => File.ReadAllText(Path.Combine(group, file));
        Assert.Equal(("200", "150000 100000", $"{(1024L + 32 + 512) << 20}", "300"), (Of("cpu.weight"), Of("cpu.max"), Of("memory.max"), Of("pids.max")));
        Assert.Equal("253:0 rbps=104857600 wbps=max riops=max wiops=500", Of("io.max"));
        Assert.All(groups.Read(spec, 77, "253:0"), m => Assert.Equal(MeasureState.InForce, m.State));
        Assert.All(groups.Read(spec, 78, "253:0"), m => Assert.Equal(MeasureState.Failed, m.State));
        File.WriteAllText(Path.Combine(group, "memory.max"), "max");
        Assert.Equal(MeasureState.Failed, groups.Read(spec, 77, "253:0").Single(m => m.Name == Measures.Memory).State);
    }

    [Fact]
    public void A_limit_on_a_disk_that_is_none_is_skipped_with_the_reason()
    {
        using var folder = new ScratchFolder();
        Mount(folder, "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", "cpu io memory pids");
        var spec = Spec(new ControlGroupSpec { IoReadIops = 10 });
        var groups = new ControlGroups(new HostPaths(folder.Path), "x");
        groups.Prepare(spec, null);
        groups.Join(spec.Id, 1);
        Assert.Equal(MeasureState.Skipped, groups.Read(spec, 1, null).Single(m => m.Name == Measures.Io).State);
    }

    [Theory]
    [InlineData("cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0", "hugetlb", "bound to cgroup v1")]
    [InlineData("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0", null, "no cgroup v2")]
    public void A_host_without_the_controllers_says_why_and_nothing_fails(string mount, string? controllers, string why)
    {
        using var folder = new ScratchFolder();
        Mount(folder, mount, controllers);
        var spec = Spec(new ControlGroupSpec());
        var groups = new ControlGroups(new HostPaths(folder.Path), "x");
        groups.Prepare(spec, "8:0");
        groups.Join(spec.Id, 1);
        groups.Remove(spec.Id);
        Assert.Null(groups.PathOf(spec.Id));
        Assert.All(groups.Read(spec, 1, "8:0"), m => Assert.True(m.State == MeasureState.Skipped && m.Evidence.Contains(why, StringComparison.Ordinal), m.ToString()));
    }

    private static void Mount(ScratchFolder folder, string line, string? controllers)
    {
        Directory.CreateDirectory(folder.In("proc/self"));
        File.WriteAllText(folder.In("proc/self/mounts"), "proc /proc proc rw 0 0\n" + line + "\n");
        if (controllers is null)
            return;
        var root = folder.In(line.Split(' ')[1].TrimStart('/'));
        Directory.CreateDirectory(root);
        File.WriteAllText(Path.Combine(root, "cgroup.controllers"), controllers + "\n");
    }
}
