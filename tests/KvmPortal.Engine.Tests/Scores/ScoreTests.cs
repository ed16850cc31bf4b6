using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Scores;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Scores;

/// <summary>The bare-metal score on the simulated host: two nodes of 16 cores with two threads each.</summary>
public sealed class ScoreTests
{
    [Fact]
    public async Task A_machine_of_the_bare_metal_class_is_nearer_than_an_ordinary_one_stopped_and_running()
    {
        await using var portal = await TestPortal.StartAsync();
        var (plain, dedicated) = (await portal.CreateAsync(Machine("plain", "general")), await portal.CreateAsync(Machine("near", "low-latency")));
        var (before, planned) = (await ScoreAsync(portal, plain.Id), await ScoreAsync(portal, dedicated.Id));
        Assert.False(planned.Running);
        Assert.Equal(ScoreState.InForce, Row(planned, "pinning").State);
        foreach (var id in (VmId[])[plain.Id, dedicated.Id])
            Assert.Equal(JobState.Succeeded, (await portal.ActAsync(id, VmAction.Start)).State);
        var (floats, near) = (await ScoreAsync(portal, plain.Id), await ScoreAsync(portal, dedicated.Id));
        Assert.True(near.Running);
        Assert.True(near.Score >= floats.Score + 20, $"{near.Score} against {floats.Score}");
        Assert.InRange(floats.Score, 0, 100);
        Assert.Equal(before.Rows.Select(r => r.Id), near.Rows.Select(r => r.Id));
        foreach (var id in (string[])["accelerator", "pinning", "sibling-threads", "memory-node", "huge-pages", "prealloc", "locked", "watched"])
            Assert.True(Row(near, id).State == ScoreState.InForce, $"{id}: {Row(near, id).Text}");
        Assert.Equal(ScoreState.Missing, Row(floats, "pinning").State);
    }

    [Fact]
    public async Task Each_row_says_why_and_each_patch_gets_what_it_promises()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("m", "general") with { Limits = new() { CpuPercent = 50 }, Disks = [new() { Name = "disk0", SizeGiB = 1, Bus = DiskBusChoice.VirtioScsi }] });
        for (var rounds = 0; rounds < 20; rounds++)
        {
            var report = await ScoreAsync(portal, vm.Id);
            Assert.All(report.Rows, r => Assert.False(string.IsNullOrWhiteSpace(r.Text.Text)));
            Assert.All(report.Rows.Where(r => r.State == ScoreState.InForce), r => Assert.Null(r.Change));
            if (report.Rows.FirstOrDefault(r => r.Change?.Patch is not null) is not { } row)
                break;
            var now = await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default);
            var merged = Merge(JsonSerializer.SerializeToNode(now.Definition, PortalJson.Options)!.AsObject(), row.Change!.Patch!);
            await portal.Vms.ReplaceAsync(TestPortal.Ada, vm.Id, merged.Deserialize<VmDefinition>(PortalJson.Options)!, null, default);
            var after = await ScoreAsync(portal, vm.Id);
            Assert.True(Row(after, row.Id).Earned > row.Earned || Row(after, row.Id).Change?.Patch is null, $"{row.Id}: {Row(after, row.Id).Text}");
            Assert.True(after.Score >= report.Score, $"{row.Id}: {report.Score} to {after.Score}");
        }

        Assert.DoesNotContain((await ScoreAsync(portal, vm.Id)).Rows, r => r.Change?.Patch is not null);
    }

    [Fact]
    public async Task What_the_host_lacks_is_offered_as_a_preparation_that_can_be_planned()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("near", "low-latency"));
        var settings = (await ScoreAsync(portal, vm.Id)).Rows.Select(r => r.Change?.Setting).OfType<HostSetting>().ToList();
        Assert.NotEmpty(settings);
        foreach (var setting in settings)
            Assert.NotEmpty((await portal.Get<PreparationOperations>().PlanPrepareAsync(TestPortal.Ada, [setting], true, default)).Steps);
    }

    [Fact]
    public async Task An_emulated_machine_is_never_said_to_be_near()
    {
        await using var portal = await TestPortal.StartAsync();
        var vm = await portal.CreateAsync(Machine("slow", "low-latency") with { Accelerator = AcceleratorChoice.Tcg, Placement = new() { Allow = new(Emulation: true) } });
        var report = await ScoreAsync(portal, vm.Id);
        Assert.Equal(Accelerator.Tcg, report.Accelerator);
        Assert.InRange(report.Score, 0, BareMetalScore.MostEmulated);
        Assert.Equal(ScoreState.Missing, Row(report, "accelerator").State);
        Assert.Equal(ScoreState.Impossible, Row(report, "guest-idle").State);
    }

    private static ScoreRow Row(ScoreReport report, string id) => report.Rows.Single(r => r.Id == id);

    private static Task<ScoreReport> ScoreAsync(TestPortal portal, VmId id) => portal.Get<ScoreOperations>().ScoreAsync(TestPortal.Ada, id, default);

    private static VmDefinition Machine(string name, string profile) => TestPortal.Machine(name) with { Profile = profile, Cpu = new() { Count = 4 }, Memory = new() { SizeMiB = 2048 } };

    private static JsonObject Merge(JsonObject target, JsonObject patch)
    {
        foreach (var (name, value) in patch)
        {
            if (value is null)
                target.Remove(name);
            else if (value is JsonObject inner)
                target[name] = Merge(target[name] as JsonObject is { } there ? (JsonObject)there.DeepClone() : [], inner);
            else
                target[name] = value.DeepClone();
        }

        return target;
    }
}
