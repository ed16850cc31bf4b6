using System.Text.Json;
using Microsoft.Playwright;

namespace KvmPortal.Browser.Tests;

/// <summary>Every page in Chromium on the simulated host: both languages, both themes, both widths, no error in the console, no accessibility violation.</summary>
public sealed class PagesTests(BrowserPortal portal) : IClassFixture<BrowserPortal>
{
    private static readonly string[] Paths = ["/", "/machines", "/machines/new", "/images", "/hosts", "/hosts/readiness", "/hosts/preparation", "/hosts/hardware", "/hosts/ledger", "/hosts/history", "/profiles", "/jobs", "/account"];
    private static readonly string[] Tabs = ["", "/console", "/hardware", "/placement", "/jobs", "/events", "/definition"];

    [Fact]
    public async Task First_run_leads_from_the_token_to_the_dashboard()
    {
        await using var fresh = new BrowserPortal();
        await fresh.InitializeAsync();
        var page = await (await fresh.Browser.NewContextAsync()).NewPageAsync();
        await page.GotoAsync(new Uri(fresh.Address, "/setup").ToString());
        await page.FillAsync("#token", "wrong");
        await page.FillAsync("#userName", BrowserPortal.User);
        await page.FillAsync("#password", BrowserPortal.Password);
        await page.ClickAsync("button[type=submit]");
        await page.WaitForURLAsync("**/setup?error=token*");
        await page.FillAsync("#token", fresh.BootstrapToken);
        await page.FillAsync("#userName", BrowserPortal.User);
        await page.FillAsync("#password", BrowserPortal.Password);
        await page.ClickAsync("button[type=submit]");
        await page.WaitForSelectorAsync("nav a[href='machines']");
    }

    [Fact]
    public async Task A_wrong_password_says_so_in_place_and_a_deep_link_survives_sign_in()
    {
        await portal.SetUpAsync();
        var page = await (await portal.Browser.NewContextAsync()).NewPageAsync();
        await page.GotoAsync(new Uri(portal.Address, "/jobs").ToString());
        await page.WaitForURLAsync("**/sign-in?returnUrl=*");
        await page.FillAsync("#userName", BrowserPortal.User);
        await page.FillAsync("#password", "not-the-password");
        await page.ClickAsync("button[type=submit]");
        await page.WaitForURLAsync("**/sign-in?error=wrong*");
        await page.WaitForSelectorAsync("[role=alert]");
        await page.FillAsync("#password", BrowserPortal.Password);
        await page.ClickAsync("button[type=submit]");
        for (var i = 0; i < 300 && new Uri(page.Url).AbsolutePath != "/jobs"; i++)
            await page.WaitForTimeoutAsync(200);
        Assert.Equal("/jobs", new Uri(page.Url).AbsolutePath);
    }

    public static TheoryData<string, ColorScheme, int, int> Looks => new()
    {
        { "en", ColorScheme.Light, 1440, 900 },
        { "zh-CN", ColorScheme.Dark, 1440, 900 },
        { "en", ColorScheme.Dark, 390, 844 },
        { "zh-CN", ColorScheme.Light, 390, 844 },
    };

    [Theory]
    [MemberData(nameof(Looks))]
    public async Task Every_page_is_clean(string locale, ColorScheme colours, int width, int height)
    {
        var errors = new List<string>();
        var page = await portal.SignedInAsync(errors, locale, colours, width, height);
        var axe = await File.ReadAllTextAsync(Path.Combine(BrowserPortal.Root, ".cache", "axe.min.js"));
        var machine = "/machines/" + await FirstRunningAsync();
        var wrong = new List<string>();
        foreach (var path in Paths.Concat(Tabs.Select(tab => machine + tab)).Append("/machines/edge-00007/placement").Append("/machines/edge-00007/hardware"))
        {
            await page.GotoAsync(new Uri(portal.Address, path).ToString());
            await page.WaitForSelectorAsync("main h1");
            await page.WaitForTimeoutAsync(600);
            Assert.True(await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= window.innerWidth + 1"), $"{path} scrolls sideways at {width}");
            await page.EvaluateAsync(axe);
            var found = await page.EvaluateAsync<JsonElement>("axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }).then(r => r.violations.map(v => v.id + ': ' + v.nodes[0].html.slice(0, 200)))");
            wrong.AddRange(found.EnumerateArray().Select(v => $"{path} {v.GetString()}"));
        }

        await page.Context.CloseAsync();
        Assert.Empty(wrong.Concat(errors));
    }

    [Fact]
    public async Task The_list_filters_by_the_search_grammar_and_keeps_it_in_the_address()
    {
        var page = await portal.SignedInAsync([]);
        await page.GotoAsync(new Uri(portal.Address, "/machines?q=" + Uri.EscapeDataString("tag = qa")).ToString());
        await page.WaitForSelectorAsync("table tbody tr:not([aria-hidden])");
        Assert.True(await page.Locator("table tbody tr:not([aria-hidden])").CountAsync() > 0);
        await page.Context.CloseAsync();
    }

    private async Task<string> FirstRunningAsync()
    {
        for (var i = 0; i < 50; i++)
        {
            using var page = JsonDocument.Parse(await portal.Http.GetStringAsync("/api/v1/vms?limit=1&filter=state%20%3D%20running"));
            if (page.RootElement.GetProperty("items").EnumerateArray().Select(v => v.GetProperty("name").GetString()).FirstOrDefault() is { } name)
                return name;
            await Task.Delay(200);
        }

        throw new InvalidOperationException("no simulated machine runs");
    }
}
