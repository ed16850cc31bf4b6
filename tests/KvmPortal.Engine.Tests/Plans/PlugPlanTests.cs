using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>What a running machine takes of a change of its vCPUs and memory, and what has to wait.</summary>
public sealed class PlugPlanTests
{
    [Fact]
    public async Task What_fits_into_the_room_of_the_start_is_plugged_the_rest_waits_with_its_reason()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a") with { Accelerator = AcceleratorChoice.Kvm, Cpu = new() { Count = 2, Max = 4, Model = "host" }, Memory = new() { SizeMiB = 512, MaxMiB = 1024 } }, start: true);
        var wanted = vm.Definition with { Cpu = vm.Definition.Cpu with { Count = 4 }, Memory = vm.Definition.Memory with { SizeMiB = 768, MinMiB = 300 } };
        var plan = await portal.Vms.PlanReplaceAsync(TestPortal.Ada, vm.Id, wanted, null, default);
        Assert.Equal([("/cpu/count", Effect.HotPlug, "vcpus-plugged"), ("/memory/sizeMiB", Effect.HotPlug, "memory-grows"), ("/memory/minMiB", Effect.Live, "portal-only")],
            plan.Effects.Select(e => (e.Pointer, e.Effect, e.ReasonCode)));
        Assert.Equal(["set-memory", "set-vcpus", "record-live"], plan.Steps.Select(s => s.Kind));
        Assert.Equal(["{\"execute\":\"qom-set\",\"arguments\":{\"path\":\"/machine/peripheral/mem0\",\"property\":\"requested-size\",\"value\":268435456}}",
            "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"host-x86_64-cpu\",\"id\":\"vcpu2\",\"socket-id\":0,\"core-id\":2,\"thread-id\":0}}",
            "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"host-x86_64-cpu\",\"id\":\"vcpu3\",\"socket-id\":0,\"core-id\":3,\"thread-id\":0}}"], plan.Steps.SelectMany(s => s.Commands));
        Assert.Null(plan.NextBoot);
        var changed = await ReplaceAsync(portal, vm, wanted);
        Assert.Empty(changed.PendingChanges);
        Assert.Equal(4, (await portal.SimulatedHost.InspectPlacementAsync(vm.Id.Value, default)).Threads.Count(t => t.Role == ThreadRole.Vcpu));

        // Fewer again, and beyond the room at the same time: one is done, the other waits.
        changed = await ReplaceAsync(portal, vm, wanted with { Cpu = wanted.Cpu with { Count = 1 }, Memory = wanted.Memory with { SizeMiB = 2048, MaxMiB = 4096 } });
        Assert.Equal([("/memory/maxMiB", "room-since-start"), ("/memory/sizeMiB", "no-memory-room")], changed.PendingChanges.Select(e => (e.Pointer, e.ReasonCode!)).Order());
        Assert.Single((await portal.SimulatedHost.InspectPlacementAsync(vm.Id.Value, default)).Threads, t => t.Role == ThreadRole.Vcpu);
        Assert.Equal("start-memory-stays", (await EffectAsync(portal, vm, wanted with { Memory = wanted.Memory with { SizeMiB = 500 } }, "/memory/sizeMiB")).ReasonCode);
        Assert.Equal("no-vcpu-room", (await EffectAsync(portal, vm, wanted with { Cpu = wanted.Cpu with { Count = 5, Max = 8 } }, "/cpu/count")).ReasonCode);

        var next = (await portal.Vms.PlanReplaceAsync(TestPortal.Ada, vm.Id, wanted with { Cpu = wanted.Cpu with { Count = 5, Max = 8 } }, null, default)).NextBoot!;
        Assert.Contains(next.Removed, o => o.StartsWith("-smp 1,maxcpus=4", StringComparison.Ordinal));
        Assert.Contains(next.Added, o => o.StartsWith("-smp 5,maxcpus=8", StringComparison.Ordinal));

        // What waits can be taken back.
        Assert.Empty((await ReplaceAsync(portal, vm, await portal.Vms.RevertedAsync(TestPortal.Ada, vm.Id, default))).PendingChanges);

        // A guest that stands still takes nothing.
        await portal.ActAsync(vm.Id, VmAction.Pause);
        Assert.Equal("guest-stands-still", (await EffectAsync(portal, vm, wanted with { Cpu = wanted.Cpu with { Count = 3 } }, "/cpu/count")).ReasonCode);

        // The next start has all of it.
        await portal.ActAsync(vm.Id, VmAction.Stop);
        await portal.ActAsync(vm.Id, VmAction.Start);
        Assert.Empty((await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).PendingChanges);
    }

    [Fact]
    public async Task Suspended_state_comes_back_with_what_it_had_and_a_placed_machine_has_the_CPUs_of_all_that_may_come()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a") with { Accelerator = AcceleratorChoice.Kvm, Cpu = new() { Count = 2, Max = 4 } }, start: true);
        await portal.ActAsync(vm.Id, VmAction.Suspend);
        await ReplaceAsync(portal, vm, vm.Definition with { Cpu = vm.Definition.Cpu with { Count = 3 } });
        await portal.ActAsync(vm.Id, VmAction.Start);
        Assert.Equal("/cpu/count", Assert.Single((await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).PendingChanges).Pointer);

        var placed = await portal.CreateAsync(TestPortal.Machine("b") with { Accelerator = AcceleratorChoice.Kvm, Profile = "hpc", Cpu = new() { Count = 1, Max = 2 }, Memory = new() { SizeMiB = 1024 }, Placement = new() { Knobs = new() { Pages = Engine.Plans.Placement.PageKind.Small } } }, start: true);
        Assert.Equal(2, Assert.Single((await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Lines).Held.Vcpus);
        await ReplaceAsync(portal, placed, placed.Definition with { Cpu = placed.Definition.Cpu with { Count = 2 } });
        var report = await portal.SimulatedHost.InspectPlacementAsync(placed.Id.Value, default);
        Assert.Equal(report.Placement!.Vcpus, report.Threads.Where(t => t.Role == ThreadRole.Vcpu).Select(t => t.Actual));
    }

    [Fact]
    public async Task Impossible_room_is_refused_at_once()
    {
        await using var portal = await TestPortal.StartAsync();
        var refused = await Assert.ThrowsAsync<PortalException>(() => portal.CreateAsync(TestPortal.Machine("a") with { Memory = new() { SizeMiB = 514, MaxMiB = 1001, MinMiB = 600 } }));
        Assert.Equal(["/memory/minMiB", "/memory/maxMiB", "/memory/sizeMiB"], refused.Problems.Select(p => p.Pointer));
        Assert.Contains((await Assert.ThrowsAsync<PortalException>(() => portal.CreateAsync(TestPortal.Machine("a") with { Memory = new() { SizeMiB = 512, MaxMiB = 1024, Pages = PagesChoice.Huge2M } }))).Problems, p => p.Pointer == "/memory/maxMiB");
    }

    private static async Task<FieldEffect> EffectAsync(TestPortal portal, VmView vm, VmDefinition wanted, string pointer)
    {
        return (await portal.Vms.PlanReplaceAsync(TestPortal.Ada, vm.Id, wanted, null, default)).Effects.Single(e => e.Pointer == pointer);
    }

    private static async Task<VmView> ReplaceAsync(TestPortal portal, VmView vm, VmDefinition wanted)
    {
        var made = await portal.Vms.ReplaceAsync(TestPortal.Ada, vm.Id, wanted, null, default);
        if (made.Job is { } job)
            Assert.Equal(JobState.Succeeded, (await portal.EndedAsync(job.Id)).State);
        return await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default);
    }
}
