using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>What pages and programs read of placements: the ledger with what would still fit, a machine's place, and the planner's offers as definitions.</summary>
public sealed class PlacementOperationsTests
{
    [Fact]
    public async Task The_largest_machine_that_the_ledger_names_fits_and_a_larger_one_does_not()
    {
        await using var portal = await TestPortal.StartAsync();
        var fits = (await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Fits;
        Assert.Equal(Profiles.BuiltIn.Select(p => p.Name), fits.Select(f => f.Profile));
        var largest = fits.Single(f => f.Profile == "low-latency");
        Assert.Equal((15, 16 * 1024L, false), (largest.Vcpus, largest.MemoryMiB, largest.Emulated));
        Assert.IsType<PlacementPlan>((await PreviewAsync(portal, Machine("low-latency", 15, 16 * 1024))).Outcome);
        Assert.IsType<PlacementRefusal>((await PreviewAsync(portal, Machine("low-latency", 16, 16 * 1024))).Outcome);

        var vm = await portal.CreateAsync(Machine("low-latency", 15, 8 * 1024));
        Assert.Equal(JobState.Succeeded, (await portal.ActAsync(vm.Id, VmAction.Start)).State);
        var ledger = await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default);
        Assert.Equal([0, 15], ledger.Nodes.Select(n => n.FreeCores).Order());
        Assert.All(ledger.Nodes, n => Assert.Equal(n.FreeCores, n.Caches.Sum(c => c.FreeCores)));
        var used = ledger.Nodes.Single(n => n.FreeCores == 0);
        Assert.Equal((16, 8, 8), ((int)used.HugePages[^1].Total, (int)used.HugePages[^1].Held, (int)used.HugePages[^1].Free));
        var line = Assert.Single(ledger.Lines);
        Assert.Equal("lat", line.Name);
        Assert.Equal(15, line.Threads.Count(t => t.Role == ThreadRole.Vcpu));
        Assert.Equal(line.Held.Cpus, CpuSet.Union(line.Threads.Where(t => t.Role is ThreadRole.Vcpu or ThreadRole.IoThread).Select(t => t.Cpus)) | line.Idle);
        Assert.Equal(ledger.Housekeeping, line.Threads.Single(t => t.Role == ThreadRole.Emulator).Cpus | ledger.Housekeeping);
    }

    [Fact]
    public async Task A_machine_tells_its_place_as_recorded_and_as_measured_while_it_has_one()
    {
        await using var portal = await TestPortal.StartAsync();
        var operations = portal.Get<PlacementOperations>();
        var vm = await portal.CreateAsync(Machine("hpc", 4, 2048));
        var before = await operations.GetAsync(TestPortal.Ada, vm.Id, default);
        Assert.Equal((null, null), (before.Plan, before.Report));

        await portal.ActAsync(vm.Id, VmAction.Start);
        var now = await operations.GetAsync(TestPortal.Ada, vm.Id, default);
        Assert.NotEmpty(now.Plan!.Reasons);
        Assert.NotNull(now.Plan.Reasons[0].Because[0].Code);
        Assert.NotNull(now.Since);
        Assert.Empty(now.Report!.Drifts);
        Assert.Equal(now.Plan.Vcpus.Select(v => v.Cpus), now.Report.Threads.Where(t => t.Role == ThreadRole.Vcpu).Select(t => t.Actual));

        await portal.ActAsync(vm.Id, VmAction.Stop);
        for (var i = 0; i < 200 && (await operations.GetAsync(TestPortal.Ada, vm.Id, default)).Plan is not null; i++)
            await Task.Delay(25);
        var after = await operations.GetAsync(TestPortal.Ada, vm.Id, default);
        Assert.Equal((null, null), (after.Plan, after.Report));
        await Assert.ThrowsAsync<PortalException>(() => operations.GetAsync(TestPortal.Ada, Data.VmId.New(TimeProvider.System), default));
    }

