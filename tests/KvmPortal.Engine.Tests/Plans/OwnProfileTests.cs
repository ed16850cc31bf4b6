using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>Operators' copies of the portal's profiles.</summary>
public sealed class OwnProfileTests
{
    [Fact]
    public async Task A_copy_is_planned_with_and_a_change_of_it_holds_from_the_next_start()
    {
        await using var portal = await TestPortal.StartAsync();
        var profiles = portal.Get<ProfileOperations>();
        var made = await profiles.CreateAsync(TestPortal.Ada, "hpc", "Two threads of each core.", Profiles.Hpc with { Name = "hpc-pairs", Threads = SmtUse.Pair, Pages = [PageKind.Small] }, default);
        Assert.Equal(("hpc", 1, 0), (made.BasedOn, made.Version, made.UsedBy));
        Assert.Equal(["cost-pair", "cost-small-pages"], made.Costs.Select(c => c.Code));

        var vm = await portal.CreateAsync(Machine("hpc-pairs"));
        var start = await portal.ActAsync(vm.Id, VmAction.Start);
        Assert.Equal("hpc-pairs", start.Plan.Placement!.Profile.Name);
        Assert.Equal(SmtUse.Pair, start.Plan.Placement.Profile.Threads);
        var taken = Assert.Single((await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Lines).Held;
        Assert.Equal("hpc-pairs", taken.Class);

        var changed = await profiles.ChangeAsync(TestPortal.Ada, "hpc-pairs", "Alone.", made.Knobs with { Name = "another", Threads = SmtUse.Isolate }, 1, default);
        Assert.Equal(("hpc-pairs", 2, 1), (changed.Name, changed.Version, changed.UsedBy));
        Assert.Equal(taken.Cpus, Assert.Single((await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Lines).Held.Cpus);
        await portal.ActAsync(vm.Id, VmAction.Stop);
        Assert.Equal(SmtUse.Isolate, (await portal.ActAsync(vm.Id, VmAction.Start)).Plan.Placement!.Profile.Threads);
    }

    [Fact]
    public async Task What_is_wrong_is_refused_all_at_once_and_what_is_in_use_stays()
    {
        await using var portal = await TestPortal.StartAsync();
        var profiles = portal.Get<ProfileOperations>();
        var wrong = await Assert.ThrowsAsync<PortalException>(() => profiles.CreateAsync(TestPortal.Ada, "general", new string('x', 2000),
            Profiles.General with { Name = "No Spaces", Pages = [], Realtime = true, WakeUpMicroseconds = -1, Emulator = EmulatorPlace.OwnCores }, default));
        Assert.Equal(["/name", "/description", "/knobs/pages", "/knobs/wakeUpMicroseconds", "/knobs/emulator", "/knobs/wakeUpMicroseconds", "/knobs/realtime"], wrong.Problems.Select(p => p.Pointer));
        Assert.Equal(ErrorCode.NameTaken, (await Assert.ThrowsAsync<PortalException>(() => profiles.CreateAsync(TestPortal.Ada, "hpc", "", Profiles.Hpc, default))).Code);
        Assert.Equal("/basedOn", (await Assert.ThrowsAsync<PortalException>(() => profiles.CreateAsync(TestPortal.Ada, "nobody", "", Profiles.Hpc with { Name = "x" }, default))).Problems.Single().Pointer);
        Assert.Equal(ErrorCode.Conflict, (await Assert.ThrowsAsync<PortalException>(() => profiles.ChangeAsync(TestPortal.Ada, "hpc", "", Profiles.Hpc, null, default))).Code);
        Assert.Equal("unknown-profile", (await Assert.ThrowsAsync<PortalException>(() => portal.CreateAsync(Machine("nobody")))).Problems.Single().Code);

        await profiles.CreateAsync(TestPortal.Ada, "hpc", "", Profiles.Hpc with { Name = "one" }, default);
        await profiles.CreateAsync(TestPortal.Ada, "one", "", Profiles.Hpc with { Name = "two" }, default);
        Assert.Equal(ErrorCode.NameTaken, (await Assert.ThrowsAsync<PortalException>(() => profiles.CreateAsync(TestPortal.Ada, "hpc", "", Profiles.Hpc with { Name = "one" }, default))).Code);
        Assert.Equal(ErrorCode.Stale, (await Assert.ThrowsAsync<PortalException>(() => profiles.ChangeAsync(TestPortal.Ada, "one", "", Profiles.Hpc, 7, default))).Code);
        var vm = await portal.CreateAsync(Machine("one"));
        Assert.Equal(ErrorCode.Conflict, (await Assert.ThrowsAsync<PortalException>(() => profiles.DeleteAsync(TestPortal.Ada, "one", null, default))).Code);
        await portal.EndedAsync((await portal.Vms.DeleteAsync(TestPortal.Ada, vm.Id, null, default)).Id);
        await profiles.DeleteAsync(TestPortal.Ada, "one", 1, default);
        Assert.Equal("hpc", (await profiles.GetAsync(TestPortal.Ada, "two", default)).BasedOn);
        Assert.Equal(ErrorCode.NotFound, (await Assert.ThrowsAsync<PortalException>(() => profiles.DeleteAsync(TestPortal.Ada, "one", null, default))).Code);
        Assert.Equal(0, await portal.Store.ReadAsync(db => db.Reservations.CountAsync(), default));
    }

    private static VmDefinition Machine(string profile) => TestPortal.Machine("a") with { Profile = profile, Cpu = new CpuDefinition { Count = 2 }, Memory = new MemoryDefinition { SizeMiB = 1024 } };
}
