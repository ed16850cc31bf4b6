using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Hosts;

/// <summary>User ids of machines: unique, and resting after a delete.</summary>
public sealed class MachineUidTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 23, 0, 0, 0, TimeSpan.Zero);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_VM_gets_one_of_its_own()
    {
        await using var portal = await TestPortal.StartAsync();
        foreach (var i in Enumerable.Range(0, 5))
            await portal.CreateAsync(TestPortal.Machine($"vm-{i}"));
        var uids = await portal.Store.ReadAsync(db => db.Vms.Select(v => v.Uid).ToListAsync(Ct), Ct);
        Assert.Equal(5, uids.Distinct().Count());
        Assert.All(uids, uid => Assert.InRange(uid!.Value, 70_000, 73_999));
    }

    [Fact]
    public async Task An_id_rests_after_a_delete_and_the_range_ends_with_a_clear_word()
    {
        await using var portal = await TestPortal.StartAsync();
        var options = new EngineOptions { DataRoot = portal.Data, MachineUids = (90_000, 90_001) };
        Task<int?> TakeAsync(DateTimeOffset at) => portal.Store.WriteAsync(db => MachineUids.TakeAsync(db, new VmId(Guid.NewGuid()), options, at, Ct), Ct);
        var mine = new VmId(Guid.NewGuid());
        Assert.Equal(90_000, await portal.Store.WriteAsync(db => MachineUids.TakeAsync(db, mine, options, Now, Ct), Ct));
        Assert.Equal(90_001, await TakeAsync(Now));
        Assert.Equal(Say.UidsUsedUp("90000-90001"), (await Assert.ThrowsAsync<PortalException>(() => TakeAsync(Now))).Message);
        await portal.Store.WriteAsync(db => MachineUids.FreeAsync(db, mine, Now, Ct), Ct);
        await Assert.ThrowsAsync<PortalException>(() => TakeAsync(Now + MachineUids.Quarantine));
        Assert.Equal(90_000, await TakeAsync(Now + MachineUids.Quarantine + TimeSpan.FromSeconds(1)));
    }

    [Fact]
    public async Task A_deleted_VM_gives_its_id_back()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("vm"));
        await portal.EndedAsync((await portal.Vms.DeleteAsync(TestPortal.Ada, vm.Id, null, Ct)).Id);
        var row = Assert.Single(await portal.Store.ReadAsync(db => db.MachineUids.ToListAsync(Ct), Ct));
        Assert.Null(row.VmId);
        Assert.NotNull(row.FreedAt);
    }
}
