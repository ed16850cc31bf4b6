using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Definitions: create, read, list, change, delete.</summary>
public sealed class VmTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task A_vm_is_created_read_by_name_and_deleted()
    {
        var answer = await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition("web-1"), "Prefer: wait=30");
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        var vm = await RunningPortal.BodyAsync(answer);
        var id = vm["id"]!.GetValue<string>();
        Assert.Equal($"/api/v1/vms/{id}", answer.Headers.Location!.ToString());
        Assert.Equal("wait=30", answer.Headers.GetValues("Preference-Applied").Single());
        Assert.Equal(vm["etag"]!.GetValue<string>(), answer.Headers.ETag!.Tag);
        Assert.False(answer.Headers.ETag.IsWeak);
        Assert.EndsWith("Z", vm["createdAt"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal("stopped", vm["status"]!["state"]!.GetValue<string>());

        var byName = await portal.GetAsync("/api/v1/vms/web-1");
        Assert.Equal(id, (await RunningPortal.BodyAsync(byName))["id"]!.GetValue<string>());
        Assert.Equal(vm["etag"]!.GetValue<string>(), byName.Headers.ETag!.Tag);
        Assert.Equal("stopped", (await portal.JsonAsync($"/api/v1/vms/{id}/status"))["state"]!.GetValue<string>());
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition("WEB-1")), 409, "name-taken");

        var plan = await RunningPortal.BodyAsync(await portal.SendAsync("DELETE", "/api/v1/vms/web-1?dryRun=true", null, "If-Match: *"));
        Assert.NotEmpty(plan["steps"]!.AsArray());
        var gone = await portal.SendAsync("DELETE", "/api/v1/vms/web-1", null, "If-Match: *", "Prefer: wait=30");
        Assert.Equal(HttpStatusCode.OK, gone.StatusCode);
        await ProblemAssert.IsAsync(await portal.GetAsync($"/api/v1/vms/{id}"), 404, "not-found");
    }

    [Fact]
    public async Task A_dry_run_says_everything_and_does_nothing()
    {
        var answer = await portal.SendAsync("POST", "/api/v1/vms?dryRun=true", RunningPortal.Definition("dry", start: true));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var plan = await RunningPortal.BodyAsync(answer);
        Assert.NotEmpty(plan["steps"]!.AsArray());
        Assert.Contains(plan["argv"]!.AsArray(), a => a!.GetValue<string>().Contains("qemu", StringComparison.Ordinal));
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/vms/dry"), 404);
        // Whoever asks for a dry run in a way that is not understood must not get the real one.
        foreach (var odd in new[] { "1", "True", "yes", "", "true&dryRun=false" })
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"/api/v1/vms?dryRun={odd}", RunningPortal.Definition("dry")), 400, "malformed");
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/vms/dry"), 404);
    }

    [Fact]
    public async Task Lists_have_pages_filters_and_orders()
    {
        for (var i = 0; i < 5; i++)
        {
            var definition = RunningPortal.Definition($"list-{i}");
            definition["tags"] = new JsonArray("listed", i % 2 == 0 ? "even" : "odd");
            definition["memory"]!["sizeMiB"] = 64 * (i + 1);
            Assert.Equal(HttpStatusCode.Created, (await portal.SendAsync("POST", "/api/v1/vms", definition)).StatusCode);
        }

        var names = new List<string>();
        string? cursor = null;
        do
        {
            var page = await portal.JsonAsync($"/api/v1/vms?limit=2&filter=tag%20%3D%20listed{(cursor is null ? "" : "&cursor=" + Uri.EscapeDataString(cursor))}");
            names.AddRange(Names(page));
            Assert.True(page["items"]!.AsArray().Count <= 2);
            cursor = page["nextCursor"]?.GetValue<string>();
        }
        while (cursor is not null);
        Assert.Equal(["list-0", "list-1", "list-2", "list-3", "list-4"], names);
        Assert.Equal(["list-4", "list-2", "list-0"], Names(await portal.JsonAsync("/api/v1/vms?sort=-memory&filter=" + Uri.EscapeDataString("tag = even and name ~ list"))));
        Assert.Equal(["list-3", "list-4"], Names(await portal.JsonAsync("/api/v1/vms?q=list-&filter=" + Uri.EscapeDataString("memory >= 256 and not (state = running or tag = nothing)"))));
        Assert.Equal(["list-1"], Names(await portal.JsonAsync("/api/v1/vms?q=list-1")));
    }

    [Theory]
    [InlineData("limit=0")]
    [InlineData("limit=501")]
    [InlineData("limit=abc")]
    [InlineData("limit=99999999999999999999")]
    [InlineData("cursor=%00")]
    [InlineData("cursor=!!!")]
    [InlineData("cursor=aGVsbG8%3D")]
    [InlineData("filter=(")]
    [InlineData("filter=name%20%3D")]
    [InlineData("filter=nofield%20%3D%201")]
    [InlineData("filter=name%20%3E%201")]
    [InlineData("filter=%22open")]
    [InlineData("sort=secret")]
    public async Task A_list_query_that_cannot_be_read_is_refused(string query)
    {
        var answer = await portal.GetAsync("/api/v1/vms?" + query);
        var problem = await ProblemAssert.IsAsync(answer, query.StartsWith("sort", StringComparison.Ordinal) ? 422 : 400);
        Assert.StartsWith("?" + query.Split('=')[0], problem["errors"]![0]!["pointer"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Changes_need_the_version_that_they_change()
    {
        await portal.MachineAsync("change");
        const string path = "/api/v1/vms/change";
        foreach (var method in new[] { "PUT", "PATCH", "DELETE" })
            await ProblemAssert.IsAsync(await portal.SendAsync(method, path, method == "DELETE" ? null : "{}"), 428, "version-required");
        var etag = (await portal.GetAsync(path)).Headers.ETag!.Tag;
        var changed = await portal.SendAsync("PATCH", path, """{"description":"It's \"new\"","cloudInit":{"hostname":"h"}}""", $"If-Match: {etag}");
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        Assert.Contains("It's", await changed.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.NotEqual(etag, changed.Headers.ETag!.Tag);
        foreach (var stale in new[] { etag, "\"999\"", "nonsense", "W/\"2\"" })
            foreach (var method in new[] { "PUT", "PATCH", "DELETE" })
                await ProblemAssert.IsAsync(await portal.SendAsync(method, path, method == "PUT" ? RunningPortal.Definition("change") : method == "PATCH" ? "{}" : null, $"If-Match: {stale}"), 412, "stale");

        // Null removes, an object merges, an array is replaced whole.
        var patched = await RunningPortal.BodyAsync(await portal.SendAsync("PATCH", path, """{"cloudInit":null,"memory":{"sizeMiB":128},"tags":["a"]}""", "If-Match: *"));
        Assert.Null(patched["cloudInit"]);
        Assert.Equal(128, patched["memory"]!["sizeMiB"]!.GetValue<int>());
        Assert.True(patched["memory"]!["balloon"]!.GetValue<bool>());
        Assert.Equal("It's \"new\"", patched["description"]!.GetValue<string>());
        await ProblemAssert.IsAsync(await portal.SendAsync("PATCH", path, """{"name":null}""", "If-Match: *"), 400);

        var plan = await RunningPortal.BodyAsync(await portal.SendAsync("PUT", path + "?dryRun=true", RunningPortal.Definition("change"), "If-Match: *"));
        Assert.Contains(plan["effects"]!.AsArray(), e => e!["pointer"]!.GetValue<string>().StartsWith("/memory", StringComparison.Ordinal));
        var replaced = await RunningPortal.BodyAsync(await portal.SendAsync("PUT", path, RunningPortal.Definition("change"), "If-Match: *"));
        Assert.Equal("", replaced["description"]!.GetValue<string>());
        Assert.Empty(replaced["tags"]!.AsArray());
        await portal.MachineAsync("other");
        await ProblemAssert.IsAsync(await portal.SendAsync("PATCH", path, """{"name":"other"}""", "If-Match: *"), 409, "name-taken");
        await ProblemAssert.IsAsync(await portal.SendAsync("PATCH", path + "?dryRun=true", """{"name":"other"}""", "If-Match: *"), 409, "name-taken");
    }

    [Fact]
    public async Task All_that_is_wrong_is_said_at_once()
    {
        var problem = await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms",
            """{"name":"-x","cpu":{"count":0},"memory":{"sizeMiB":-5},"disks":[{"name":"disk0","image":"nothing"}]}"""), 422, "invalid");
        var pointers = problem["errors"]!.AsArray().Select(e => e!["pointer"]!.GetValue<string>()).ToList();
        Assert.Contains("/name", pointers);
        Assert.Contains("/cpu/count", pointers);
        Assert.Contains("/memory/sizeMiB", pointers);
        Assert.Contains("/disks/0/image", pointers);
    }

    private static IEnumerable<string> Names(JsonObject page) => page["items"]!.AsArray().Select(i => i!["name"]!.GetValue<string>());

    [Fact]
    public async Task Changes_for_any_version_are_never_stale_however_many_come_at_once()
    {
        await portal.MachineAsync("crowd");
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => portal.SendAsync("PATCH", "/api/v1/vms/crowd", $"{{\"autostart\":{{\"order\":{i + 1}}}}}", "If-Match: *")));
        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.StatusCode));
        // A named version is still held to it.
        await ProblemAssert.IsAsync(await portal.SendAsync("PATCH", "/api/v1/vms/crowd", """{"description":"late"}""", "If-Match: \"1\""), 412, "stale");
    }
}
