using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Systemd;

/// <summary>
/// The portal as a unit on a host with systemd: machines are transient services with all measures in force, live through a restart of the portal's unit, and
/// leave no unit behind. The host is this machine's own root, copy-on-write, with a systemd of the test's (tests/systemd/boot).
/// </summary>
public sealed class SystemdHostTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Machines_are_confined_services_that_outlive_the_portals_unit()
    {
        Assert.True(Environment.IsPrivilegedProcess, "This test needs root: it boots a systemd in namespaces.");
        var folder = Directory.CreateTempSubdirectory("kps-").FullName;
        using var boot = Process.Start(Path.Combine(Root(), "tests", "systemd", "boot"), [folder, Root()]);
        try
        {
            var systemd = await SystemdAsync(boot);
            var port = FreePort();
            await InsideAsync(systemd, "systemd-run", "--unit=kvmportal", "--quiet", "--service-type=exec", $"--property=WorkingDirectory={AppContext.BaseDirectory}", "--property=StandardOutput=file:/run/portal.log",
                $"--setenv=DOTNET_ROOT={Path.GetDirectoryName(DotNet())}",
                DotNet(), Path.Combine(AppContext.BaseDirectory, "KvmPortal.Web.dll"), "--data", "/var/lib/kvmportal", "--urls", $"http://127.0.0.1:{port}");
            using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromSeconds(60) };
            await HealthyAsync(http);
            var token = (await InsideAsync(systemd, "cat", "/var/lib/kvmportal/bootstrap-token")).Trim();
            var setup = await BodyAsync(await http.PostAsJsonAsync("/api/v1/setup", new { token, userName = "ada", password = "correct horse battery" }, Ct));
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", setup["apiToken"]!.GetValue<string>());
            http.DefaultRequestHeaders.Add("Prefer", "wait=50");

            var made = await BodyAsync(await http.PostAsJsonAsync("/api/v1/vms", new
            {
                name = "under-systemd",
                accelerator = "tcg",
                memory = new { sizeMiB = 64 },
                firmware = new { type = "uefi", tpm = true },
                disks = new[] { new { name = "disk0", sizeGiB = 1 } },
                start = true,
            }, Ct));
            Assert.Equal("succeeded", made["job"]!["state"]!.GetValue<string>());
            var report = await BodyAsync(await http.GetAsync("/api/v1/vms/under-systemd/confinement", Ct));
            Assert.Equal("systemd", report["launcher"]!.GetValue<string>());
            var measures = report["measures"]!.AsArray().ToDictionary(m => m!["name"]!.GetValue<string>(), m => m!["state"]!.GetValue<string>());
            // Whether limits are in force depends on which controllers this kernel gives to version 2; all else is the same everywhere.
            Assert.All(measures.Where(m => !m.Key.StartsWith("cgroup-", StringComparison.Ordinal)), m => Assert.Equal("in-force", m.Value));
            Assert.DoesNotContain("failed", measures.Values);
            Assert.Contains("kvmportal-vm-", await UnitsAsync(systemd), StringComparison.Ordinal);
            Assert.Contains("kvmportal-tpm-", await UnitsAsync(systemd), StringComparison.Ordinal);

            var before = await BodyAsync(await http.GetAsync("/api/v1/vms/under-systemd/status", Ct));
            await InsideAsync(systemd, "systemctl", "restart", "kvmportal");
            await HealthyAsync(http);
            var after = await RunningAsync(http);
            Assert.Equal(before["pid"]!.GetValue<int>(), after["pid"]!.GetValue<int>());

            using var delete = new HttpRequestMessage(HttpMethod.Delete, "/api/v1/vms/under-systemd") { Headers = { { "If-Match", "*" } } };
            Assert.Equal("succeeded", (await BodyAsync(await http.SendAsync(delete, Ct)))["state"]!.GetValue<string>());
            for (var i = 0; i < 50 && (await UnitsAsync(systemd)).Contains("kvmportal-vm-", StringComparison.Ordinal); i++)
                await Task.Delay(100, Ct);
            Assert.DoesNotContain("kvmportal-vm-", await UnitsAsync(systemd), StringComparison.Ordinal);
            Assert.DoesNotContain("kvmportal-tpm-", await UnitsAsync(systemd), StringComparison.Ordinal);
        }
        finally
        {
            // The kernel ends everything in its namespaces with it.
            boot.Kill();
            await boot.WaitForExitAsync(CancellationToken.None);
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Task<string> UnitsAsync(int systemd) => InsideAsync(systemd, "systemctl", "list-units", "--no-legend", "--no-pager", "--plain", "kvmportal-*");

    private static async Task<int> SystemdAsync(Process boot)
    {
        for (var i = 0; i < 200; i++)
        {
            if (boot.HasExited)
                Assert.Fail("The test's systemd did not boot: see tests/systemd/boot.");
            var children = await File.ReadAllTextAsync($"/proc/{boot.Id}/task/{boot.Id}/children", Ct);
            if (int.TryParse(children.Trim(), out var pid) && (await TryInsideAsync(pid, "systemctl", "is-active", "basic.target")).Trim() == "active")
                return pid;
            await Task.Delay(100, Ct);
        }

        throw new TimeoutException("The test's systemd did not come up within 20 s.");
    }

    private static async Task<string> InsideAsync(int systemd, params string[] command)
    {
        var (code, words) = await RunAsync(systemd, command);
        Assert.True(code == 0, $"{string.Join(' ', command)}: {words}");
        return words;
    }

    private static async Task<string> TryInsideAsync(int systemd, params string[] command) => (await RunAsync(systemd, command)).Words;

    private static async Task<(int Code, string Words)> RunAsync(int systemd, string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo("nsenter", ["-t", $"{systemd}", "-m", "-p", "-u", "-i", "-C", .. command]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(Ct), process.StandardError.ReadToEndAsync(Ct));
        await process.WaitForExitAsync(Ct);
        return (process.ExitCode, await output + await error);
    }

    private static async Task HealthyAsync(HttpClient http)
    {
        for (var i = 0; i < 150; i++)
        {
            try
            {
                if ((await http.GetAsync("/readyz", Ct)).IsSuccessStatusCode)
                    return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }

            await Task.Delay(200, Ct);
        }

        Assert.Fail("The portal's unit did not become ready within 30 s.");
    }

    private static async Task<JsonNode> RunningAsync(HttpClient http)
    {
        for (var i = 0; ; i++)
        {
            var status = await BodyAsync(await http.GetAsync("/api/v1/vms/under-systemd/status", Ct));
            if (status["state"]!.GetValue<string>() == "running" || i == 50)
                return status;
            await Task.Delay(100, Ct);
        }
    }

    private static async Task<JsonNode> BodyAsync(HttpResponseMessage answer)
    {
        var text = await answer.Content.ReadAsStringAsync(Ct);
        Assert.True(answer.IsSuccessStatusCode, text);
        return JsonNode.Parse(text)!;
    }

    private static string DotNet() => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/share/dotnet").Select(f => Path.Combine(f, "dotnet")).Where(File.Exists)
        .Select(f => File.ResolveLinkTarget(f, returnFinalTarget: true)?.FullName ?? f).First();

    private static int FreePort()
    {
        using var door = new TcpListener(System.Net.IPAddress.Loopback, 0);
        door.Start();
        return ((System.Net.IPEndPoint)door.LocalEndpoint).Port;
    }

    private static string Root()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "KvmPortal.sln")))
                return folder.FullName;
        throw new InvalidOperationException("The tests run from inside of the repository.");
    }
}
