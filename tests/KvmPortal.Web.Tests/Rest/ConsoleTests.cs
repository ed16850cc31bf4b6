using System.Net.WebSockets;
using System.Text;
using System.Text.Json.Nodes;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Consoles;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Tickets, and the connections that they open: to the simulated host's VNC server and serial console.</summary>
public sealed class ConsoleTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    private static CancellationToken Limit => new CancellationTokenSource(TimeSpan.FromSeconds(20)).Token;

    [Fact]
    public async Task A_vnc_ticket_opens_one_connection_that_speaks_rfb()
    {
        await RunningAsync("vnc");
        var ticket = await TicketAsync("vnc", "vnc");
        Assert.Equal($"ws://{portal.Address.Authority}/consoles/vnc", ticket["address"]!.GetValue<string>());
        Assert.Contains("/embed/console#", ticket["embedUrl"]!.GetValue<string>(), StringComparison.Ordinal);
        using (var socket = await OpenAsync(ticket["ticket"]!.GetValue<string>()))
        {
            Assert.Equal("binary", socket.SubProtocol);
            Assert.Equal("RFB 003.008\n", Encoding.ASCII.GetString(await ReadAsync(socket, 12)));
            await socket.SendAsync(Encoding.ASCII.GetBytes("RFB 003.008\n"), WebSocketMessageType.Binary, true, Limit);
            var types = await ReadAsync(socket, 2);
            Assert.Equal([1, 1], types);
            await socket.SendAsync(new byte[] { 1 }, WebSocketMessageType.Binary, true, Limit);
            Assert.Equal([0, 0, 0, 0], await ReadAsync(socket, 4));
            await socket.SendAsync(new byte[] { 1 }, WebSocketMessageType.Binary, true, Limit);
            var init = await ReadAsync(socket, 24);
            Assert.True((init[0] << 8 | init[1]) > 0);
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, Limit);
        }

        await RefusedAsync(ticket["ticket"]!.GetValue<string>(), HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task Only_a_fresh_ticket_of_the_right_kind_from_this_origin_opens_the_display()
    {
        await RunningAsync("doors");
        await RefusedAsync((await TicketAsync("doors", "serial"))["ticket"]!.GetValue<string>(), HttpStatusCode.Unauthorized);
        await RefusedAsync("nothing", HttpStatusCode.Unauthorized);
        await RefusedAsync((await TicketAsync("doors", "vnc"))["ticket"]!.GetValue<string>(), HttpStatusCode.Forbidden, "https://evil.example");
        await ProblemAssert.IsAsync(await portal.GetAsync("/consoles/vnc"), 400);
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms/doors/consoles", """{"kind":"spice"}"""), 400);
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms/doors/consoles", "{}"), 400);
        await portal.MachineAsync("off");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms/off/consoles", """{"kind":"vnc"}"""), 409);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/vms/off/screenshot"), 409);
    }

    [Fact]
    public async Task The_serial_hub_reads_and_types()
    {
        await RunningAsync("serial");
        await using var hub = Hub();
        await hub.StartAsync(Limit);
        await Assert.ThrowsAsync<HubException>(() => hub.InvokeAsync("WriteSerial", new byte[] { 13 }, Limit));
        var ticket = (await TicketAsync("serial", "serial"))["ticket"]!.GetValue<string>();
        var read = new StringBuilder();
        var typed = false;
        await foreach (var piece in hub.StreamAsync<SerialPiece>("ReadSerial", ticket, 0L, Limit))
        {
            read.Append(Encoding.UTF8.GetString(piece.Bytes));
            // The guest listens once it asks for a name.
            if (!typed && read.ToString().Contains("login: ", StringComparison.Ordinal))
            {
                typed = true;
                await hub.InvokeAsync("WriteSerial", "echo-me"u8.ToArray(), Limit);
            }

            if (read.ToString().Contains("echo-me", StringComparison.Ordinal))
                break;
        }

        Assert.Contains("echo-me", read.ToString(), StringComparison.Ordinal);
        await Assert.ThrowsAsync<HubException>(async () =>
        {
            await foreach (var _ in hub.StreamAsync<SerialPiece>("ReadSerial", ticket, 0L, Limit))
                Assert.Fail("The ticket was used up.");
        });
    }

    [Fact]
    public async Task A_viewer_of_the_serial_console_does_not_type()
    {
        await RunningAsync("viewer");
        await using var hub = Hub();
        await hub.StartAsync(Limit);
        var ticket = (await TicketAsync("viewer", "serial", viewOnly: true))["ticket"]!.GetValue<string>();
        await foreach (var _ in hub.StreamAsync<SerialPiece>("ReadSerial", ticket, 0L, Limit))
            break;
        var refused = await Assert.ThrowsAsync<HubException>(() => hub.InvokeAsync("WriteSerial", "x"u8.ToArray(), Limit));
        Assert.Contains("viewing only", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_serial_history_goes_on_by_offset_and_takes_bytes()
    {
        await RunningAsync("history");
        var first = await portal.GetAsync("/api/v1/vms/history/serial?from=0&wait=10");
        var bytes = await first.Content.ReadAsByteArrayAsync();
        Assert.NotEmpty(bytes);
        var next = long.Parse(first.Headers.GetValues("X-Next-Offset").Single());
        Assert.Equal(bytes.Length, next - long.Parse(first.Headers.GetValues("X-Offset").Single()));
        Assert.Equal(HttpStatusCode.NoContent, (await portal.SendAsync("POST", "/api/v1/vms/history/serial", "typed"u8.ToArray())).StatusCode);
        var more = await portal.GetAsync($"/api/v1/vms/history/serial?from={next}&wait=10");
        Assert.NotEmpty(await more.Content.ReadAsByteArrayAsync());
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms/history/serial", new byte[70_000]), 413);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/vms/history/serial?from=-1"), 400);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/vms/history/serial?wait=61"), 400);
        var far = await portal.GetAsync($"/api/v1/vms/history/serial?from={long.MaxValue}");
        Assert.Equal(HttpStatusCode.OK, far.StatusCode);
        var png = await portal.GetAsync("/api/v1/vms/history/screenshot");
        Assert.Equal("image/png", png.Content.Headers.ContentType!.MediaType);
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], (await png.Content.ReadAsByteArrayAsync())[..4]);
    }

    private HubConnection Hub() => new HubConnectionBuilder().WithUrl(new Uri(portal.Address, "/hubs/console")).AddJsonProtocol(json => PortalJson.Configure(json.PayloadSerializerOptions)).Build();

    private Task<JsonObject> RunningAsync(string name) => portal.MachineAsync(name, start: true);

    private async Task<JsonObject> TicketAsync(string vm, string kind, bool viewOnly = false)
    {
        var answer = await portal.SendAsync("POST", $"/api/v1/vms/{vm}/consoles", new { kind, viewOnly });
        Assert.True(answer.StatusCode == HttpStatusCode.Created, await answer.Content.ReadAsStringAsync());
        return await RunningPortal.BodyAsync(answer);
    }

    private async Task<ClientWebSocket> OpenAsync(string ticket, string? origin = null)
    {
        var socket = new ClientWebSocket();
        socket.Options.CollectHttpResponseDetails = true;
        socket.Options.AddSubProtocol("binary");
        socket.Options.AddSubProtocol("ticket." + ticket);
        if (origin is not null)
            socket.Options.SetRequestHeader("Origin", origin);
        try
        {
            await socket.ConnectAsync(new Uri($"ws://{portal.Address.Authority}/consoles/vnc"), Limit);
        }
        catch (WebSocketException e)
        {
            throw new HttpRequestException(e.Message, e, socket.HttpStatusCode);
        }

        return socket;
    }

    private async Task RefusedAsync(string ticket, HttpStatusCode status, string? origin = null) =>
        Assert.Equal(status, (await Assert.ThrowsAsync<HttpRequestException>(() => OpenAsync(ticket, origin))).StatusCode);

    private static async Task<byte[]> ReadAsync(ClientWebSocket socket, int count)
    {
        var bytes = new byte[count];
        for (var got = 0; got < count;)
        {
            var received = await socket.ReceiveAsync(bytes.AsMemory(got), Limit);
            Assert.Equal(WebSocketMessageType.Binary, received.MessageType);
            got += received.Count;
        }

        return bytes;
    }
}
