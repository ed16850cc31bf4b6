using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>Machines of the bare-metal class on the simulated host (two nodes of 16 cores with two threads each): who holds what, and that it is given back.</summary>
public sealed class LedgerTests
{
    [Fact]
    public async Task A_start_holds_whole_cores_shows_why_and_gives_them_back_at_the_end()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("lat", "low-latency", 4));
        var dry = await portal.Vms.PlanActionAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        Assert.Equal(4, dry.Placement!.Vcpus.Count);
        Assert.NotEmpty(dry.Placement.Reasons);
        Assert.Contains(dry.Reasons, r => r.Topic == "placement");
        Assert.Empty((await LedgerAsync(portal)).Lines);

        Assert.Equal(JobState.Succeeded, (await portal.ActAsync(vm.Id, VmAction.Start)).State);
        var held = Assert.Single((await LedgerAsync(portal)).Lines).Held;
        // Four cores, and one for the I/O thread of its disk; their second threads stay idle.
        Assert.Equal(10, held.Cpus.Count);
        Assert.True(held.Running);
        Assert.False(held.Cpus.Contains(0));
        var ledger = await LedgerAsync(portal);
        Assert.Equal(30 - 5, ledger.Nodes.Sum(n => n.FreeCores));
        Assert.False(ledger.SharedCpus.Overlaps(held.Cpus));

        Assert.Equal(JobState.Succeeded, (await portal.ActAsync(vm.Id, VmAction.Stop)).State);
        await EmptyAsync(portal);
    }

    [Fact]
    public async Task Machines_that_start_at_once_never_share_a_core_and_what_is_left_over_is_refused_with_what_would_help()
    {
        await using var portal = await TestPortal.StartAsync();
        var machines = new List<VmView>();
        for (var i = 0; i < 10; i++)
            machines.Add(await portal.CreateAsync(Machine($"m{i}", "low-latency", 4)));
        var jobs = await Task.WhenAll(machines.Select(async m => await portal.EndedAsync((await portal.Vms.ActAsync(TestPortal.Ada, m.Id, VmAction.Start, new VmActionOptions(), default)).Id)));
        // 15 cores of each node are to be had: three machines of five cores on each.
        Assert.Equal(6, jobs.Count(j => j.State == JobState.Succeeded));
        Assert.All(jobs.Where(j => j.State == JobState.Failed), j =>
        {
            Assert.Equal("placement-refused", j.Error!.Code);
            Assert.NotEmpty(j.Error.Placement!.Remedies);
        });
        var lines = (await LedgerAsync(portal)).Lines;
        Assert.Equal(6, lines.Count);
        Assert.Equal(lines.Sum(l => l.Held.Cpus.Count), CpuSet.Union(lines.Select(l => l.Held.Cpus)).Count);

        // What runs is killed, not stopped: the place is free again all the same.
        var refused = machines[Array.FindIndex(jobs, j => j.State == JobState.Failed)];
        await portal.ActAsync(new VmId(Guid.Parse(lines[0].Held.Vm)), VmAction.Stop);
        for (var i = 0; i < 200 && (await LedgerAsync(portal)).Lines.Count == 6; i++)
            await Task.Delay(25);
        Assert.Equal(JobState.Succeeded, (await portal.ActAsync(refused.Id, VmAction.Start)).State);
    }

    [Fact]
    public async Task A_start_that_fails_and_a_portal_that_went_away_leave_nothing_in_the_ledger()
    {
        var folder = Directory.CreateTempSubdirectory("kvmportal-ledger-").FullName;
        try
        {
            KvmPortal.Host.Simulated.SimulatedMachineHost host;
            VmId id;
            await using (var portal = await TestPortal.StartAsync(folder))
            {
                host = portal.SimulatedHost;
                var failing = await portal.CreateAsync(Machine("fail-start-1", "hpc", 2));
                Assert.Equal(JobState.Failed, (await portal.ActAsync(failing.Id, VmAction.Start)).State);
                await EmptyAsync(portal);
                var vm = await portal.CreateAsync(Machine("stays", "hpc", 2));
                id = vm.Id;
                Assert.Equal(JobState.Succeeded, (await portal.ActAsync(id, VmAction.Start)).State);
            }

            await using (var again = await TestPortal.StartAsync(folder, host))
                Assert.Equal(id.ToString(), Assert.Single((await LedgerAsync(again)).Lines).Held.Vm);

            // The host was rebooted meanwhile: nothing runs.
            using var other = new KvmPortal.Host.Simulated.SimulatedMachineHost(new() { DataRoot = Directory.CreateDirectory(Path.Combine(folder, "other")).FullName, StepDelay = TimeSpan.Zero }, TimeProvider.System);
            await using var third = await TestPortal.StartAsync(folder, other);
            await EmptyAsync(third);
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static VmDefinition Machine(string name, string profile, int cpus) => TestPortal.Machine(name) with
    {
        Profile = profile,
        Cpu = new CpuDefinition { Count = cpus },
        Memory = new MemoryDefinition { SizeMiB = 1024 },
        Placement = new PlacementDefinition { Knobs = new ProfileOverrides { Pages = PageKind.Small } },
    };

    private static Task<LedgerView> LedgerAsync(TestPortal portal) => portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default);

    private static async Task EmptyAsync(TestPortal portal)
    {
        for (var i = 0; i < 200 && (await LedgerAsync(portal)).Lines.Count > 0; i++)
            await Task.Delay(25);
        Assert.Empty((await LedgerAsync(portal)).Lines);
    }
}
