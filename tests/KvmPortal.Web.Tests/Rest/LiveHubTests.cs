using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>The streams of /hubs/live.</summary>
public sealed class LiveHubTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    private static CancellationToken Limit => new CancellationTokenSource(TimeSpan.FromSeconds(20)).Token;

    [Fact]
    public async Task A_job_is_followed_to_its_end_with_each_log_line_once()
    {
        await portal.MachineAsync("hub-slow-start");
        var job = await RunningPortal.BodyAsync(await portal.SendAsync("POST", "/api/v1/vms/hub-slow-start/actions/start"));
        await using var hub = await ConnectedAsync();
        var seen = new List<JsonObject>();
        await foreach (var item in hub.StreamAsync<JsonElement>("WatchJob", job["id"]!.GetValue<string>(), Limit))
            seen.Add(JsonNode.Parse(item.GetRawText())!.AsObject());
        Assert.Equal("succeeded", seen[^1]["job"]!["state"]!.GetValue<string>());
        Assert.True(seen.Count > 2, $"{seen.Count} updates");
        Assert.Contains(seen, s => s["job"]!["progress"]!["percent"]!.GetValue<int>() is > 0 and < 100);
        var lines = seen.SelectMany(s => s["log"]!.AsArray()).Select(l => l!["number"]!.GetValue<int>()).ToList();
        Assert.Equal(Enumerable.Range(1, lines.Count), lines);
        Assert.Equal((await portal.JsonAsync($"/api/v1/jobs/{job["id"]}/log"))["items"]!.AsArray().Count, lines.Count);

        // An ended job: one item.
        var again = new List<JsonElement>();
        await foreach (var item in hub.StreamAsync<JsonElement>("WatchJob", job["id"]!.GetValue<string>(), Limit))
            again.Add(item);
        Assert.Single(again);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("01900000-0000-7000-8000-000000000000")]
    public async Task A_job_that_is_not_there_is_said_in_words(string id)
    {
        await using var hub = await ConnectedAsync();
        var refused = await Assert.ThrowsAsync<HubException>(async () =>
        {
            await foreach (var _ in hub.StreamAsync<JsonElement>("WatchJob", id, Limit))
                Assert.Fail("There is no such job.");
        });
        Assert.Contains("There is no job", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Machines_are_followed_from_now_on_and_a_closed_connection_leaves_nothing_behind()
    {
        var feed = portal.Services.GetRequiredService<LiveFeed>();
        var before = feed.Watchers;
        await portal.MachineAsync("hub-vm");
        var states = new List<string>();
        await using (var hub = await ConnectedAsync())
        {
            var removed = false;
            await foreach (var item in hub.StreamAsync<JsonElement>("WatchVms", Limit))
            {
                if (item.GetProperty("readAgain").GetBoolean())
                {
                    await portal.SendAsync("POST", "/api/v1/vms/hub-vm/actions/start", null, "Prefer: wait=10");
                    await portal.SendAsync("DELETE", "/api/v1/vms/hub-vm", null, "If-Match: *");
                    continue;
                }

                if (item.GetProperty("vm") is { ValueKind: JsonValueKind.Object } vm && vm.GetProperty("name").GetString() == "hub-vm")
                    states.Add(vm.GetProperty("status").GetProperty("state").GetString()!);
                if (item.GetProperty("removed").ValueKind == JsonValueKind.String)
                {
                    removed = true;
                    break;
                }
            }

            Assert.True(removed);
            Assert.Contains("running", states);
        }

        for (var i = 0; i < 100 && feed.Watchers > before; i++)
            await Task.Delay(50, Limit);
        Assert.Equal(before, feed.Watchers);
    }

    [Fact]
    public async Task Nobody_watches_without_a_token()
    {
        await using var hub = new HubConnectionBuilder().WithUrl(new Uri(portal.Address, "/hubs/live")).Build();
        await Assert.ThrowsAsync<HttpRequestException>(() => hub.StartAsync(Limit));
    }

    private async Task<HubConnection> ConnectedAsync()
    {
        var hub = new HubConnectionBuilder().WithUrl(new Uri(portal.Address, "/hubs/live"), http => http.Headers["Authorization"] = "Bearer " + portal.ApiToken)
            .AddJsonProtocol(json => PortalJson.Configure(json.PayloadSerializerOptions)).Build();
        await hub.StartAsync(Limit);
        return hub;
    }
}
