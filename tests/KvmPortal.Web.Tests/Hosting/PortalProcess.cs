using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Hosting;

/// <summary>The portal's own program as a process, with the simulated host.</summary>
internal sealed class PortalProcess : IAsyncDisposable
{
    private readonly Process process;
    private readonly StringBuilder said;

    private PortalProcess(Process process, StringBuilder said, HttpClient http) => (this.process, this.said, Http) = (process, said, http);

    public HttpClient Http { get; }
    public Uri Address => Http.BaseAddress!;
    public int Pid => process.Id;

    /// <summary>Runs the program to its end.</summary>
    public static async Task<(int Code, string Said)> RunAsync(params string[] arguments)
    {
        using var process = Process.Start(Info(arguments))!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromSeconds(60)).Token);
        return (process.ExitCode, await output + await errors);
    }

    public static async Task<PortalProcess> StartAsync(string data, string? token = null)
    {
        var process = Process.Start(Info(["--data", data, "--urls", "http://127.0.0.1:0", "--simulated", "0"]))!;
        var said = new StringBuilder();
        var listening = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        void Take(string? line)
        {
            lock (said)
                said.AppendLine(line);
            if (line is null)
                listening.TrySetException(new InvalidOperationException(said.ToString()));
            else if (line.StartsWith("Listening on ", StringComparison.Ordinal))
                listening.TrySetResult(new Uri(line["Listening on ".Length..]));
        }

        process.OutputDataReceived += (_, e) => Take(e.Data);
        process.ErrorDataReceived += (_, e) =>
        {
            if (e.Data is not null)
                Take(e.Data);
        };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var portal = new PortalProcess(process, said, new HttpClient { BaseAddress = await listening.Task.WaitAsync(TimeSpan.FromSeconds(30)), Timeout = TimeSpan.FromSeconds(60) });
        if (token is null)
        {
            var made = await portal.Http.PostAsJsonAsync("/api/v1/setup", new { token = (await File.ReadAllTextAsync(Path.Combine(data, "bootstrap-token"))).Trim(), userName = "ada", password = "correct horse battery" });
            token = (await JsonAsync(made))["apiToken"]!.GetValue<string>();
        }

        portal.Token = token;
        portal.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return portal;
    }

    public string Token { get; private set; } = "";

    public string Said
    {
        get
        {
            lock (said)
                return said.ToString();
        }
    }

    public async Task<JsonObject> PostAsync(string path, object? body = null, int wait = 0)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = body is null ? null : new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json") };
        if (wait > 0)
            request.Headers.Add("Prefer", $"wait={wait}");
        return await JsonAsync(await Http.SendAsync(request));
    }

    public async Task<JsonObject> GetAsync(string path) => await JsonAsync(await Http.GetAsync(path));

    /// <summary>Asks it to stop as systemd does; its exit code and the seconds that it took.</summary>
    public async Task<(int Code, double Seconds)> TerminateAsync()
    {
        var clock = Stopwatch.StartNew();
        using (var kill = Process.Start("kill", ["-TERM", $"{process.Id}"]))
            await kill.WaitForExitAsync();
        await process.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromSeconds(30)).Token);
        return (process.ExitCode, clock.Elapsed.TotalSeconds);
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        if (!process.HasExited)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        process.Dispose();
    }

    private static async Task<JsonObject> JsonAsync(HttpResponseMessage answer)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"{answer.RequestMessage?.RequestUri}: {(int)answer.StatusCode} {text}");
        return JsonNode.Parse(text)!.AsObject();
    }

    private static ProcessStartInfo Info(string[] arguments) =>
        new("dotnet", [Path.Combine(AppContext.BaseDirectory, "KvmPortal.Web.dll"), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = AppContext.BaseDirectory };
}
