using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Profiles over REST.</summary>
public sealed class ProfileTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    private const string Path = "/api/v1/profiles";

    [Fact]
    public async Task A_copy_is_made_changed_used_and_deleted()
    {
        var all = (await portal.JsonAsync(Path))["items"]!.AsArray();
        Assert.Equal(["general", "low-latency", "hpc", "ai-ml"], all.Take(4).Select(p => p!["name"]!.GetValue<string>()));
        Assert.All(all.Take(4), p => Assert.True(p!["builtIn"]!.GetValue<bool>()));

        var made = await portal.SendAsync("POST", Path, """{"name":"trading","basedOn":"low-latency","description":"For the floor.","knobs":{"threads":"pair","wakeUpMicroseconds":null}}""");
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        Assert.Equal("/api/v1/profiles/trading", made.Headers.Location!.ToString());
        var body = await RunningPortal.BodyAsync(made);
        Assert.Equal(("trading", "pair", true), (body["knobs"]!["name"]!.GetValue<string>(), body["knobs"]!["threads"]!.GetValue<string>(), body["knobs"]!["lockMemory"]!.GetValue<bool>()));
        Assert.Null(body["knobs"]!["wakeUpMicroseconds"]);
        Assert.Single(body["costs"]!.AsArray());

        await ProblemAssert.IsAsync(await portal.SendAsync("PATCH", Path + "/trading", "{}"), 428, "version-required");
        await ProblemAssert.IsAsync(await portal.SendAsync("PATCH", Path + "/trading", "{}", "If-Match: \"9\""), 412, "stale");
        var changed = await RunningPortal.BodyAsync(await portal.SendAsync("PATCH", Path + "/trading", """{"knobs":{"lockMemory":false}}""", "If-Match: \"1\""));
        Assert.Equal(("\"2\"", false, "For the floor."), (changed["etag"]!.GetValue<string>(), changed["knobs"]!["lockMemory"]!.GetValue<bool>(), changed["description"]!.GetValue<string>()));

        var plan = await RunningPortal.BodyAsync(await portal.SendAsync("POST", "/api/v1/vms?dryRun=true", """{"name":"t","profile":"trading","memory":{"sizeMiB":1024},"start":true}"""));
        Assert.Equal("trading", plan["placement"]!["profile"]!["name"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.NoContent, (await portal.SendAsync("DELETE", Path + "/trading", null, "If-Match: *")).StatusCode);
        await ProblemAssert.IsAsync(await portal.SendAsync("GET", Path + "/trading"), 404, "not-found");
        var refused = await portal.SendAsync("POST", "/api/v1/vms?dryRun=true", """{"name":"t","profile":"trading"}""");
        Assert.Equal("/profile", (await RunningPortal.BodyAsync(refused))["errors"]!.AsArray().Single()!["pointer"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("""{"name":"x","basedOn":"nobody"}""", 422, "/basedOn")]
    [InlineData("""{"name":"X Y","basedOn":"hpc","knobs":{"pages":[]}}""", 422, "/name /knobs/pages")]
    [InlineData("""{"name":"x","basedOn":"general","knobs":{"realtime":true}}""", 422, "/knobs/realtime")]
    [InlineData("""{"name":"x","basedOn":"hpc","knobs":{"pages":["huge"]}}""", 400, "/knobs/pages/0")]
    [InlineData("""{"name":"x","basedOn":"hpc","knobs":{"turbo":true}}""", 400, "/knobs/turbo")]
    [InlineData("""{"name":"x"}""", 400, "/basedOn")]
    public async Task What_is_wrong_is_named(string body, int status, string pointers)
    {
        var answer = await portal.SendAsync("POST", Path, body);
        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Equal(pointers.Split(' '), (await RunningPortal.BodyAsync(answer))["errors"]!.AsArray().Select(e => e!["pointer"]!.GetValue<string>()));
    }

    [Fact]
    public async Task Those_that_come_with_the_portal_stay_as_they_are()
    {
        await ProblemAssert.IsAsync(await portal.SendAsync("PATCH", Path + "/hpc", """{"description":"mine"}""", "If-Match: *"), 409, "conflict");
        await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", Path + "/hpc", null, "If-Match: *"), 409, "conflict");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", Path, """{"name":"hpc","basedOn":"hpc"}"""), 409, "name-taken");
    }
}
