using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Host settings over REST, on the simulated host.</summary>
public sealed class PreparationTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    private const string Path = "/api/v1/hosts/local/actions/prepare";

    [Fact]
    public async Task A_dry_run_shows_each_write_a_run_makes_them_and_undo_takes_them_back()
    {
        const string body = """{"settings":[{"kind":"huge-pages","node":1,"sizeKiB":2048,"count":128},{"sizeKiB":1048576,"node":1,"count":20,"kind":"huge-pages"}],"persistent":true}""";
        var plan = await RunningPortal.BodyAsync(await portal.SendAsync("POST", Path + "?dryRun=true", body));
        var writes = plan["steps"]!.AsArray().SelectMany(s => s!["writes"]!.AsArray()).Select(w => $"{w!["path"]} {w["now"]} {w["then"]}");
        Assert.Equal(["/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages 0 128", "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages 16 20"], writes);
        Assert.Empty(await InForceAsync("huge-pages/1/2048"));

        var answer = await portal.SendAsync("POST", Path, body, "Prefer: wait=30");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var job = await RunningPortal.BodyAsync(answer);
        Assert.Equal(("succeeded", "prepare-host"), (job["state"]!.GetValue<string>(), job["kind"]!.GetValue<string>()));
        var made = Assert.Single(await InForceAsync("huge-pages/1/2048"));
        Assert.Equal(("applied", "huge-pages", 128L, true), (made["state"]!.GetValue<string>(), made["setting"]!["kind"]!.GetValue<string>(), made["setting"]!["count"]!.GetValue<long>(), made["persistent"]!.GetValue<bool>()));
        Assert.Equal("128", made["values"]![0]!["now"]!.GetValue<string>());

        await ProblemAssert.IsAsync(await portal.SendAsync("POST", Path, body), 409, "conflict");
        var undo = $"/api/v1/hosts/local/preparations/{made["id"]}";
        var back = await RunningPortal.BodyAsync(await portal.SendAsync("DELETE", undo + "?dryRun=true"));
        Assert.Equal("0", back["steps"]![0]!["writes"]![0]!["then"]!.GetValue<string>());
        Assert.Equal("succeeded", (await RunningPortal.BodyAsync(await portal.SendAsync("DELETE", undo, null, "Prefer: wait=30")))["state"]!.GetValue<string>());
        Assert.Empty(await InForceAsync("huge-pages/1/2048"));
        await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", undo), 409, "conflict");
    }

    [Fact]
    public async Task What_the_readiness_report_offers_can_be_given_back_as_it_is()
    {
        var report = await portal.JsonAsync("/api/v1/hosts/local/readiness");
        var offered = report["checks"]!.AsArray().SelectMany(c => c!["fixes"]!.AsArray()).Select(f => f!["setting"]).OfType<JsonObject>().ToList();
        Assert.NotEmpty(offered);
        foreach (var setting in offered)
        {
            var answer = await portal.SendAsync("POST", Path + "?dryRun=true", new JsonObject { ["settings"] = new JsonArray(setting.DeepClone()) }.ToJsonString());
            Assert.True(answer.StatusCode == HttpStatusCode.OK, await answer.Content.ReadAsStringAsync());
        }
    }

    [Theory]
    [InlineData("""{"settings":[{"kind":"ksm","state":"maybe"},{"kind":"sysctl","name":"vm.swappiness","value":"900"}]}""", 422, "/settings/0/state /settings/1/value")]
    [InlineData("""{"settings":[{"kind":"cpu-latency","cpus":"900","maxMicroseconds":1}]}""", 422, "/settings/0/cpus")]
    [InlineData("""{"settings":[{"kind":"cpu-latency","cpus":"9-3","maxMicroseconds":1}]}""", 400, "/settings/0/cpus")]
    [InlineData("""{"settings":[{"state":"off"}]}""", 400, "/settings/0")]
    [InlineData("""{"settings":[{"kind":"format-disk"}]}""", 400, "/settings/0")]
    [InlineData("""{"settings":[{"kind":"ksm"}]}""", 400, "/settings/0/state")]
    [InlineData("""{"settings":[null]}""", 422, "/settings/0")]
    [InlineData("""{"settings":[]}""", 422, "/settings")]
    [InlineData("""{"settings":null}""", 400, "/settings")]
    [InlineData("""{}""", 400, "/settings")]
    public async Task What_is_wrong_is_named(string body, int status, string pointers)
    {
        var answer = await portal.SendAsync("POST", Path, body);
        var problem = await RunningPortal.BodyAsync(answer);
        Assert.True((int)answer.StatusCode == status, problem.ToJsonString());
        Assert.Equal(pointers, string.Join(' ', problem["errors"]!.AsArray().Select(e => e!["pointer"]!.GetValue<string>())));
    }

    [Fact]
    public async Task Boot_parameters_are_told_and_expected_never_written()
    {
        const string path = "/api/v1/hosts/local/boot-parameters";
        var told = await portal.JsonAsync(path);
        Assert.Equal("none", told["state"]!.GetValue<string>());
        Assert.Contains("intel_iommu=on", told["commandLine"]!.GetValue<string>(), StringComparison.Ordinal);
        var expected = await RunningPortal.BodyAsync(await portal.SendAsync("PUT", path, """{"parameters":["iommu=pt","nohz_full=8-31"]}"""));
        Assert.Equal("waiting", expected["state"]!.GetValue<string>());
        Assert.Equal("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX nohz_full=8-31\"", expected["advice"]!["grub"]!.GetValue<string>());
        Assert.Equal(RunningPortal.UserName, (await portal.JsonAsync(path))["expectedBy"]!.GetValue<string>());
        var wrong = await RunningPortal.BodyAsync(await portal.SendAsync("PUT", path, """{"parameters":["iommu=pt","a=$(reboot)",null]}"""));
        Assert.Equal(["/parameters/1", "/parameters/2"], wrong["errors"]!.AsArray().Select(e => e!["pointer"]!.GetValue<string>()));
        Assert.Equal("none", (await RunningPortal.BodyAsync(await portal.SendAsync("PUT", path, """{"parameters":[]}""")))["state"]!.GetValue<string>());
    }

    [Fact]
    public async Task Unknown_ids_are_not_found()
    {
        await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", $"/api/v1/hosts/local/preparations/{Guid.NewGuid()}"), 404, "not-found");
        await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", "/api/v1/hosts/local/preparations/x"), 404, "not-found");
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/hosts/nothing/preparations"), 404, "not-found");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/hosts/nothing/actions/prepare", """{"settings":[]}"""), 404, "not-found");
    }

    private async Task<List<JsonNode>> InForceAsync(string key) =>
        [.. (await portal.JsonAsync("/api/v1/hosts/local/preparations"))["items"]!.AsArray().Where(p => p!["key"]!.GetValue<string>() == key && p["state"]!.GetValue<string>() != "restored").Select(p => p!)];
}