    [Fact]
    public async Task Every_offer_that_becomes_a_definition_is_planned_as_it_says()
    {
        await using var portal = await TestPortal.StartAsync();
        foreach (var wish in (VmDefinition[])
            [
                Machine("low-latency", 20, 4096),
                Machine("low-latency", 4, 100 * 1024),
                Machine("ai-ml", 60, 2048) with { Cpu = new CpuDefinition { Count = 60, Threads = new AutoOrInt(1) } },
                Machine("hpc", 6, 1000) with { Memory = new MemoryDefinition { SizeMiB = 1000, Pages = PagesChoice.Huge1G } },
            ])
        {
            var preview = await PreviewAsync(portal, wish);
            var refusal = Assert.IsType<PlacementRefusal>(preview.Outcome);
            var offers = refusal.Remedies.Where(r => r.Request is not null).Select(r => PlacementOffer.Apply(wish, preview.Asked, r.Request!)).OfType<VmDefinition>().ToList();
            Assert.NotEmpty(offers);
            foreach (var offer in offers)
                Assert.True((await PreviewAsync(portal, offer)).Outcome is null or PlacementPlan, $"{refusal.CodeName}: {offer}");
        }

        var plan = await PreviewAsync(portal, Machine("hpc", 4, 2048));
        var alternatives = Assert.IsType<PlacementPlan>(plan.Outcome).Alternatives;
        Assert.NotEmpty(alternatives);
        foreach (var alternative in alternatives)
        {
            var taken = await PreviewAsync(portal, PlacementOffer.Apply(Machine("hpc", 4, 2048), plan.Asked, alternative.Request)!);
            Assert.Equal(alternative.Score, Assert.IsType<PlacementPlan>(taken.Outcome).Score);
        }
    }

    [Fact]
    public async Task A_preview_tells_what_knobs_cost_and_does_not_plan_what_is_wrong_in_itself()
    {
        await using var portal = await TestPortal.StartAsync();
        var wish = Machine("low-latency", 4, 2048);
        Assert.Empty((await PreviewAsync(portal, wish)).Costs);
        var paired = await PreviewAsync(portal, wish with { Placement = new PlacementDefinition { Knobs = new ProfileOverrides { Threads = SmtUse.Pair } } });
        Assert.Equal("cost-pair", Assert.Single(paired.Costs).Code);
        Assert.Null(await portal.Get<PlacementOperations>().PreviewAsync(TestPortal.Ada, null, wish with { Cpu = new CpuDefinition { Count = 0 } }, default));
        var ordinary = await PreviewAsync(portal, wish with { Profile = "general" });
        Assert.Null(ordinary.Outcome);
        Assert.Equal(64, ordinary.SharedCpus.Count);
    }

    [Fact]
    public async Task Sentences_name_machines_by_their_names()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("low-latency", 15, 8 * 1024));
        await portal.ActAsync(vm.Id, VmAction.Start);
        var refusal = Assert.IsType<PlacementRefusal>((await PreviewAsync(portal, Machine("low-latency", 16, 8 * 1024))).Outcome);
        var release = Assert.Single(refusal.Remedies, r => r.Advice.Code == "fix-release").Advice;
        Assert.EndsWith("e.g. lat.", release.Text, StringComparison.Ordinal);
        Assert.Equal("lat", release.Values["machines"].Text);
    }

    private static async Task<PlacementPreview> PreviewAsync(TestPortal portal, VmDefinition definition) => (await portal.Get<PlacementOperations>().PreviewAsync(TestPortal.Ada, null, definition, default))!;

    private static VmDefinition Machine(string profile, int cpus, int memory) => TestPortal.Machine("lat") with
    {
        Profile = profile,
        Cpu = new CpuDefinition { Count = cpus },
        Memory = new MemoryDefinition { SizeMiB = memory },
        Disks = [new DiskDefinition { Name = "disk0", SizeGiB = 1, Bus = DiskBusChoice.VirtioScsi }],
    };
}
