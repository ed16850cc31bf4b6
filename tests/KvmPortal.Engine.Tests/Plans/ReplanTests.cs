using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>A running machine moves to better CPUs; its memory stays, and the ledger says where it is at any time.</summary>
public sealed class ReplanTests
{
    [Fact]
    public async Task A_better_place_is_taken_and_the_old_one_given_free()
    {
        await using var portal = await TestPortal.StartAsync();
        var replans = portal.Get<ReplanOperations>();
        var first = await portal.CreateAsync(Machine("first"), start: true);
        var second = await portal.CreateAsync(Machine("second"), start: true);
        var (better, worse) = ((await HeldAsync(portal, first.Id))!.Value, (await HeldAsync(portal, second.Id))!.Value);
        Assert.False(better.Overlaps(worse));
        Assert.Empty((await replans.PlanAsync(TestPortal.Ada, second.Id, default)).Steps);
        Assert.Equal(JobState.Succeeded, (await portal.EndedAsync((await replans.ReplanAsync(TestPortal.Ada, second.Id, default)).Id)).State);

        await portal.ActAsync(first.Id, VmAction.Stop);
        for (var i = 0; i < 100 && await HeldAsync(portal, first.Id) is not null; i++)
            await Task.Delay(50, TestContext.Current.CancellationToken);
        var plan = await replans.PlanAsync(TestPortal.Ada, second.Id, default);
        // What was set on the host for the old CPUs goes with it.
        Assert.Equal(["record-place", "restore-host-setting", "pin-machine", "apply-host-setting", "record-place"], plan.Steps.Select(s => s.Kind).Distinct().Append("record-place"));
        Assert.Equal("record-place", plan.Steps[^1].Kind);
        Assert.Equal(worse, await HeldAsync(portal, second.Id));
        Assert.Equal(JobState.Succeeded, (await portal.EndedAsync((await replans.ReplanAsync(TestPortal.Ada, second.Id, default)).Id)).State);
        Assert.Equal(better, await HeldAsync(portal, second.Id));
        var report = await portal.SimulatedHost.InspectPlacementAsync(second.Id.Value, default);
        Assert.All(report.Threads.Where(t => t.Role == ThreadRole.Vcpu), t => Assert.True(t.Actual.IsSubsetOf(better)));
        Assert.Empty((await replans.PlanAsync(TestPortal.Ada, second.Id, default)).Steps);
        // The old place is free for the next.
        await portal.ActAsync(first.Id, VmAction.Start);
        Assert.Equal(worse, await HeldAsync(portal, first.Id));
    }

    [Fact]
    public async Task Only_who_runs_on_CPUs_of_its_own_can_be_planned_anew()
    {
        await using var portal = await TestPortal.StartAsync();
        var replans = portal.Get<ReplanOperations>();
        var stopped = await portal.CreateAsync(Machine("a"));
        Assert.Equal("not-running", (await Assert.ThrowsAsync<PortalException>(() => replans.PlanAsync(TestPortal.Ada, stopped.Id, default))).Said.Code);
        var ordinary = await portal.CreateAsync(TestPortal.Machine("b"), start: true);
        Assert.Equal("nothing-to-replan", (await Assert.ThrowsAsync<PortalException>(() => replans.ReplanAsync(TestPortal.Ada, ordinary.Id, default))).Said.Code);
    }

    private static VmDefinition Machine(string name) => TestPortal.Machine(name) with
    {
        Profile = "hpc",
        Accelerator = AcceleratorChoice.Kvm,
        Cpu = new() { Count = 2 },
        Memory = new() { SizeMiB = 1024 },
        Placement = new() { Knobs = new() { Pages = Engine.Plans.Placement.PageKind.Small } },
    };

    private static async Task<CpuSet?> HeldAsync(TestPortal portal, Data.VmId id) =>
        (await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Lines.FirstOrDefault(l => l.VmId == id)?.Held.Cpus;
}
