using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.Playwright;

namespace KvmPortal.Browser.Tests;

/// <summary>The portal as users run it, in its own process, and one Chromium; ended and removed with the tests.</summary>
public sealed class BrowserPortal : IAsyncLifetime
{
    public const string User = "ada";
    public const string Password = "Correct-Horse-9";
    private Process? process;
    private IPlaywright? playwright;
    private string data = "";

    public static string Root { get; } = FindRoot();
    public Uri Address { get; private set; } = new("http://127.0.0.1");
    public IBrowser Browser { get; private set; } = null!;
    public HttpClient Http { get; } = new();
    private string arguments = "--simulated 30";

    /// <summary>On the real host instead of the simulated one.</summary>
    public static async Task<BrowserPortal> RealAsync()
    {
        var portal = new BrowserPortal { arguments = "" };
        await portal.InitializeAsync();
        return portal;
    }

    public async ValueTask InitializeAsync()
    {
        data = Directory.CreateTempSubdirectory("kvmportal-browser-").FullName;
        var info = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.Combine(Root, "src", "KvmPortal.Web") };
        foreach (var argument in (string[])[Path.Combine(AppContext.BaseDirectory, "KvmPortal.Web.dll"), "--data", data, "--urls", "http://127.0.0.1:0", .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)])
            info.ArgumentList.Add(argument);
        process = Process.Start(info)!;
        var errors = process.StandardError.ReadToEndAsync();
        while (await process.StandardOutput.ReadLineAsync() is { } line)
            if (line.StartsWith("Listening on ", StringComparison.Ordinal))
            {
                Address = new Uri(line["Listening on ".Length..]);
                break;
            }

        Assert.True(Address.Port > 0 && !process.HasExited, process.HasExited ? await errors : "no address");
        _ = process.StandardOutput.ReadToEndAsync();
        Http.BaseAddress = Address;
        playwright = await Playwright.CreateAsync();
        Browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = "/usr/bin/chromium",
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    public string BootstrapToken => File.ReadAllText(Path.Combine(data, "bootstrap-token")).Trim();

    /// <summary>Makes the first account by REST and keeps its token.</summary>
    public async Task SetUpAsync()
    {
        if (Http.DefaultRequestHeaders.Authorization is not null || !File.Exists(Path.Combine(data, "bootstrap-token")))
            return;
        var answer = await Http.PostAsJsonAsync("/api/v1/setup", new { token = BootstrapToken, userName = User, password = Password });
        answer.EnsureSuccessStatusCode();
        var token = (string)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["apiToken"]!;
        Http.DefaultRequestHeaders.Authorization = new("Bearer", token);
    }

    /// <summary>A signed-in page; what its console says in red is collected in <paramref name="errors"/>.</summary>
    public async Task<IPage> SignedInAsync(List<string> errors, string locale = "en", ColorScheme colours = ColorScheme.Light, int width = 1440, int height = 900)
    {
        await SetUpAsync();
        var context = await Browser.NewContextAsync(new BrowserNewContextOptions { Locale = locale, ColorScheme = colours, ViewportSize = new ViewportSize { Width = width, Height = height } });
        context.SetDefaultTimeout(20_000);
        var page = await context.NewPageAsync();
        page.PageError += (_, error) => errors.Add(error);
        page.Console += (_, message) =>
        {
            if (message.Type == "error")
                errors.Add(message.Text);
        };
        await page.GotoAsync(new Uri(Address, "/sign-in").ToString());
        await page.FillAsync("#userName", User);
        await page.FillAsync("#password", Password);
        await page.ClickAsync("button[type=submit]");
        await page.WaitForSelectorAsync("nav a[href='machines']", new() { State = WaitForSelectorState.Attached });
        return page;
    }

    public async ValueTask DisposeAsync()
    {
        await Browser.DisposeAsync();
        playwright?.Dispose();
        Http.Dispose();
        if (process is { HasExited: false })
        {
            using var kill = Process.Start("kill", ["-TERM", process.Id.ToString()]);
            await process.WaitForExitAsync();
        }

        process?.Dispose();
        Directory.Delete(data, recursive: true);
    }

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "KvmPortal.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("not in a checkout");
        return folder;
    }
}
