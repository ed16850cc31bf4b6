using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Scores;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Scores;

public sealed class EvidenceTests
{
    private static readonly DateTimeOffset Then = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Two_looks_make_rates_and_a_counter_that_went_back_counts_as_nothing()
    {
        var first = new MachineEvidence(Then, [new(1_000_000_000, 0, 5), new(9_000_000_000, 7, 7)], 100, 3)
        {
            Pressure = [new("cpu", "a", true, 1_000_000, 0), new("io", "b", false, 5, null)],
            Nodes = [new(0, 10, 20)],
            KvmCounters = new Dictionary<string, long> { ["exits"] = 1000, ["halt_attempted_poll"] = 10, ["halt_successful_poll"] = 0 },
        };
        var second = new MachineEvidence(Then.AddSeconds(2), [new(2_000_000_000, 200_000_000, 9), new(1, 0, 0)], 300, 3)
        {
            Pressure = [new("cpu", "a", true, 1_500_000, 100_000), new("io", "c", false, 5, null)],
            Nodes = [new(0, 12, 20)],
            KvmCounters = new Dictionary<string, long> { ["exits"] = 5000, ["halt_attempted_poll"] = 20, ["halt_successful_poll"] = 4, ["new"] = 1 },
        };
        var report = EvidenceReport.Between(first, second);
        Assert.Equal(2, report.Seconds);
        Assert.Equal([new(50, 10, 2), new(0, 0, 0)], report.Vcpus);
        Assert.Equal((100d, 0d), (report.FaultsPerSecond, report.MajorFaultsPerSecond));
        Assert.Equal([new PressureRate("cpu", "a", true, 25, 5)], report.Pressure);
        Assert.Equal([new NodeRates(0, 1, 0)], report.Nodes);
        Assert.Equal(2000, report.Kvm["exits"]);
        Assert.Equal(40, report.PollSuccessPercent);
        Assert.DoesNotContain("new", report.Kvm.Keys);
    }

    [Fact]
    public async Task A_running_machine_is_measured_and_a_stopped_one_is_told_of()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(TestPortal.Machine("m") with { Cpu = new() { Count = 2 } });
        var evidence = portal.Get<EvidenceOperations>();
        Assert.Equal(ErrorCode.Conflict, (await Assert.ThrowsAsync<PortalException>(() => evidence.MeasureAsync(TestPortal.Ada, vm.Id, TimeSpan.FromSeconds(1), default))).Code);
        Assert.Equal(JobState.Succeeded, (await portal.ActAsync(vm.Id, VmAction.Start)).State);
        Assert.Equal(ErrorCode.Invalid, (await Assert.ThrowsAsync<PortalException>(() => evidence.MeasureAsync(TestPortal.Ada, vm.Id, TimeSpan.FromSeconds(31), default))).Code);
        var report = await evidence.MeasureAsync(TestPortal.Ada, vm.Id, TimeSpan.FromSeconds(1), default);
        Assert.Equal(2, report.Vcpus.Count);
        Assert.All(report.Vcpus, v => Assert.InRange(v.RunPercent, 1, 100));
    }
}
