using System.Text.Json;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Tests.Pinning;
using static KvmPortal.Host.Tests.Simulated.SimulatedFixture;

namespace KvmPortal.Host.Tests.Simulated;

public sealed class SimulatedPlacementTests
{
    [Fact]
    public async Task A_pretended_machine_is_pinned_pinned_anew_and_released()
    {
        using var host = NewHost();
        var id = await host.Start(Spec());
        var pin = new PinMachine { MachineId = id, Placement = ThreadScene.Placement };
        Assert.Null((await host.InspectPlacementAsync(id, TestContext.Current.CancellationToken)).Placement);
        Assert.True(await host.Changes(pin));
        // As it comes back from a job's row.
        Assert.False(await host.Changes(JsonSerializer.Deserialize<HostStep>(JsonSerializer.Serialize<HostStep>(pin))!));
        var report = await host.InspectPlacementAsync(id, TestContext.Current.CancellationToken);
        Assert.Empty(report.Drifts);
        Assert.Equal(["4", "5"], report.Threads.Where(t => t.Role == ThreadRole.Vcpu).Select(t => t.Actual.ToString()));
        Assert.Equal(256, Assert.Single(report.Memory).Pages[2048]);
        Assert.Equal(2, report.Evidence.Count);

        var anew = new PinMachine { MachineId = id, Placement = pin.Placement with { Vcpus = [CpuSet.Of(6), CpuSet.Of(7)] }, Before = pin.Placement };
        Assert.True(await host.Changes(anew));
        Assert.True(await host.Undo(anew));
        Assert.Equal(CpuSet.Of(4), (await host.InspectPlacementAsync(id, TestContext.Current.CancellationToken)).Placement!.Vcpus[0]);
        Assert.True(await host.Undo(pin));
        Assert.Null((await host.InspectPlacementAsync(id, TestContext.Current.CancellationToken)).Placement);
        await host.Refused(new PinMachine { MachineId = id, Placement = pin.Placement with { Emulator = CpuSet.Empty } }, HostError.NotAllowed);
        await host.Refused(pin with { MachineId = Guid.NewGuid() }, HostError.NotRunning);
    }

    [Fact]
    public async Task A_machine_named_so_drifts_and_says_which_thread()
    {
        using var host = NewHost();
        var id = await host.Start(Spec() with { Name = "a-drift" });
        await host.Changes(new PinMachine { MachineId = id, Placement = ThreadScene.Placement });
        var report = await host.InspectPlacementAsync(id, TestContext.Current.CancellationToken);
        Assert.StartsWith("vCPU 0 (thread ", Assert.Single(report.Drifts), StringComparison.Ordinal);
        Assert.Equal(ThreadRole.Vcpu, Assert.Single(report.Threads, t => !t.Right).Role);
    }
}
