using KvmPortal.Engine.Benchmarks;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Benchmarks;

public sealed class BenchmarkTests
{
    private static readonly LossRound Bare = new(1000, 1000, 1000, 1000, 2000, 1000);

    [Fact]
    public void A_guest_that_takes_as_long_loses_nothing_and_the_interval_is_as_wide_as_the_rounds_differ()
    {
        var same = Report([.. Enumerable.Repeat(new LossPair(0, Bare, Bare), 5)]);
        Assert.All(same.Figures, f => Assert.Equal((0, 0, 0), (f.Percent, f.Least, f.Most)));
        Assert.Equal(LossVerdict.Kept, same.Verdict);
        // Twice as long is half of the speed.
        var half = Report([.. Enumerable.Repeat(new LossPair(0, Bare, new LossRound(2000, 2000, 2000, 51_000, 90_000, 2000)), 5)]);
        Assert.All(half.Figures, f => Assert.Equal(50, f.Percent, 6));
        Assert.Equal(50, half.Timer.Microseconds, 6);
        Assert.Equal(LossVerdict.Broken, half.Verdict);
        // 2 % and 12 % in turns: more rounds would have to tell.
        var mixed = Report([.. Enumerable.Range(0, 4).Select(i => new LossPair(0, Bare, Slower(i % 2 == 0 ? 1.02 : 1.12)))]);
        Assert.Equal(LossVerdict.Unclear, mixed.Verdict);
        Assert.True(mixed.Figures[0] is { Least: < 5, Most: > 5 });
        // Student's t of 3 degrees of freedom.
        var (mean, width) = LossReport.Interval([1, 2, 3, 4]);
        Assert.Equal(2.5, mean);
        Assert.Equal(3.182 * Math.Sqrt(5 / 3.0 / 4), width, 6);
    }

    [Fact]
    public void A_disk_that_was_not_measured_has_no_figure() =>
        Assert.DoesNotContain(Report([new LossPair(0, Bare, Bare with { Disk = null })], "no driver").Figures, f => f.Metric == LossMetric.Disk);

    [Fact]
    public async Task A_benchmark_is_a_job_that_holds_the_machines_place_keeps_its_result_and_gives_the_place_back()
    {
        await using var portal = await TestPortal.StartAsync();
        var benchmarks = portal.Get<BenchmarkOperations>();
        var vm = await portal.CreateAsync(Machine("m", "low-latency"));
        var plan = await benchmarks.PlanAsync(TestPortal.Ada, vm.Id, new(), default);
        Assert.Contains(plan.Steps, s => s.OnHost is MeasureLoss { Rounds: 9, Spec.Placement: not null });
        var job = await portal.EndedAsync((await benchmarks.StartAsync(TestPortal.Ada, vm.Id, new() { Rounds = 6 }, default)).Id);
        Assert.True(job.State == JobState.Succeeded, job.Error?.Detail?.Text);
        var report = Assert.Single(await benchmarks.ListAsync(TestPortal.Ada, vm.Id, default));
        Assert.Equal((6, LossVerdict.Kept, Accelerator.Kvm), (report.Pairs, report.Verdict, report.Accelerator));
        Assert.Equal(4, report.HostCpus.Count);
        for (var i = 0; i < 200 && (await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Lines.Count > 0; i++)
            await Task.Delay(50, TestContext.Current.CancellationToken);
        Assert.Empty((await portal.Get<PlacementOperations>().LedgerAsync(TestPortal.Ada, default)).Lines);
    }

    [Fact]
    public async Task A_machine_keeps_its_newest_twenty_and_a_deleted_one_none()
    {
        await using var portal = await TestPortal.StartAsync();
        var benchmarks = portal.Get<BenchmarkOperations>();
        var vm = await portal.CreateAsync(Machine("m", "general"));
        for (var i = 0; i < 22; i++)
            await portal.EndedAsync((await benchmarks.StartAsync(TestPortal.Ada, vm.Id, new() { Rounds = 3 }, default)).Id);
        var kept = await benchmarks.ListAsync(TestPortal.Ada, vm.Id, default);
        Assert.Equal(20, kept.Count);
        Assert.Equal(20, await portal.Store.ReadAsync(db => db.Benchmarks.CountAsync(), default));
        Assert.Equal(kept.Select(r => r.At).OrderDescending(), kept.Select(r => r.At));
        await portal.EndedAsync((await portal.Vms.DeleteAsync(TestPortal.Ada, vm.Id, null, default)).Id);
        Assert.Equal(0, await portal.Store.ReadAsync(db => db.Benchmarks.CountAsync(), default));
    }

    [Fact]
    public async Task What_cannot_be_measured_is_refused_in_words()
    {
        await using var portal = await TestPortal.StartAsync();
        var benchmarks = portal.Get<BenchmarkOperations>();
        var (runs, small) = (await portal.CreateAsync(Machine("runs", "general")), await portal.CreateAsync(TestPortal.Machine("small")));
        await portal.ActAsync(runs.Id, VmAction.Start);
        foreach (var (id, options, code) in ((VmId, BenchmarkOptions, ErrorCode)[])[(runs.Id, new(), ErrorCode.Conflict), (small.Id, new(), ErrorCode.Invalid), (runs.Id, new() { Rounds = 2 }, ErrorCode.Invalid), (runs.Id, new() { Kernel = "none" }, ErrorCode.Invalid)])
            Assert.Equal(code, (await Assert.ThrowsAsync<PortalException>(() => benchmarks.StartAsync(TestPortal.Ada, id, options, default))).Code);
    }

    private static LossRound Slower(double times) => new((long)(1_000_000 * times) / 1000, (long)(1_000_000 * times) / 1000, (long)(1_000_000 * times) / 1000, 1000, 2000, (long)(1_000_000 * times) / 1000);

    private static LossReport Report(IReadOnlyList<LossPair> pairs, string? diskProblem = null) => LossReport.Of(new BenchmarkRow
    {
        JobId = JobId.New(TimeProvider.System),
        CreatedBy = "ada",
        Measurement = new LossMeasurement(Guid.Empty, DateTimeOffset.UnixEpoch, Accelerator.Kvm, "vmlinuz", CpuSet.Empty, pairs, diskProblem),
    });

    private static VmDefinition Machine(string name, string profile) => TestPortal.Machine(name) with { Profile = profile, Cpu = new() { Count = 4 }, Memory = new() { SizeMiB = 2048 } };
}
