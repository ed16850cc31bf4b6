using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>The whole portal on a free loopback port, with the simulated host and a data directory of its own.</summary>
public class RunningPortal : IAsyncLifetime
{
    public const string UserName = "ada";
    public const string Password = "correct horse battery";
    private readonly App app;

    public RunningPortal()
    {
        app = new App(Data, Settings);
        app.UseKestrel(0);
    }

    public string Data { get; } = Directory.CreateTempSubdirectory("kvmportal-rest-").FullName;
    protected virtual IReadOnlyDictionary<string, string> Settings { get; } = new Dictionary<string, string>();
    public IServiceProvider Services => app.Services;

    /// <summary>With the first administrator's token.</summary>
    public HttpClient Http { get; private set; } = null!;

    public string ApiToken { get; private set; } = "";
    public Uri Address => Http.BaseAddress!;

    public virtual async ValueTask InitializeAsync()
    {
        app.StartServer();
        Http = Anonymous();
        var made = await Http.PostAsJsonAsync("/api/v1/setup", new { token = await BootstrapTokenAsync(), userName = UserName, password = Password });
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        ApiToken = (await BodyAsync(made))["apiToken"]!.GetValue<string>();
        Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ApiToken);
    }

    /// <summary>The token that the portal leaves in its data directory just after it started to listen.</summary>
    public async Task<string> BootstrapTokenAsync()
    {
        var path = Path.Combine(Data, "bootstrap-token");
        for (var i = 0; i < 200 && !(File.Exists(path) && new FileInfo(path).Length > 0); i++)
            await Task.Delay(25);
        return (await File.ReadAllTextAsync(path)).Trim();
    }

    protected void Start()
    {
        app.StartServer();
        Http = Anonymous();
    }

    /// <summary>A client without token and cookies, that does not follow redirects.</summary>
    public HttpClient Anonymous() => Browser().Http;

    /// <summary>A client with a cookie jar of its own.</summary>
    public (HttpClient Http, CookieContainer Jar) Browser()
    {
        var jar = new CookieContainer();
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = jar, UseCookies = true };
        return (new HttpClient(handler) { BaseAddress = app.ClientOptions.BaseAddress, Timeout = TimeSpan.FromSeconds(60) }, jar);
    }

    public Task<HttpResponseMessage> GetAsync(string path) => Http.GetAsync(path, TestContext.Current.CancellationToken);

    public async Task<JsonObject> JsonAsync(string path)
    {
        var answer = await GetAsync(path);
        Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
        return await BodyAsync(answer);
    }

    /// <summary>Sends a body as it is: text as JSON, null without body; headers as `Name: value`.</summary>
    public async Task<HttpResponseMessage> SendAsync(string method, string path, object? body = null, params string[] headers)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        request.Content = body switch
        {
            null => null,
            HttpContent content => content,
            string text => new StringContent(text, Encoding.UTF8, "application/json"),
            byte[] bytes => Bytes(bytes),
            _ => new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json"),
        };
        foreach (var header in headers)
        {
            var (name, value) = (header[..header.IndexOf(':')], header[(header.IndexOf(':') + 1)..].Trim());
            if (!request.Headers.TryAddWithoutValidation(name, value))
                Assert.True(request.Content!.Headers.TryAddWithoutValidation(name, value));
        }

        return await Http.SendAsync(request, TestContext.Current.CancellationToken);
    }

    /// <summary>Defines a small VM and waits for its disks.</summary>
    public async Task<JsonObject> MachineAsync(string name, bool start = false)
    {
        var answer = await SendAsync("POST", "/api/v1/vms", Definition(name, start), "Prefer: wait=30");
        Assert.True(answer.StatusCode == HttpStatusCode.Created, await answer.Content.ReadAsStringAsync());
        var vm = await BodyAsync(answer);
        Assert.Equal("succeeded", vm["job"]!["state"]!.GetValue<string>());
        return vm;
    }

    public static JsonObject Definition(string name, bool start = false)
    {
        var definition = new JsonObject { ["name"] = name, ["memory"] = new JsonObject { ["sizeMiB"] = 64 }, ["disks"] = new JsonArray(new JsonObject { ["name"] = "disk0", ["sizeGiB"] = 1 }) };
        if (start)
            definition["start"] = true;
        return definition;
    }

    public static async Task<JsonObject> BodyAsync(HttpResponseMessage answer) => JsonNode.Parse(await answer.Content.ReadAsByteArrayAsync())!.AsObject();

    private static ByteArrayContent Bytes(byte[] bytes)
    {
        var content = new ByteArrayContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        return content;
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        Http?.Dispose();
        await app.DisposeAsync();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(Data, recursive: true);
    }

    private sealed class App(string data, IReadOnlyDictionary<string, string> settings) : WebApplicationFactory<Program>
    {
        protected override void ConfigureWebHost(IWebHostBuilder builder)
        {
            builder.UseEnvironment("Production").UseSetting("data", data).UseSetting("simulated", "0");
            foreach (var (key, value) in settings)
                builder.UseSetting(key, value);
        }
    }
}

/// <summary>The same before anybody has set it up.</summary>
public sealed class FreshPortal : RunningPortal
{
    public override ValueTask InitializeAsync()
    {
        Start();
        return ValueTask.CompletedTask;
    }
}
