namespace KvmPortal.Web.Tests.Rest;

/// <summary>The ledger and a machine's place over REST, and the planner's dialogue as a dry run.</summary>
public sealed class PlacementTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task A_place_is_told_with_its_reasons_and_as_measured_and_stands_in_the_ledger()
    {
        var made = await portal.SendAsync("POST", "/api/v1/vms?dryRun=true", new { name = "placed", profile = "hpc", cpu = new { count = 2 }, memory = new { sizeMiB = 1024 }, start = true });
        Assert.NotEmpty((await RunningPortal.BodyAsync(made))["placement"]!["reasons"]!.AsArray());
        made = await portal.SendAsync("POST", "/api/v1/vms", new { name = "placed", profile = "hpc", cpu = new { count = 2 }, memory = new { sizeMiB = 1024 } });
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var before = await portal.JsonAsync("/api/v1/vms/placed/placement");
        Assert.Equal(("hpc", true, true), (before["profile"]!.GetValue<string>(), before["plan"] is null, before["report"] is null));

        var started = await portal.SendAsync("POST", "/api/v1/vms/placed/actions/start", null, "Prefer: wait=30");
        Assert.Equal(HttpStatusCode.OK, started.StatusCode);
        var now = await portal.JsonAsync("/api/v1/vms/placed/placement");
        Assert.Equal("because-one-node", now["plan"]!["reasons"]![0]!["becauseCodes"]![0]!.GetValue<string>());
        var threads = now["report"]!["threads"]!.AsArray();
        Assert.Equal(2, threads.Count(t => t!["role"]!.GetValue<string>() == "vcpu"));
        Assert.All(threads, t => Assert.Equal(t!["wanted"]!.GetValue<string>(), t["actual"]!.GetValue<string>()));
        Assert.Empty(now["report"]!["drifts"]!.AsArray());

        var ledger = await portal.JsonAsync("/api/v1/hosts/local/ledger");
        var line = Assert.Single(ledger["lines"]!.AsArray(), l => l!["name"]?.GetValue<string>() == "placed")!;
        Assert.Equal(2, line["threads"]!.AsArray().Count(t => t!["role"]!.GetValue<string>() == "vcpu"));
        Assert.Equal(["general", "low-latency", "hpc", "ai-ml"], ledger["fits"]!.AsArray().Select(f => f!["profile"]!.GetValue<string>()));
        Assert.All(ledger["nodes"]!.AsArray(), n => Assert.NotEmpty(n!["caches"]!.AsArray()));
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/vms/nobody/placement"), 404, "not-found");
        Assert.Equal(HttpStatusCode.Unauthorized, (await portal.Anonymous().GetAsync("/api/v1/vms/placed/placement")).StatusCode);
    }

    [Fact]
    public async Task A_dry_run_that_finds_no_place_says_what_would_help_in_requests_that_fit()
    {
        var answer = await portal.SendAsync("POST", "/api/v1/vms?dryRun=true", new { name = "wide", profile = "low-latency", cpu = new { count = 20 }, memory = new { sizeMiB = 2048 }, start = true });
        Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
        var refusal = (await RunningPortal.BodyAsync(answer))["placement"]!;
        Assert.Equal("cores-fragmented-across-nodes", refusal["code"]!.GetValue<string>());
        Assert.NotEmpty(refusal["evidence"]!.AsObject());
        Assert.Contains(refusal["remedies"]!.AsArray(), r => r!["request"] is not null);
        Assert.NotNull(refusal["nearest"]);
    }
}
