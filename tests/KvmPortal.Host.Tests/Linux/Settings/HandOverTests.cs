using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Linux.Settings;

/// <summary>Several machines that change the same files of the host, and end in any order.</summary>
public sealed class HandOverTests : IDisposable
{
    private readonly KernelScene scene = new();
    private readonly Guid first = Guid.NewGuid();
    private readonly Guid second = Guid.NewGuid();
    private readonly Guid third = Guid.NewGuid();

    public void Dispose() => scene.Dispose();

    public static TheoryData<HostSetting[]> Chains() => new()
    {
        { [new IrqAffinitySetting(CpuSet.Parse("7")), new IrqAffinitySetting(CpuSet.Parse("4-5")), new IrqAffinitySetting(CpuSet.Parse("6"))] },
        { [new HugePagesSetting(0, 2048, 10, More: true), new HugePagesSetting(0, 2048, 5, More: true), new HugePagesSetting(0, 2048, 7, More: true)] },
        { [new CpuGovernorSetting("performance", CpuSet.Parse("2")), new CpuLatencySetting(CpuSet.Parse("2"), 1), new CpuGovernorSetting("performance", CpuSet.Parse("4"))] },
    };

    [Theory]
    [MemberData(nameof(Chains), DisableDiscoveryEnumeration = true)]
    public async Task Whatever_ends_first_at_last_everything_is_as_it_was(HostSetting[] settings)
    {
        var before = scene.Snapshot();
        Guid[] ids = [first, second, third];
        foreach (var order in (int[][])[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
        {
            for (var i = 0; i < 3; i++)
                Assert.True((await scene.ApplyAsync(ids[i], settings[i])).Changed);
            foreach (var i in order)
            {
                // A portal that is started anew knows as much.
                scene.New();
                var (restored, _, _) = await scene.RestoreAsync(ids[i], settings[i]);
                Assert.True(restored is { Complete: true, Note: null }, restored.Note);
            }

            Assert.Equal(before, scene.Snapshot());
            Assert.Empty(scene.Journals);
        }
    }

    [Fact]
    public async Task Pages_go_back_at_once_though_somebody_has_added_more_since()
    {
        const string pool = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages";
        var own = long.Parse(scene.Snapshot()[pool]);
        await scene.ApplyAsync(first, new HugePagesSetting(0, 2048, 10, More: true));
        await scene.ApplyAsync(second, new HugePagesSetting(0, 2048, 5, More: true));
        Assert.Equal($"{own + 15}", scene.Snapshot()[pool]);
        // Twice is not more: it was counted once.
        Assert.False((await scene.ApplyAsync(first, new HugePagesSetting(0, 2048, 10, More: true))).Changed);
        Assert.Equal($"{own + 15}", scene.Snapshot()[pool]);
        await scene.RestoreAsync(first, new HugePagesSetting(0, 2048, 10, More: true));
        Assert.Equal($"{own + 5}", scene.Snapshot()[pool]);
        await scene.RestoreAsync(second, new HugePagesSetting(0, 2048, 5, More: true));
        Assert.Equal($"{own}", scene.Snapshot()[pool]);
    }

    [Fact]
    public async Task An_interrupt_that_may_be_nowhere_else_goes_where_it_is_told()
    {
        await scene.ApplyAsync(first, new IrqAffinitySetting(CpuSet.Parse("4"), CpuSet.Parse("0-1,4")));
        Assert.Equal("0-1", scene.Snapshot()["/proc/irq/25/smp_affinity_list"]);
        await scene.RestoreAsync(first, new IrqAffinitySetting(CpuSet.Parse("4"), CpuSet.Parse("0-1,4")));
        Assert.Equal("4", scene.Snapshot()["/proc/irq/25/smp_affinity_list"]);
    }

    [Fact]
    public async Task What_this_host_cannot_do_is_left_out_with_the_reason_where_that_is_allowed()
    {
        var reports = new List<StepReport>();
        await foreach (var report in scene.Steps.TryApplyAsync(first, new CpuLatencySetting(CpuSet.Parse("99"), 1), default))
            reports.Add(report);
        Assert.Equal("Left out: This host has no CPU 99 that is online.", Assert.IsType<StepLog>(reports[0]).Text);
        Assert.False(Assert.IsType<StepDone>(reports[1]).Changed);
        Assert.Empty(scene.Journals);
    }
}
