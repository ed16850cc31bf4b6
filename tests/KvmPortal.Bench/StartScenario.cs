using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace KvmPortal.Bench;

/// <summary>From the request to a running guest: by REST, by the same command line spawned by hand, and by `virsh start` of an equivalent domain; rounds interleaved.</summary>
internal static class StartScenario
{
    private const int Rounds = 25;
    private const int WarmUp = 5;

    public static async Task RunAsync(Report report)
    {
        await using var portal = await RunningPortal.StartAsync();
        await portal.PostAsync("/api/v1/vms", new
        {
            name = "bench",
            accelerator = "tcg",
            memory = new { sizeMiB = 256 },
            disks = new[] { new { name = "disk0", sizeGiB = 1 } },
            nics = new[] { new { name = "net0" } },
        }, "wait=30");
        await using var libvirt = await PrivateLibvirt.StartAsync(portal.Data);
        report.Line(libvirt is null ? "libvirt could not be started here: no virsh series" : "libvirt: private daemon, same disk size, TCG q35 256 MiB");
        List<double> rest = [], hand = [], virsh = [];
        try
        {
            for (var round = 0; round < Rounds; round++)
            {
                var clock = Stopwatch.StartNew();
                await portal.ActAsync("bench", "start");
                rest.Add(clock.Elapsed.TotalMilliseconds);
                await portal.ActAsync("bench", "stop");
                var plan = await portal.PostAsync("/api/v1/vms/bench/actions/start?dryRun=true", null);
                hand.Add(await ByHandAsync(plan["argv"]!.AsArray().Select(a => (string)a!).ToList(), "bench"));
                if (libvirt is not null && await libvirt.StartDomainAsync() is { } took)
                    virsh.Add(took);
                else if (libvirt is not null && round == 0)
                    report.Line($"virsh start failed: {libvirt.Words}");
            }
        }
        finally
        {
            await portal.Http.SendAsync(new HttpRequestMessage(HttpMethod.Delete, "/api/v1/vms/bench") { Headers = { { "If-Match", "*" }, { "Prefer", "wait=30" } } });
        }

        report.Series("by hand: spawn, QMP, cont, running", hand[WarmUp..], "ms");
        report.Series("portal: POST start until the job has ended", rest[WarmUp..], "ms");
        report.Target("portal against by hand", Report.Median(rest[WarmUp..]) / Report.Median(hand[WarmUp..]), 1.2, atMost: true, " x");
        if (virsh.Count <= WarmUp)
            return;
        report.Series("virsh start", virsh[WarmUp..], "ms");
        report.Target("portal against virsh", Report.Median(rest[WarmUp..]) / Report.Median(virsh[WarmUp..]), 0.25, atMost: true, " x");
    }

    /// <summary>Spawns the same argv in a folder of its own and waits until `query-status` says running.</summary>
    private static async Task<double> ByHandAsync(List<string> argv, string name)
    {
        var folder = Directory.CreateTempSubdirectory("kvb-").FullName;
        var run = argv.Select(a => a).First(a => a.Contains("/qmp", StringComparison.Ordinal));
        var old = RunFolder(run);
        var mine = argv.Select(a => a.Replace(old, folder, StringComparison.Ordinal)).ToList();
        var clock = Stopwatch.StartNew();
        var info = new ProcessStartInfo(mine[0]) { RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in mine[1..])
            info.ArgumentList.Add(argument);
        using var qemu = Process.Start(info)!;
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            var address = new UnixDomainSocketEndPoint(Path.Combine(folder, "qmp"));
            for (var tries = 0; ; tries++)
            {
                try
                {
                    await socket.ConnectAsync(address);
                    break;
                }
                catch (SocketException) when (tries < 5000 && !qemu.HasExited)
                {
                    await Task.Delay(1);
                }
            }

            await using var stream = new NetworkStream(socket);
            using var reader = new StreamReader(stream);
            await reader.ReadLineAsync();
            await CommandAsync(stream, reader, "qmp_capabilities");
            await CommandAsync(stream, reader, "cont");
            while ((string?)(await CommandAsync(stream, reader, "query-status"))["status"] != "running")
                await Task.Delay(1);
            return clock.Elapsed.TotalMilliseconds;
        }
        finally
        {
            if (!qemu.HasExited)
                qemu.Kill();
            await qemu.WaitForExitAsync();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string RunFolder(string argument)
    {
        var end = argument.IndexOf("/qmp", StringComparison.Ordinal);
        var start = argument.LastIndexOfAny(['=', '"', ','], end) + 1;
        return argument[start..end];
    }

    private static async Task<JsonObject> CommandAsync(NetworkStream stream, StreamReader reader, string command)
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"{{\"execute\":\"{command}\"}}\n"));
        while (true)
            if (JsonNode.Parse((await reader.ReadLineAsync())!) is JsonObject answer && answer["return"] is { } value)
                return value as JsonObject ?? [];
    }
}
