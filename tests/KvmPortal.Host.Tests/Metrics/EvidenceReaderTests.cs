using System.Text.Json;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Metrics;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Qmp;
using KvmPortal.Host.Tests.Pinning;

namespace KvmPortal.Host.Tests.Metrics;

public sealed class EvidenceReaderTests : IDisposable
{
    private readonly ThreadScene scene = new();

    public void Dispose() => scene.Dispose();

    private MachineEvidence Read() => new EvidenceReader(scene.Paths, TimeProvider.System).Read(ThreadScene.Machine);

    [Fact]
    public void Counters_of_threads_faults_pressure_and_nodes_are_read()
    {
        scene.Write("proc/100/stat", "100 (qemu (system) x) S 1 100 100 0 -1 4194560 1234 0 56 0 7 8 0 0 20 0 3 0 99 1 1\n");
        scene.Write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=500\n");
        scene.Write("proc/pressure/io", "some avg10=0.00 avg60=0.00 avg300=0.00 total=70\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=60\n");
        scene.Write("sys/devices/system/node/node1/numastat", "numa_hit 5\nnuma_miss 6\nnuma_foreign 7\n");
        var read = Read();
        Assert.Equal([new(5000, 300, 7), new(5000, 300, 7)], read.Vcpus);
        Assert.Equal((1234L, 56L), (read.MinorFaults, read.MajorFaults));
        Assert.Equal([("cpu", false, 500L, null), ("io", false, 70L, (long?)60)], read.Pressure.Select(p => (p.Resource, p.OfMachine, p.SomeMicroseconds, p.FullMicroseconds)));
        Assert.Equal([new NodeEvidence(1, 6, 7)], read.Nodes);
    }

    [Fact]
    public void A_machine_with_a_control_group_of_its_own_is_measured_by_that()
    {
        scene.Write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=500\n");
        scene.Write("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
        scene.Write("proc/100/cgroup", "0::/kvmportal/p1/vm-0123/inner\n");
        scene.Write("sys/fs/cgroup/kvmportal/p1/vm-0123/cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n");
        var pressure = Assert.Single(Read().Pressure);
        Assert.True(pressure is { OfMachine: true, SomeMicroseconds: 9, FullMicroseconds: 4 });
    }

    [Fact]
    public void Nothing_there_is_nothing_and_rubbish_is_zero()
    {
        scene.Write("proc/100/stat", "rubbish\n");
        scene.Write("proc/pressure/memory", "some total=x\n");
        scene.Write("sys/devices/system/node/nodeX/numastat", "numa_miss 1\n");
        var read = new EvidenceReader(scene.Paths, TimeProvider.System).Read(new MachineThreads(4242, [4243], [], null));
        Assert.Equal([new VcpuEvidence(0, 0, 0)], read.Vcpus);
        Assert.Empty(read.Pressure);
        Assert.Empty(read.Nodes);
    }

    [Fact]
    public void KVMs_counters_are_summed_over_vCPUs_and_a_lying_QEMU_changes_nothing()
    {
        var sums = QmpStatistics.Sum(JsonElement.Parse("""
            [{"provider":"kvm","qom-path":"/a","stats":[{"name":"exits","value":10},{"name":"histogram","value":[1,2]},{"name":"guest_mode","value":true}]},
             {"provider":"kvm","qom-path":"/b","stats":[{"name":"exits","value":5},{"name":"halt_exits","value":-3},{"value":1},7]}, "x", {"stats":1}]
            """));
        Assert.Equal([new("exits", 15)], sums);
        Assert.Empty(QmpStatistics.Sum(JsonElement.Parse("{}")));
        Assert.Equal(long.MaxValue, QmpStatistics.Sum(JsonElement.Parse($$"""[{"stats":[{"name":"exits","value":{{long.MaxValue}}},{"name":"exits","value":1}]}]"""))["exits"]);
    }
}
