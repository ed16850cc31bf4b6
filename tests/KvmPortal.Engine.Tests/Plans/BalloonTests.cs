using KvmPortal.Engine.Balloons;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Engine.Tests.Plans;

/// <summary>Who gives memory when the host is short of it, and who gets it back.</summary>
public sealed class BalloonTests
{
    private static readonly MemoryStanding Short = new(65536, 2000, 20);
    private static readonly MemoryStanding Between = new(65536, 6000, 3);
    private static readonly MemoryStanding Plenty = new(65536, 30000, 0);

    private static BalloonMachine Machine(int full, int floor, int now) => new(new VmId(Guid.NewGuid()), full, floor, now);

    [Fact]
    public void Each_gives_in_proportion_to_what_it_has_above_its_floor()
    {
        BalloonMachine[] machines = [Machine(8192, 4096, 8192), Machine(4096, 2048, 4096), Machine(4096, 4096, 4096)];
        var verdict = BalloonDecision.Decide(Short, machines, 3);
        Assert.Equal(0, verdict.CalmRounds);
        Assert.Equal([864, 432], verdict.Moves.Select(m => m.BeforeMiB - m.TargetMiB));
        Assert.DoesNotContain(verdict.Moves, m => m.Id == machines[2].Id);
    }

    [Fact]
    public void It_is_slow_and_waits_between_taking_and_giving()
    {
        var machine = Machine(4096, 1024, 2048);
        Assert.Empty(BalloonDecision.Decide(Between, [machine], 5).Moves);
        Assert.Equal(0, BalloonDecision.Decide(Between, [machine], 5).CalmRounds);
        var calm = 0;
        for (var round = 1; round < BalloonDecision.CalmBefore; round++)
        {
            var verdict = BalloonDecision.Decide(Plenty, [machine], calm);
            Assert.Empty(verdict.Moves);
            calm = verdict.CalmRounds;
        }

        var move = Assert.Single(BalloonDecision.Decide(Plenty, [machine], calm).Moves);
        Assert.Equal(2048 + 512, move.TargetMiB);
        // Pressure with much memory left is another's doing.
        Assert.False(BalloonDecision.IsShort(new MemoryStanding(65536, 40000, 50)));
    }

    [Fact]
    public void Never_below_the_floor_never_above_all_whatever_comes()
    {
        var random = new Random(11);
        var machines = Enumerable.Range(0, 12).Select(_ => random.Next(64, 16384)).Select(full => Machine(full, random.Next(16, full), full)).ToList();
        var calm = 0;
        for (var round = 0; round < 3000; round++)
        {
            var host = random.Next(3) switch { 0 => Short, 1 => Between, _ => round % 200 < 100 ? Plenty : Short };
            var verdict = BalloonDecision.Decide(host, machines, calm);
            calm = verdict.CalmRounds;
            Assert.True(verdict.Moves.Sum(m => Math.Abs((long)m.BeforeMiB - m.TargetMiB)) <= 65536 / 50 + 12 * BalloonDecision.StepMiB);
            foreach (var move in verdict.Moves)
            {
                var at = machines.FindIndex(m => m.Id == move.Id);
                Assert.InRange(move.TargetMiB, machines[at].FloorMiB, machines[at].FullMiB);
                machines[at] = machines[at] with { NowMiB = move.TargetMiB };
            }
        }

        for (var round = 0; round < 500; round++)
            foreach (var move in BalloonDecision.Decide(Plenty, machines, BalloonDecision.CalmBefore).Moves)
                machines[machines.FindIndex(m => m.Id == move.Id)] = machines.Single(m => m.Id == move.Id) with { NowMiB = move.TargetMiB };
        Assert.All(machines, m => Assert.Equal(m.FullMiB, m.NowMiB));
    }

    [Fact]
    public async Task Machines_that_allow_it_give_and_get_back_and_each_change_is_told()
    {
        await using var portal = await TestPortal.StartAsync();
        var memory = new MemoryDefinition { SizeMiB = 1024, MinMiB = 900 };
        var gives = await portal.CreateAsync(TestPortal.Machine("gives") with { Memory = memory }, start: true);
        await portal.CreateAsync(TestPortal.Machine("keeps") with { Memory = memory with { AutoBalloon = false } }, start: true);
        await portal.CreateAsync(TestPortal.Machine("none") with { Memory = memory with { Balloon = false } }, start: true);
        using var watch = ActivatorUtilities.CreateInstance<BalloonWatch>(new Services(portal));
        for (var round = 0; round < 6; round++)
            await watch.RoundAsync(await SampleAsync(portal, Short), default);
        Assert.Equal([912, 1024], (await SampleAsync(portal, Short)).Machines.Where(m => m.BalloonBytes is not null).Select(m => m.BalloonBytes!.Value >> 20).Order());
        for (var round = 0; round < 12; round++)
            await watch.RoundAsync(await SampleAsync(portal, Plenty), default);
        Assert.All((await SampleAsync(portal, Short)).Machines, m => Assert.Equal(1024, (m.BalloonBytes ?? 1024L << 20) >> 20));
        var told = (await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery { Limit = 100 }, gives.Id.Value, default)).Items.Where(e => e.Type.StartsWith("vm.balloon", StringComparison.Ordinal)).Reverse().ToList();
        Assert.Equal("Automatic ballooning took 112 MiB from gives, because the host has only 2000 MiB of memory left; its guest has 912 MiB now.", told[0].Text);
        Assert.Equal("vm.balloon-given", told[^1].Type);
    }

    [Fact]
    public async Task A_target_of_the_definition_is_told_to_the_balloon_at_once_and_at_each_start()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("a") with { Memory = new() { SizeMiB = 1024 } }, start: true);
        var changed = await portal.Vms.ReplaceAsync(TestPortal.Ada, vm.Id, vm.Definition with { Memory = vm.Definition.Memory with { BalloonMiB = 512 } }, null, default);
        await portal.EndedAsync(changed.Job!.Id);
        Assert.Equal(512, Assert.Single((await SampleAsync(portal, Short)).Machines).BalloonBytes >> 20);
        Assert.Empty((await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).PendingChanges);
        await portal.ActAsync(vm.Id, VmAction.Stop);
        await portal.ActAsync(vm.Id, VmAction.Start);
        Assert.Equal(512, Assert.Single((await SampleAsync(portal, Short)).Machines).BalloonBytes >> 20);
    }

    private sealed class Services(TestPortal portal) : IServiceProvider
    {
        public object? GetService(Type serviceType) => serviceType == typeof(IMachineHost) ? portal.SimulatedHost : serviceType == typeof(PortalStore) ? portal.Store : serviceType == typeof(VmTracker) ? portal.Get<VmTracker>()
            : serviceType == typeof(PortalEvents) ? portal.Get<PortalEvents>() : serviceType == typeof(Microsoft.Extensions.Logging.ILogger<BalloonWatch>) ? NullLogger<BalloonWatch>.Instance : null;
    }

    private static async Task<HostSample> SampleAsync(TestPortal portal, MemoryStanding standing)
    {
        await foreach (var sample in portal.SimulatedHost.SampleAsync(TimeSpan.FromMilliseconds(20), default))
            return sample with { MemoryTotalBytes = standing.TotalMiB << 20, MemoryAvailableBytes = standing.AvailableMiB << 20, MemoryPressure = standing.Pressure };
        throw new InvalidOperationException("The host gives no samples.");
    }
}
