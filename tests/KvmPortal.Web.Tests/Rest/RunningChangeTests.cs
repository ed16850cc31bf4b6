using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Changes of a machine that runs, over REST on the simulated host.</summary>
public sealed class RunningChangeTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    private const string Vms = "/api/v1/vms";

    [Fact]
    public async Task What_waits_for_the_next_boot_is_shown_with_its_options_and_can_be_taken_back()
    {
        var vm = await RunningAsync("""{"name":"waits","memory":{"sizeMiB":512},"start":true}""");
        const string change = """{"memory":{"sizeMiB":1024},"description":"kept"}""";
        var preview = await RunningPortal.BodyAsync(await portal.SendAsync("PATCH", $"{Vms}/{vm}?dryRun=true", change, "If-Match: *"));
        Assert.Contains(preview["effects"]!.AsArray(), e => e!["pointer"]!.GetValue<string>() == "/memory/sizeMiB" && e["effect"]!.GetValue<string>() == "next-boot");
        Assert.NotEmpty(preview["nextBoot"]!["added"]!.AsArray());
        Assert.Equal(HttpStatusCode.OK, (await portal.SendAsync("PATCH", $"{Vms}/{vm}", change, "If-Match: *", "Prefer: wait=30")).StatusCode);
        Assert.NotEmpty((await portal.JsonAsync($"{Vms}/{vm}"))["pendingChanges"]!.AsArray());

        var planned = await RunningPortal.BodyAsync(await portal.SendAsync("POST", $"{Vms}/{vm}/actions/revert?dryRun=true", null, "If-Match: *"));
        Assert.Contains(planned["effects"]!.AsArray(), e => e!["pointer"]!.GetValue<string>() == "/memory/sizeMiB");
        Assert.NotEmpty((await portal.JsonAsync($"{Vms}/{vm}"))["pendingChanges"]!.AsArray());
        Assert.True((await portal.SendAsync("POST", $"{Vms}/{vm}/actions/revert", null, "If-Match: *", "Prefer: wait=30")).IsSuccessStatusCode);
        var after = await portal.JsonAsync($"{Vms}/{vm}");
        Assert.Empty(after["pendingChanges"]!.AsArray());
        // What was never waiting stays changed.
        Assert.Equal((512, "kept"), (after["memory"]!["sizeMiB"]!.GetValue<int>(), after["description"]!.GetValue<string>()));

        await RunningPortal.BodyAsync(await portal.SendAsync("POST", $"{Vms}/{vm}/actions/stop", null, "Prefer: wait=30"));
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"{Vms}/{vm}/actions/revert", null, "If-Match: *"), 409, "conflict");
    }

    [Fact]
    public async Task A_machine_with_CPUs_of_its_own_is_moved_on_request_and_others_are_told_why_not()
    {
        // The first holds the better place while the second starts.
        var first = await RunningAsync("""{"name":"first","profile":"hpc","cpu":{"count":4},"memory":{"sizeMiB":1024},"placement":{"knobs":{"pages":"small"}},"start":true}""");
        var second = await RunningAsync("""{"name":"second","profile":"hpc","cpu":{"count":4},"memory":{"sizeMiB":1024},"placement":{"knobs":{"pages":"small"}},"start":true}""");
        var before = await CpusAsync(second);
        await RunningPortal.BodyAsync(await portal.SendAsync("POST", $"{Vms}/{first}/actions/stop", null, "Prefer: wait=30"));
        for (var i = 0; i < 200 && (await portal.JsonAsync("/api/v1/hosts/local/ledger"))["lines"]!.AsArray().Count > 1; i++)
            await Task.Delay(25, TestContext.Current.CancellationToken);

        var plan = await RunningPortal.BodyAsync(await portal.SendAsync("POST", $"{Vms}/{second}/actions/replan?dryRun=true"));
        Assert.Contains(plan["steps"]!.AsArray(), s => s!["kind"]!.GetValue<string>() == "pin-machine");
        Assert.Equal(before, await CpusAsync(second));
        var job = await RunningPortal.BodyAsync(await portal.SendAsync("POST", $"{Vms}/{second}/actions/replan", null, "Prefer: wait=30"));
        Assert.Equal(("succeeded", "replan-vm"), (job["state"]!.GetValue<string>(), job["kind"]!.GetValue<string>()));
        Assert.NotEqual(before, await CpusAsync(second));

        var ordinary = await RunningAsync("""{"name":"ordinary","memory":{"sizeMiB":512},"start":true}""");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"{Vms}/{ordinary}/actions/replan"), 409, "conflict");
    }

    private async Task<string> RunningAsync(string definition)
    {
        var answer = await RunningPortal.BodyAsync(await portal.SendAsync("POST", Vms, definition, "Prefer: wait=30"));
        var id = answer["id"]!.GetValue<string>();
        for (var i = 0; i < 200 && (await portal.JsonAsync($"{Vms}/{id}"))["status"]!["state"]!.GetValue<string>() != "running"; i++)
            await Task.Delay(25, TestContext.Current.CancellationToken);
        Assert.Equal("running", (await portal.JsonAsync($"{Vms}/{id}"))["status"]!["state"]!.GetValue<string>());
        return id;
    }

    private async Task<string> CpusAsync(string vm) =>
        (await portal.JsonAsync("/api/v1/hosts/local/ledger"))["lines"]!.AsArray().Single(l => l!["vmId"]!.GetValue<string>() == vm)!["held"]!["cpus"]!.GetValue<string>();
}
