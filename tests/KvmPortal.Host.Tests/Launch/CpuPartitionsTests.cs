using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Tests.Pinning;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Launch;

/// <summary>CPUs of one's own by control groups, in a pretended cgroup file system.</summary>
public sealed class CpuPartitionsTests : IDisposable
{
    private static readonly CpuSet Cpus = CpuSet.Parse("4-5");
    private readonly ScratchFolder folder = new();
    private readonly Guid id = Guid.NewGuid();

    public void Dispose() => folder.Dispose();

    private ControlGroups Groups(string controllers = "cpuset cpu memory pids")
    {
        Directory.CreateDirectory(folder.In("proc/self"));
        File.WriteAllText(folder.In("proc/self/mounts"), "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
        Directory.CreateDirectory(folder.In("sys/fs/cgroup"));
        File.WriteAllText(folder.In("sys/fs/cgroup/cgroup.controllers"), controllers + "\n");
        return new ControlGroups(new HostPaths(folder.Path), "x");
    }

    private string Said(string file) => File.ReadAllText(folder.In("sys/fs/cgroup/" + file)).TrimEnd('\n');

    private string Group(ControlGroups groups)
    {
        Directory.CreateDirectory(groups.PathOf(id)!);
        return groups.PathOf(id)!;
    }

    [Fact]
    public void The_vCPUs_get_an_isolated_partition_which_is_read_back_and_given_up_again()
    {
        var groups = Groups();
        var partitions = new CpuPartitions(groups);
        var group = Group(groups);
        File.WriteAllText(folder.In("sys/fs/cgroup/kvmportal/cpuset.cpus.exclusive"), "6\n");
        Assert.Equal(new Measure(Measures.Exclusivity, MeasureState.InForce, "CPUs 4-5 in an isolated partition of their own"), partitions.Isolate(group, Cpus, [103, 104]));
        var vm = $"kvmportal/x/vm-{id:N}";
        Assert.Equal(("4-6", "4-5", "4-5"), (Said("kvmportal/cpuset.cpus.exclusive"), Said("kvmportal/x/cpuset.cpus.exclusive"), Said($"{vm}/cpuset.cpus.exclusive")));
        Assert.Equal(("threaded", "4-5", "isolated", "103\n104"), (Said($"{vm}/vcpus/cgroup.type"), Said($"{vm}/vcpus/cpuset.cpus"), Said($"{vm}/vcpus/cpuset.cpus.partition"), Said($"{vm}/vcpus/cgroup.threads")));
        Assert.Equal("+cpuset", Said($"{vm}/cgroup.subtree_control"));

        // Again: nothing is moved twice.
        Assert.Equal(MeasureState.InForce, partitions.Isolate(group, Cpus, [103, 104]).State);
        Assert.Equal("103\n104", Said($"{vm}/vcpus/cgroup.threads"));
        Assert.Null(partitions.Problem(group));
        File.WriteAllText(Path.Combine(group, "vcpus/cpuset.cpus.partition"), "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n");
        Assert.Equal("The partition of the vCPUs' CPUs is not in force any more: isolated invalid (Cpu list in cpuset.cpus not exclusive).", partitions.Problem(group));

        partitions.Release(group);
        Assert.Equal(("6", "", "member"), (Said("kvmportal/cpuset.cpus.exclusive"), Said($"{vm}/cpuset.cpus.exclusive"), Said($"{vm}/vcpus/cpuset.cpus.partition")));
        Assert.Equal("103\n104", Said($"{vm}/cgroup.threads"));
    }

    [Fact]
    public void What_the_kernel_says_is_why_exclusivity_is_soft_and_nothing_stays()
    {
        var groups = Groups();
        var group = Group(groups);
        var old = new CpuPartitions(groups, f => f.EndsWith(".partition", StringComparison.Ordinal) && HostPaths.Read(f) == "isolated" ? "isolated invalid (Parent is not a partition root)" : HostPaths.Read(f));
        Assert.Equal(new Measure(Measures.Exclusivity, MeasureState.Skipped, "The kernel says of the partition: isolated invalid (Parent is not a partition root)."), old.Isolate(group, Cpus, [103]));
        Assert.Equal("member", Said($"kvmportal/x/vm-{id:N}/vcpus/cpuset.cpus.partition"));
        Assert.False(File.Exists(Path.Combine(group, "vcpus/cgroup.threads")));
        var none = new CpuPartitions(groups, f => f.EndsWith(".partition", StringComparison.Ordinal) ? null : HostPaths.Read(f));
        Assert.Equal("This kernel has no partitions of CPUs.", none.Isolate(group, Cpus, [103]).Evidence);
        Assert.Contains("does not have this controller", new CpuPartitions(Groups("cpu memory")).Isolate(group, Cpus, [103]).Evidence, StringComparison.Ordinal);
        Assert.Equal("The machine has no control group of its own.", new CpuPartitions(Groups()).Isolate("/elsewhere", Cpus, [103]).Evidence);
        Assert.Equal("The machine's vCPUs share their CPUs with other threads.", new CpuPartitions(Groups()).Isolate(group, CpuSet.Empty, [103]).Evidence);
    }

    [Theory]
    [InlineData("4;5", "0", "4-5")]
    [InlineData("4;4", "0", "")]
    [InlineData("4-5;5", "0", "")]
    [InlineData("4;5", "0,5", "")]
    [InlineData("4;2", "0", "")]
    public void Dedicated_are_CPUs_that_a_vCPU_shares_with_nothing(string vcpus, string emulator, string dedicated) => Assert.Equal(CpuSet.Parse(dedicated),
        CpuPartitions.Dedicated(ThreadScene.Placement with { Vcpus = [.. vcpus.Split(';').Select(CpuSet.Parse)], Emulator = CpuSet.Parse(emulator) }));
}
