using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;

namespace KvmPortal.Bench;

/// <summary>The portal as users run it: its own process, a data directory, REST.</summary>
internal sealed class RunningPortal : IAsyncDisposable
{
    private readonly Process process;
    private readonly bool ownsData;

    private RunningPortal(Process process, string data, HttpClient http, bool ownsData, double startMilliseconds)
    {
        (this.process, Data, Http, this.ownsData, StartMilliseconds) = (process, data, http, ownsData, startMilliseconds);
    }

    public string Data { get; }
    public HttpClient Http { get; }
    public double StartMilliseconds { get; }
    public int Pid => process.Id;
    public double ResidentMiB => File.ReadLines($"/proc/{process.Id}/status").First(l => l.StartsWith("VmRSS", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var kib, ..] ? long.Parse(kib) / 1024.0 : 0;

    /// <summary>CPU seconds that the process has used so far.</summary>
    public double CpuSeconds
    {
        get
        {
            process.Refresh();
            return process.TotalProcessorTime.TotalSeconds;
        }
    }

    public static async Task<RunningPortal> StartAsync(string? data = null, string? token = null, params string[] arguments)
    {
        var folder = data ?? Directory.CreateTempSubdirectory("kvmportal-bench-").FullName;
        // As ./kvmportal run serves it, when ./kvmportal bench says where that is.
        var files = Environment.GetEnvironmentVariable("KVMPORTAL_BENCH_PORTAL") ?? AppContext.BaseDirectory;
        var dll = Path.Combine(files, "KvmPortal.Web.dll");
        var info = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = files };
        foreach (var argument in (string[])[dll, "--data", folder, "--urls", "http://127.0.0.1:0", .. arguments])
            info.ArgumentList.Add(argument);
        var clock = Stopwatch.StartNew();
        var process = Process.Start(info)!;
        var words = new StringBuilder();
        process.ErrorDataReceived += (_, e) => words.AppendLine(e.Data);
        process.BeginErrorReadLine();
        string? address = null;
        string? bootstrap = null;
        while (address is null && await process.StandardOutput.ReadLineAsync() is { } line)
        {
            words.AppendLine(line);
            if (line.StartsWith("Bootstrap token: ", StringComparison.Ordinal))
                bootstrap = line["Bootstrap token: ".Length..].Trim();
            if (line.StartsWith("Listening on ", StringComparison.Ordinal))
                address = line["Listening on ".Length..].Trim();
        }

        var started = clock.Elapsed.TotalMilliseconds;
        if (address is null)
            throw new InvalidOperationException($"The portal did not start: {words}");
        _ = process.StandardOutput.ReadToEndAsync();
        var http = new HttpClient { BaseAddress = new Uri(address), Timeout = TimeSpan.FromMinutes(2) };
        var portal = new RunningPortal(process, folder, http, data is null, started);
        if (token is null)
        {
            bootstrap ??= (await File.ReadAllTextAsync(Path.Combine(folder, "bootstrap-token"))).Trim();
            var setup = await portal.PostAsync("/api/v1/setup", new { token = bootstrap, userName = "bench", password = "Bench-Password-2026!" });
            token = (string)setup["apiToken"]!;
        }

        portal.Token = token;
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return portal;
    }

    public string Token { get; private set; } = "";

    public async Task<JsonObject> PostAsync(string path, object? body, string? prefer = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path);
        if (body is not null)
            request.Content = JsonContent.Create(body);
        if (prefer is not null)
            request.Headers.Add("Prefer", prefer);
        return await AnswerAsync(await Http.SendAsync(request));
    }

    public async Task<JsonObject> GetAsync(string path) => await AnswerAsync(await Http.GetAsync(path));

    /// <summary>Runs an action and waits for its job; throws with the job's error when it fails.</summary>
    public async Task ActAsync(string vm, string action)
    {
        var job = await PostAsync($"/api/v1/vms/{vm}/actions/{action}", null, "wait=60");
        if ((string?)job["state"] != "succeeded")
            throw new InvalidOperationException($"{action} {vm}: {job["state"]} {job["error"]?.ToJsonString()}");
    }

    private static async Task<JsonObject> AnswerAsync(HttpResponseMessage answer)
    {
        var text = await answer.Content.ReadAsStringAsync();
        if (!answer.IsSuccessStatusCode)
            throw new InvalidOperationException($"{answer.RequestMessage?.Method} {answer.RequestMessage?.RequestUri?.AbsolutePath}: {(int)answer.StatusCode} {text}");
        return JsonNode.Parse(text)!.AsObject();
    }

    /// <summary>Ends the portal as Ctrl-C does.</summary>
    public async Task StopAsync()
    {
        if (!process.HasExited)
        {
            using var kill = Process.Start("kill", ["-TERM", process.Id.ToString()]);
            await process.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromSeconds(20)).Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Http.Dispose();
        process.Dispose();
        if (ownsData)
            Directory.Delete(Data, recursive: true);
    }
}
