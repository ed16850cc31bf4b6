using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Events, metrics, health, and the headers on every answer.</summary>
public sealed class EventTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task The_stream_begins_where_the_reader_wants_and_goes_on_where_it_stopped()
    {
        await portal.MachineAsync("streamed");
        var all = await ReadAsync("/api/v1/events?since=0", null, "vm.created");
        Assert.Equal(all.Select(e => e.Id).Order(), all.Select(e => e.Id));
        var made = all.Last();
        Assert.Equal("streamed", made.Data["target"]!["name"]!.GetValue<string>());
        Assert.EndsWith("Z", made.Data["at"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal(made.Id, made.Data["seq"]!.GetValue<long>());

        await portal.MachineAsync("streamed-2");
        var rest = await ReadAsync("/api/v1/events", made.Id, "vm.created");
        Assert.True(rest[0].Id == made.Id + 1, $"{rest[0].Id} after {made.Id}");
        Assert.Equal("streamed-2", rest.Last().Data["target"]!["name"]!.GetValue<string>());
        // Last-Event-ID, which a browser sends when it connects again, goes before the address it connected with first.
        Assert.Equal(made.Id + 1, (await ReadAsync("/api/v1/events?since=0", made.Id, "vm.created"))[0].Id);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/events?since=-1"), 400);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/events?since=now"), 400);
    }

    [Fact]
    public async Task Events_come_as_pages_too_newest_first()
    {
        await portal.MachineAsync("paged");
        var first = await RunningPortal.BodyAsync(await portal.SendAsync("GET", "/api/v1/events?limit=1", null, "Accept: application/json"));
        Assert.Single(first["items"]!.AsArray());
        var second = await RunningPortal.BodyAsync(await portal.SendAsync("GET", $"/api/v1/events?limit=1&cursor={first["nextCursor"]}", null, "Accept: application/json"));
        Assert.True(first["items"]![0]!["seq"]!.GetValue<long>() > second["items"]![0]!["seq"]!.GetValue<long>());
        Assert.Contains((await portal.JsonAsync("/api/v1/vms/paged/events"))["items"]!.AsArray(), e => e!["type"]!.GetValue<string>() == "vm.created");
        await ProblemAssert.IsAsync(await portal.SendAsync("GET", "/api/v1/events?cursor=zzz", null, "Accept: application/json"), 400);
    }

    [Fact]
    public async Task Metrics_have_ranges()
    {
        await portal.MachineAsync("measured", start: true);
        var range = await portal.JsonAsync("/api/v1/vms/measured/metrics?window=1m&step=1s");
        Assert.True(range["stepSeconds"]!.GetValue<int>() >= 1);
        Assert.NotNull(range["points"]);
        Assert.NotNull((await portal.JsonAsync("/api/v1/hosts/local/metrics?window=1h&step=10s"))["points"]);
        Assert.True((await portal.JsonAsync("/api/v1/vms/measured/metrics?window=366d&step=1s"))["stepSeconds"]!.GetValue<int>() >= 3600);
        foreach (var bad in new[] { "window=abc", "window=-1s", "window=5w", "window=s", "window=0s", "window=367d", "window=999999999h", "window=2147483647m", "window=99999999999d", "step=0s", "step=%F0%9F%98%80" })
        {
            var answer = await portal.GetAsync("/api/v1/vms/measured/metrics?" + bad);
            Assert.True((int)answer.StatusCode is 400 or 422, $"{bad}: {(int)answer.StatusCode}");
            await ProblemAssert.IsAsync(answer, (int)answer.StatusCode);
        }
    }

    [Fact]
    public async Task Prometheus_and_probes_get_their_answers()
    {
        await portal.MachineAsync("scraped", start: true);
        var metrics = await portal.GetAsync("/metrics");
        Assert.Equal("text/plain", metrics.Content.Headers.ContentType!.MediaType);
        var text = await metrics.Content.ReadAsStringAsync();
        for (var i = 0; i < 50 && !text.Contains("scraped", StringComparison.Ordinal); i++)
        {
            await Task.Delay(200);
            text = await portal.Http.GetStringAsync("/metrics");
        }

        Assert.Contains("# TYPE ", text, StringComparison.Ordinal);
        Assert.Contains("scraped", text, StringComparison.Ordinal);
        using var nobody = portal.Anonymous();
        Assert.Equal(HttpStatusCode.Unauthorized, (await nobody.GetAsync("/metrics")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await nobody.GetAsync("/healthz")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await nobody.GetAsync("/readyz")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await nobody.GetAsync("/openapi/v1.json")).StatusCode);
    }

    [Theory]
    [InlineData("/sign-in")]
    [InlineData("/api/v1/vms")]
    [InlineData("/api/v1/vms/nothing")]
    [InlineData("/healthz")]
    [InlineData("/nothing")]
    public async Task Every_answer_has_the_security_headers(string path)
    {
        var answer = await portal.GetAsync(path);
        var policy = Assert.Single(answer.Headers.GetValues("Content-Security-Policy"));
        Assert.Contains("script-src 'self';", policy, StringComparison.Ordinal);
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.Equal("nosniff", answer.Headers.GetValues("X-Content-Type-Options").Single());
        Assert.Equal("DENY", answer.Headers.GetValues("X-Frame-Options").Single());
        Assert.Equal("same-origin", answer.Headers.GetValues("Referrer-Policy").Single());
        Assert.False(answer.Headers.Contains("Server"));
        if (path.StartsWith("/api", StringComparison.Ordinal))
            Assert.True(answer.Headers.CacheControl!.NoStore);
    }

    /// <summary>Reads events until one of this type is there and nothing more comes for a moment.</summary>
    private async Task<List<(long Id, string Type, JsonObject Data)>> ReadAsync(string path, long? last, string until)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (last is { } id)
            request.Headers.TryAddWithoutValidation("Last-Event-ID", id.ToString());
        using var answer = await portal.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync());
        var events = new List<(long Id, string Type, JsonObject Data)>();
        var (seq, type) = (0L, "");
        while (events.Count == 0 || events[^1].Type != until || !events[^1].Data["target"]!["name"]!.GetValue<string>().StartsWith("streamed", StringComparison.Ordinal))
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(15));
            var line = await reader.ReadLineAsync(limit.Token) ?? throw new EndOfStreamException();
            if (line.StartsWith("id: ", StringComparison.Ordinal))
                seq = long.Parse(line[4..]);
            else if (line.StartsWith("event: ", StringComparison.Ordinal))
                type = line[7..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal))
                events.Add((seq, type, JsonNode.Parse(line[6..])!.AsObject()));
        }

        return events;
    }
}
