using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Actions, the jobs that they become, and Idempotency-Key.</summary>
public sealed class ActionTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task All_seven_actions_do_what_they_say()
    {
        await portal.MachineAsync("seven");
        foreach (var (action, state) in new[] { ("start", "running"), ("pause", "paused"), ("resume", "running"), ("reset", "running"), ("shutdown", "stopped"), ("start", "running"), ("suspend", "suspended"), ("start", "running"), ("stop", "stopped") })
        {
            var answer = await portal.SendAsync("POST", $"/api/v1/vms/seven/actions/{action}", null, "Prefer: wait=30");
            Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{action}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
            var job = await RunningPortal.BodyAsync(answer);
            Assert.Equal("succeeded", State(job));
            Assert.Equal("wait=30", answer.Headers.GetValues("Preference-Applied").Single());
            Assert.Equal($"/api/v1/jobs/{job["id"]}", answer.Headers.Location!.ToString());
            Assert.Equal(state, (await portal.JsonAsync("/api/v1/vms/seven/status"))["state"]!.GetValue<string>());
        }
    }

    [Fact]
    public async Task An_action_is_a_job_with_an_address_a_plan_and_a_log()
    {
        await portal.MachineAsync("slow-start");
        var answer = await portal.SendAsync("POST", "/api/v1/vms/slow-start/actions/start", "{}");
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        var job = await RunningPortal.BodyAsync(answer);
        var path = answer.Headers.Location!.ToString();
        Assert.Equal("start-vm", job["kind"]!.GetValue<string>());
        Assert.Equal("slow-start", job["target"]!["name"]!.GetValue<string>());
        Assert.Equal("vm", job["target"]!["type"]!.GetValue<string>());
        Assert.Equal(RunningPortal.UserName, job["createdBy"]!.GetValue<string>());
        Assert.NotEmpty(job["plan"]!["steps"]!.AsArray());
        Assert.NotNull(job["progress"]!["percent"]);
        Assert.Contains(State(job), new[] { "queued", "running" });
        // Meanwhile another action of the same VM queues behind it instead of being refused.
        var behind = await portal.SendAsync("POST", "/api/v1/vms/slow-start/actions/stop");
        Assert.Equal(HttpStatusCode.Accepted, behind.StatusCode);
        var ended = await portal.JsonAsync(path + "?wait=60");
        Assert.Equal("succeeded", State(ended));
        Assert.All(ended["plan"]!["steps"]!.AsArray(), s => Assert.Equal("done", s!["state"]!.GetValue<string>()));
        Assert.EndsWith("Z", ended["endedAt"]!.GetValue<string>(), StringComparison.Ordinal);
        var log = (await portal.JsonAsync(path + "/log"))["items"]!.AsArray();
        Assert.NotEmpty(log);
        Assert.Empty((await portal.JsonAsync($"{path}/log?after={int.MaxValue}"))["items"]!.AsArray());
        await ProblemAssert.IsAsync(await portal.GetAsync(path + "/log?after=-1"), 400);
        await ProblemAssert.IsAsync(await portal.GetAsync(path + "?wait=301"), 400);
        Assert.Equal("succeeded", State(await portal.JsonAsync(behind.Headers.Location + "?wait=60")));
        Assert.Contains((await portal.JsonAsync("/api/v1/jobs?filter=" + Uri.EscapeDataString("target = slow-start and kind = start-vm")))["items"]!.AsArray(), j => j!["id"]!.ToString() == job["id"]!.ToString());
    }

    [Fact]
    public async Task A_running_job_can_be_cancelled_and_what_it_did_is_undone()
    {
        await portal.MachineAsync("slow-start-cancelled");
        var started = await portal.SendAsync("POST", "/api/v1/vms/slow-start-cancelled/actions/start");
        var cancelled = await portal.SendAsync("POST", $"{started.Headers.Location}/actions/cancel", null, "Prefer: wait=30");
        Assert.Equal(HttpStatusCode.OK, cancelled.StatusCode);
        Assert.Equal("cancelled", State(await RunningPortal.BodyAsync(cancelled)));
        Assert.Equal("stopped", (await portal.JsonAsync("/api/v1/vms/slow-start-cancelled/status"))["state"]!.GetValue<string>());
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/jobs/nothing/actions/cancel"), 404);
    }

    [Fact]
    public async Task What_is_so_already_succeeds_with_no_steps_and_what_cannot_be_is_409()
    {
        await portal.MachineAsync("already");
        var stop = await portal.SendAsync("POST", "/api/v1/vms/already/actions/stop", null, "Prefer: wait=10");
        var job = await RunningPortal.BodyAsync(stop);
        Assert.Equal("succeeded", State(job));
        Assert.Empty(job["plan"]!["steps"]!.AsArray());
        foreach (var action in new[] { "pause", "resume", "reset", "suspend" })
        {
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"/api/v1/vms/already/actions/{action}"), 409, "conflict");
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"/api/v1/vms/already/actions/{action}?dryRun=true"), 409, "conflict");
        }
    }

    [Fact]
    public async Task A_failed_job_carries_what_qemu_said()
    {
        await portal.MachineAsync("fail-start");
        var answer = await portal.SendAsync("POST", "/api/v1/vms/fail-start/actions/start", null, "Prefer: wait=30");
        var job = await RunningPortal.BodyAsync(answer);
        Assert.Equal("failed", State(job));
        Assert.Contains("Cannot allocate memory", job["error"]!["stderrTail"]![0]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal(1, job["error"]!["exitCode"]!.GetValue<int>());
        Assert.DoesNotContain("   at ", job.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_dry_run_of_a_start_shows_the_command_line_and_starts_nothing()
    {
        await portal.MachineAsync("argv");
        var plan = await RunningPortal.BodyAsync(await portal.SendAsync("POST", "/api/v1/vms/argv/actions/start?dryRun=true"));
        Assert.Equal((await portal.JsonAsync("/api/v1/vms/argv/argv"))["items"]!.ToJsonString(), plan["argv"]!.ToJsonString());
        Assert.NotEmpty(plan["steps"]!.AsArray());
        Assert.Equal("stopped", (await portal.JsonAsync("/api/v1/vms/argv/status"))["state"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("explode")]
    [InlineData("START")]
    [InlineData("0")]
    [InlineData("start%20")]
    public async Task An_unknown_action_is_404_and_names_the_known(string action)
    {
        if ((await portal.GetAsync("/api/v1/vms/unknown-action")).StatusCode == HttpStatusCode.NotFound)
            await portal.MachineAsync("unknown-action");
        var problem = await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"/api/v1/vms/unknown-action/actions/{action}"), 404);
        Assert.Contains("suspend", problem["hint"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"deadlineSeconds":0}""", 422)]
    [InlineData("""{"deadlineSeconds":3601}""", 422)]
    [InlineData("""{"deadlineSeconds":"5"}""", 400)]
    [InlineData("""{"now":true}""", 400)]
    [InlineData("[]", 400)]
    public async Task Wrong_options_of_an_action_are_refused(string body, int status)
    {
        if ((await portal.GetAsync("/api/v1/vms/options")).StatusCode == HttpStatusCode.NotFound)
            await portal.MachineAsync("options");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms/options/actions/shutdown", body), status);
    }

    [Fact]
    public async Task An_idempotency_key_gets_the_same_answer_again()
    {
        var body = RunningPortal.Definition("once");
        var first = await portal.SendAsync("POST", "/api/v1/vms", body, "Idempotency-Key: once-1");
        var again = await portal.SendAsync("POST", "/api/v1/vms", body, "Idempotency-Key: once-1");
        Assert.Equal(HttpStatusCode.Created, again.StatusCode);
        Assert.Equal(await first.Content.ReadAsStringAsync(), await again.Content.ReadAsStringAsync());
        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.Equal(first.Headers.ETag, again.Headers.ETag);
        Assert.Equal("true", again.Headers.GetValues("Idempotency-Replayed").Single());
        var other = await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition("twice"), "Idempotency-Key: once-1"), 422, "invalid");
        Assert.NotNull(other["hint"]);
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", body, "Idempotency-Key: " + new string('k', 129)), 400);
        // A refusal does not use the key up.
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition("-"), "Idempotency-Key: once-2"), 422);
        Assert.Equal(HttpStatusCode.Created, (await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition("after-all"), "Idempotency-Key: once-2")).StatusCode);
    }

    [Fact]
    public async Task Many_requests_with_one_key_make_one_vm()
    {
        var body = RunningPortal.Definition("race").ToJsonString();
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => portal.SendAsync("POST", "/api/v1/vms", body, "Idempotency-Key: race")));
        Assert.All(answers, a => Assert.Contains(a.StatusCode, new[] { HttpStatusCode.Created, HttpStatusCode.Conflict }));
        Assert.Contains(answers, a => a.StatusCode == HttpStatusCode.Created);
        Assert.Single((await portal.JsonAsync("/api/v1/vms?q=race"))["items"]!.AsArray());
    }

    [Fact]
    public async Task A_secret_answer_is_not_kept_for_a_key()
    {
        var body = new { name = "kept", expiresInDays = 1 };
        var issued = await RunningPortal.BodyAsync(await portal.SendAsync("POST", "/api/v1/tokens", body, "Idempotency-Key: secret"));
        foreach (var file in Directory.GetFiles(portal.Data, "kvmportal.db*"))
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(stream, System.Text.Encoding.Latin1);
            Assert.DoesNotContain(issued["token"]!.GetValue<string>(), await reader.ReadToEndAsync(), StringComparison.Ordinal);
        }
    }

    private static string State(JsonObject job) => job["state"]!.GetValue<string>();

    [Fact]
    public async Task A_dry_run_of_the_proof_is_a_plan_and_no_job()
    {
        var before = (await portal.JsonAsync("/api/v1/jobs?filter=kind=prove-accelerator"))["items"]!.AsArray().Count;
        var answer = await portal.SendAsync("POST", "/api/v1/hosts/local/actions/prove-accelerator?dryRun=true");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var step = Assert.Single((await RunningPortal.BodyAsync(answer))["steps"]!.AsArray())!;
        Assert.Equal(("prove-accelerator", "prove-kvm"), (step["kind"]!.GetValue<string>(), step["summaryCode"]!.GetValue<string>()));
        Assert.Equal(before, (await portal.JsonAsync("/api/v1/jobs?filter=kind=prove-accelerator"))["items"]!.AsArray().Count);
    }
}
