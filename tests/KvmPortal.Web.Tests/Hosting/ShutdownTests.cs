using System.Net.WebSockets;
using System.Text;
using KvmPortal.Web.Consoles;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Web.Tests.Hosting;

/// <summary>SIGTERM to the real program with long jobs running and everything connected that can be.</summary>
public sealed class ShutdownTests : IDisposable
{
    private static readonly string[] Ended = ["succeeded", "failed", "cancelled", "interrupted"];
    private readonly string data = Directory.CreateTempSubdirectory("kvmportal-stop-").FullName;

    [Fact]
    public async Task The_portal_stops_within_ten_seconds_says_why_and_goes_on_afterwards()
    {
        string token, shutdown, waiting;
        await using (var portal = await PortalProcess.StartAsync(data))
        {
            token = portal.Token;
            foreach (var name in new[] { "screen", "ignore-shutdown-1" })
                await portal.PostAsync("/api/v1/vms", Rest.RunningPortal.Definition(name, start: true), wait: 30);
            using var events = await portal.Http.GetAsync("/api/v1/events", HttpCompletionOption.ResponseHeadersRead);
            var stream = ReadAsync(await events.Content.ReadAsStreamAsync());
            var screen = (await portal.PostAsync("/api/v1/vms/screen/consoles", new { kind = "vnc" }))["ticket"]!.GetValue<string>();
            using var vnc = new ClientWebSocket();
            vnc.Options.AddSubProtocol("binary");
            vnc.Options.AddSubProtocol($"ticket.{screen}");
            vnc.Options.SetRequestHeader("Origin", portal.Address.GetLeftPart(UriPartial.Authority));
            await vnc.ConnectAsync(new UriBuilder(portal.Address) { Scheme = "ws", Path = "/consoles/vnc" }.Uri, default);
            var seen = CloseAsync(vnc);
            var line = (await portal.PostAsync("/api/v1/vms/screen/consoles", new { kind = "serial" }))["ticket"]!.GetValue<string>();
            await using var hub = new HubConnectionBuilder().WithUrl(new Uri(portal.Address, "/hubs/console"), o => o.Headers["Origin"] = portal.Address.GetLeftPart(UriPartial.Authority)).Build();
            await hub.StartAsync();
            var serial = ReadSerialAsync(hub, line);
            shutdown = (await portal.PostAsync("/api/v1/vms/ignore-shutdown-1/actions/shutdown", new { deadlineSeconds = 8, force = true }))["id"]!.GetValue<string>();
            waiting = (await portal.PostAsync("/api/v1/vms/ignore-shutdown-1/actions/start"))["id"]!.GetValue<string>();
            var asked = portal.GetAsync($"/api/v1/jobs/{shutdown}?wait=200");
            await Task.Delay(500);

            var (code, seconds) = await portal.TerminateAsync();
            Assert.True(code == 0, $"exit code {code}: {portal.Said}");
            Assert.True(seconds < 10, $"It took {seconds} s.");
            Assert.Contains("event: portal.stopping", await stream, StringComparison.Ordinal);
            Assert.Contains("The portal stops", await serial, StringComparison.Ordinal);
            Assert.Equal("running", (await asked)["state"]!.GetValue<string>());
            await seen;
            Assert.Equal(WebSocketCloseStatus.EndpointUnavailable, vnc.CloseStatus);
            Assert.Contains("The portal stops", vnc.CloseStatusDescription, StringComparison.Ordinal);
            Assert.False(File.Exists(Path.Combine(data, "running")));
        }

        await using var again = await PortalProcess.StartAsync(data, token);
        var ended = await again.GetAsync($"/api/v1/jobs/{shutdown}?wait=30");
        Assert.True(Ended.Contains(ended["state"]!.GetValue<string>()), ended.ToJsonString());
        Assert.Contains((await again.GetAsync($"/api/v1/jobs/{waiting}?wait=30"))["state"]!.GetValue<string>(), Ended);
    }

    [Fact]
    public async Task An_idle_portal_stops_at_once()
    {
        await using var portal = await PortalProcess.StartAsync(data);
        var (code, seconds) = await portal.TerminateAsync();
        Assert.True(code == 0 && seconds < 3, $"exit code {code} after {seconds} s: {portal.Said}");
    }

