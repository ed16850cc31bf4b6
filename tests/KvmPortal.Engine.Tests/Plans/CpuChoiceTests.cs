using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>Which CPU a guest sees, and that it stays.</summary>
public sealed class CpuChoiceTests
{
    private static CpuModelFacts Model(string name, params string[] missing) => new(name, missing, false);

    [Fact]
    public void The_newest_named_model_of_the_vendor_that_runs_is_for_machines_that_may_move()
    {
        CpuModelFacts[] models = [Model("host"), Model("max"), Model("qemu64-v1"), Model("EPYC-v3"), Model("EPYC-Rome-v1"), Model("EPYC-Rome-v2"), Model("EPYC-Milan-v1", "pku"), Model("Icelake-Server-v5"), new("EPYC-Genoa-v1", [], Deprecated: true)];
        Assert.Equal("EPYC-Rome-v2", CpuAdvisor.Baseline(models, "AuthenticAMD"));
        Assert.Equal("Icelake-Server-v5", CpuAdvisor.Baseline(models, "GenuineIntel"));
        Assert.Null(CpuAdvisor.Baseline([Model("host"), Model("qemu64-v1")], "GenuineIntel"));
        var advice = CpuAdvisor.Advise(Accelerator.Kvm, models, "AuthenticAMD");
        Assert.Equal(("host", "EPYC-Rome-v2"), (advice.Dedicated, advice.Movable));
        Assert.Equal("host", advice.Models[0].Name);
        Assert.Equal(["cpu-host-cost"], advice.Models[0].Costs.Select(c => c.Code));
        Assert.Equal(["cpu-model-movable", "cpu-level-lost"], advice.Models.Single(m => m.Name == "EPYC-Rome-v2").Costs.Select(c => c.Code));
        Assert.Equal(["cpu-model-lacks"], advice.Models.Single(m => m.Name == "EPYC-Milan-v1").Costs.Select(c => c.Code));
        Assert.Equal(["cpu-level-lost"], advice.Models.Single(m => m.Name == "qemu64-v1").Costs.Select(c => c.Code));
        Assert.Equal(["cpu-level-kept", "cpu-model-deprecated"], advice.Models.Single(m => m.Name == "EPYC-Genoa-v1").Costs.Select(c => c.Code));
        Assert.Equal("max", CpuAdvisor.Advise(Accelerator.Tcg, models, "AuthenticAMD").Dedicated);
    }

    [Fact]
    public async Task Machines_that_may_move_keep_their_named_model_and_those_that_stay_get_the_hosts()
    {
        await using var portal = await TestPortal.StartAsync();
        var ordinary = await portal.CreateAsync(TestPortal.Machine("a"));
        var launched = Spec(await portal.ActAsync(ordinary.Id, VmAction.Start));
        Assert.Equal(("Icelake-Server-v5", false, false, true), (launched.Cpu.Model, launched.Cpu.Exact, launched.Cpu.DedicatedHints, launched.Cpu.StealTime));
        await portal.ActAsync(ordinary.Id, VmAction.Stop);
        // An older choice is kept where it still runs; one that does not is chosen anew.
        foreach (var (before, then) in (IEnumerable<(string, string)>)[("Skylake-Server-v4", "Skylake-Server-v4"), ("SapphireRapids-v1", "Icelake-Server-v5"), ("host", "Icelake-Server-v5")])
        {
            await portal.Store.WriteAsync(db => db.Vms.Where(v => v.Id == ordinary.Id).ExecuteUpdateAsync(set => set.SetProperty(v => v.CpuModel, before)), default);
            Assert.Equal(then, Spec(await portal.ActAsync(ordinary.Id, VmAction.Start)).Cpu.Model);
            await portal.ActAsync(ordinary.Id, VmAction.Stop);
        }

        var dedicated = await portal.CreateAsync(TestPortal.Machine("b") with { Profile = "hpc", GuestSystem = GuestSystem.Windows, Memory = new MemoryDefinition { SizeMiB = 1024 }, Placement = new PlacementDefinition { Knobs = new ProfileOverrides { Pages = PageKind.Small }, IoThreads = 1 } });
        var placed = Spec(await portal.ActAsync(dedicated.Id, VmAction.Start));
        Assert.Equal(("host", true, true, true, true), (placed.Cpu.Model, placed.Cpu.Exact, placed.Cpu.DedicatedHints, placed.Cpu.HyperV, placed.LocalClock));
        var refused = await Assert.ThrowsAsync<PortalException>(() => portal.Vms.ActAsync(TestPortal.Ada, dedicated.Id, VmAction.Suspend, new VmActionOptions(), default));
        Assert.Equal("cannot-be-saved", refused.Said.Code);

        var wrong = await Assert.ThrowsAsync<PortalException>(() => portal.Vms.PlanCreateAsync(TestPortal.Ada, TestPortal.Machine("c") with { Cpu = new CpuDefinition { Model = "SapphireRapids-v1" } }, true, default));
        Assert.Equal(("/cpu/model", "Icelake-Server-v5"), (wrong.Problems.Single().Pointer, wrong.Problems.Single().Fit?.GetString()));
    }

    [Fact]
    public async Task What_was_saved_goes_on_with_the_CPU_that_it_had()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        await portal.ActAsync(vm.Id, VmAction.Start);
        await portal.ActAsync(vm.Id, VmAction.Suspend);
        // Saved by a portal that had no named models.
        await portal.Store.WriteAsync(db => db.Vms.Where(v => v.Id == vm.Id).ExecuteUpdateAsync(set => set.SetProperty(v => v.CpuModel, (string?)null)), default);
        Assert.Equal("host", Spec(await portal.ActAsync(vm.Id, VmAction.Start)).Cpu.Model);
        await portal.ActAsync(vm.Id, VmAction.Suspend);
        Assert.Equal("host", Spec(await portal.ActAsync(vm.Id, VmAction.Start)).Cpu.Model);
    }

    private static MachineSpec Spec(JobView job) => job.Plan.Steps.Select(s => s.OnHost).OfType<LaunchMachine>().Single().Spec;
}
