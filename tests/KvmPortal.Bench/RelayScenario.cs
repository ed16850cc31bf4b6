using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using KvmPortal.Web.Consoles;
using KvmPortal.Web.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Bench;

/// <summary>
/// Throughput of the VNC relay from a unix socket to a WebSocket client, against a plain copy from the unix socket to a TCP client, and against websockify in
/// front of the same source; rounds interleaved, the same source and the same number of bytes.
/// </summary>
internal static class RelayScenario
{
    private const long Bytes = 512L << 20;
    private const int Rounds = 5;

    public static async Task RunAsync(Report report)
    {
        var folder = Directory.CreateTempSubdirectory("kvb-").FullName;
        var source = Path.Combine(folder, "display");
        using var stop = new CancellationTokenSource();
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(source));
        listener.Listen(16);
        _ = ServeAsync(listener, stop.Token);
        await using var relay = await RelayAsync(source);
        var relayAddress = relay.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First().Replace("http", "ws", StringComparison.Ordinal);
        using var websockify = StartWebsockify(source, out var websockifyPort);
        List<double> plain = [], portal = [], python = [];
        try
        {
            for (var round = 0; round < Rounds; round++)
            {
                plain.Add(await PlainAsync(source));
                portal.Add(await SocketAsync(new Uri(relayAddress)));
                if (websockify is not null)
                    python.Add(await SocketAsync(new Uri($"ws://127.0.0.1:{websockifyPort}/")));
            }
        }
        finally
        {
            await stop.CancelAsync();
            if (websockify is { HasExited: false })
            {
                websockify.Kill();
                await websockify.WaitForExitAsync();
            }

            Directory.Delete(folder, recursive: true);
        }

        report.Series("plain socket copy", plain, "MiB/s");
        report.Series("portal's relay", portal, "MiB/s");
        if (python.Count > 0)
            report.Series("websockify", python, "MiB/s");
        else
            report.Line("websockify is not installed here");
        report.Target("relay against plain copy", Report.Median(portal) / Report.Median(plain), 0.9, atMost: false, " x");
        if (python.Count > 0)
            report.Line($"       relay against websockify: {Report.Median(portal) / Report.Median(python):0.0} x");
    }

    /// <summary>A display that sends as fast as it is read.</summary>
    private static async Task ServeAsync(Socket listener, CancellationToken ct)
    {
        try
        {
            while (true)
                _ = SendAsync(await listener.AcceptAsync(ct), ct);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static async Task SendAsync(Socket client, CancellationToken ct)
    {
        using (client)
        {
            var block = new byte[64 * 1024];
            Random.Shared.NextBytes(block);
            try
            {
                while (!ct.IsCancellationRequested)
                    await client.SendAsync(block, SocketFlags.None, ct);
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
            }
        }
    }

    private static async Task<WebApplication> RelayAsync(string source)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0").ConfigureKestrel(PortalStart.Serve);
        var app = builder.Build();
        app.UseWebSockets();
        app.Run(async context =>
        {
            using var browser = await context.WebSockets.AcceptWebSocketAsync();
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(source));
            await using var display = new NetworkStream(socket, ownsSocket: true);
            await VncRelay.RunAsync(display, browser, viewOnly: false, context.RequestAborted);
        });
        await app.StartAsync();
        return app;
    }

    /// <summary>The same way without WebSocket: unix socket, copy, TCP, reader.</summary>
    private static async Task<double> PlainAsync(string source)
    {
        using var door = new TcpListener(IPAddress.Loopback, 0);
        door.Start();
        using var client = new TcpClient();
        var connecting = client.ConnectAsync((IPEndPoint)door.LocalEndpoint);
        using var accepted = await door.AcceptTcpClientAsync();
        await connecting;
        using var display = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await display.ConnectAsync(new UnixDomainSocketEndPoint(source));
        using var stop = new CancellationTokenSource();
        var copying = new NetworkStream(display).CopyToAsync(accepted.GetStream(), 64 * 1024, stop.Token);
        var block = new byte[64 * 1024];
        var clock = Stopwatch.StartNew();
        for (var read = 0L; read < Bytes;)
            read += await client.GetStream().ReadAsync(block);
        var speed = Bytes / 1048576.0 / clock.Elapsed.TotalSeconds;
        await stop.CancelAsync();
        display.Close();
        await copying.ContinueWith(_ => { }, TaskScheduler.Default);
        return speed;
    }

    /// <summary>A viewer that opens a WebSocket by hand and counts what arrives, so that the relay is measured and not a client's decoder.</summary>
    private static async Task<double> SocketAsync(Uri address)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(address.Host, address.Port);
        var stream = client.GetStream();
        var opening = $"GET {address.PathAndQuery} HTTP/1.1\r\nHost: {address.Authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: a3ZtcG9ydGFsLWJlbmNoIQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n";
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(opening));
        var block = new byte[64 * 1024];
        var first = await stream.ReadAsync(block);
        if (!System.Text.Encoding.ASCII.GetString(block, 0, first).StartsWith("HTTP/1.1 101", StringComparison.Ordinal))
            throw new InvalidOperationException($"{address} did not open a WebSocket.");
        var clock = Stopwatch.StartNew();
        for (var read = 0L; read < Bytes;)
            read += await stream.ReadAsync(block) is > 0 and var got ? got : throw new InvalidOperationException($"{address} closed the WebSocket.");
        return Bytes / 1048576.0 / clock.Elapsed.TotalSeconds;
    }

    private static Process? StartWebsockify(string source, out int port)
    {
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }

        if (!File.Exists("/usr/bin/websockify"))
            return null;
        var info = new ProcessStartInfo("/usr/bin/websockify") { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in (string[])["--unix-target", source, $"127.0.0.1:{port}"])
            info.ArgumentList.Add(argument);
        var process = Process.Start(info)!;
        process.ErrorDataReceived += (_, _) => { };
        process.OutputDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        Thread.Sleep(1500);
        return process;
    }
}