    [Fact]
    public async Task Backup_restore_and_a_damaged_database_on_the_command_line()
    {
        var archive = Path.Combine(data, "b.tar.gz");
        var live = Path.Combine(data, "live");
        string token;
        await using (var portal = await PortalProcess.StartAsync(live))
        {
            token = portal.Token;
            await portal.PostAsync("/api/v1/vms", Rest.RunningPortal.Definition("kept"), wait: 30);
            var made = await PortalProcess.RunAsync("backup", archive, "--data", live);
            Assert.True(made.Code == 0, made.Said);
            Assert.Contains("Backed up", made.Said, StringComparison.Ordinal);
            var refused = await PortalProcess.RunAsync("restore", archive, "--data", live, "--force");
            Assert.True(refused.Code == 2 && refused.Said.Contains("Another portal uses", StringComparison.Ordinal), refused.Said);
            Assert.Equal(2, (await PortalProcess.RunAsync("backup", archive, "--data", live)).Code);
            Assert.Equal(2, (await PortalProcess.RunAsync("backup", "--data", live)).Code);
            Assert.Equal(2, (await PortalProcess.RunAsync("restore", archive, "--dta", live)).Code);
            await portal.TerminateAsync();
        }

        await File.WriteAllBytesAsync(Path.Combine(live, "kvmportal.db"), [.. (await File.ReadAllBytesAsync(Path.Combine(live, "kvmportal.db")))[..8192], .. new byte[20_000]]);
        var stopped = await PortalProcess.RunAsync("--data", live, "--urls", "http://127.0.0.1:0", "--simulated", "0");
        Assert.Equal(2, stopped.Code);
        Assert.Contains("is damaged", stopped.Said, StringComparison.Ordinal);
        Assert.Contains("./kvmportal restore", stopped.Said, StringComparison.Ordinal);
        Assert.Single(stopped.Said.Trim().Split('\n'));

        Assert.Equal(2, (await PortalProcess.RunAsync("restore", archive, "--data", live)).Code);
        var restored = await PortalProcess.RunAsync("restore", archive, "--data", live, "--force");
        Assert.True(restored.Code == 0, restored.Said);
        Assert.Contains("before-restore-", restored.Said, StringComparison.Ordinal);
        var elsewhere = Path.Combine(data, "elsewhere");
        Assert.Equal(0, (await PortalProcess.RunAsync("restore", archive, "--data", elsewhere)).Code);
        Assert.Equal(2, (await PortalProcess.RunAsync("restore", Path.Combine(data, "none"), "--data", Path.Combine(data, "never"))).Code);
        Assert.False(Directory.Exists(Path.Combine(data, "never")));
        foreach (var folder in new[] { live, elsewhere })
        {
            await using var again = await PortalProcess.StartAsync(folder, token);
            Assert.Equal("kept", (await again.GetAsync("/api/v1/vms/kept"))["name"]!.GetValue<string>());
            await again.TerminateAsync();
        }
    }

    public void Dispose() => Directory.Delete(data, recursive: true);

    private static async Task<string> ReadAsync(Stream stream)
    {
        var said = new StringBuilder();
        var block = new byte[4096];
        try
        {
            while (await stream.ReadAsync(block) is > 0 and var read)
                said.Append(Encoding.UTF8.GetString(block, 0, read));
        }
        catch (IOException)
        {
            // Cut; what was said before counts.
        }

        return said.ToString();
    }

    private static async Task<string> ReadSerialAsync(HubConnection hub, string ticket)
    {
        try
        {
            await foreach (var _ in hub.StreamAsync<SerialPiece>("ReadSerial", ticket, 0L))
            {
            }
        }
        catch (Exception e) when (e is HubException or OperationCanceledException or IOException or WebSocketException)
        {
            return e.Message;
        }

        return "";
    }

    private static async Task CloseAsync(ClientWebSocket socket)
    {
        var block = new byte[64 * 1024];
        while ((await socket.ReceiveAsync(block, new CancellationTokenSource(TimeSpan.FromSeconds(40)).Token)).MessageType != WebSocketMessageType.Close)
        {
        }
    }
}
