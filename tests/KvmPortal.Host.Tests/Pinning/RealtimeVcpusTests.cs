using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Pinning;

namespace KvmPortal.Host.Tests.Pinning;

public sealed class RealtimeVcpusTests : IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("kvmportal-rt-").FullName;
    private readonly List<(int Thread, int Class, int Priority)> calls = [];
    private int refuses;

    public RealtimeVcpusTests() => Directory.CreateDirectory(Path.Combine(root, "sys", "kernel"));

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Fact]
    public void Only_a_real_time_kernel_and_CPUs_of_ones_own_will_do_and_it_is_all_or_none()
    {
        var placement = new MachinePlacement { Vcpus = [CpuSet.Of(1), CpuSet.Of(2)], Emulator = CpuSet.Of(0), Realtime = true, Sockets = 1, CoresPerSocket = 2, ThreadsPerCore = 1, Nodes = [] };
        Assert.Equal(HostError.NotAllowed, Assert.Throws<HostException>(() => Vcpus().Apply(placement, [10, 11])).Error);
        File.WriteAllText(Path.Combine(root, "sys", "kernel", "realtime"), "1\n");
        Assert.Equal("vCPUs run in the real-time class only where each has a CPU of its own.", Assert.Throws<HostException>(() => Vcpus().Apply(placement with { Emulator = CpuSet.Of(0, 1) }, [10, 11])).Message);
        Assert.Empty(calls);

        Vcpus().Apply(placement, [10, 11]);
        Assert.Equal([(10, 1, 1), (11, 1, 1)], calls);
        calls.Clear();
        refuses = 11;
        Assert.Equal("vCPU 1 cannot be put into the real-time class: Operation not permitted.", Assert.Throws<HostException>(() => Vcpus().Apply(placement, [10, 11])).Message);
        Assert.Equal([(10, 1, 1), (11, 1, 1), (10, 0, 0), (11, 0, 0)], calls);
    }

    private RealtimeVcpus Vcpus() => new(new HostPaths(root), (thread, kind, priority) =>
    {
        calls.Add((thread, kind, priority));
        return thread == refuses && kind == 1 ? 1 : 0;
    });
}
