using Microsoft.Playwright;

namespace KvmPortal.Browser.Tests;

/// <summary>The planner's dialogue and the picture of the host, by keyboard, in Chromium on the simulated host.</summary>
public sealed class PlacementTests(BrowserPortal portal) : IClassFixture<BrowserPortal>
{
    [Theory]
    [InlineData(1440, 900)]
    [InlineData(390, 844)]
    public async Task A_refusal_is_mended_by_keyboard_without_a_jump_of_the_page(int width, int height)
    {
        List<string> errors = [];
        var page = await portal.SignedInAsync(errors, "en", ColorScheme.Light, width, height);
        await page.GotoAsync(new Uri(portal.Address, "/machines/new").ToString());
        await page.WaitForSelectorAsync(".preview p");
        await page.FillAsync("#f-name", "wide-1");
        await page.CheckAsync("input[name=profile] >> nth=1");
        await page.WaitForSelectorAsync(".preview .reasons");
        var below = await BelowAsync(page);
        await page.FillAsync("#f-cpu-count", "40");
        await page.FillAsync("#f-memory-sizeMiB", "4096");
        await page.PressAsync("#f-memory-sizeMiB", "Tab");
        await page.WaitForSelectorAsync(".refusal button");
        // The box keeps its size, whatever the planner says.
        Assert.Equal(below, await BelowAsync(page), 1.0);
        var remedy = page.Locator(".refusal button").First;
        await remedy.FocusAsync();
        await page.Keyboard.PressAsync("Enter");
        await page.WaitForSelectorAsync(".preview .reasons");
        Assert.NotEqual("40", await page.InputValueAsync("#f-cpu-count"));
        Assert.Equal(below, await BelowAsync(page), 1.0);
        await page.Context.CloseAsync();
        Assert.Empty(errors);
    }

    [Fact]
    public async Task The_arrow_keys_walk_the_picture_and_the_chosen_thread_is_told()
    {
        List<string> errors = [];
        var page = await portal.SignedInAsync(errors);
        await page.GotoAsync(new Uri(portal.Address, "/hosts/hardware").ToString());
        await page.WaitForSelectorAsync("#topology .cpu.vcpu");
        await page.FocusAsync("#topology .cpu[tabindex='0']");
        await page.Keyboard.PressAsync("End");
        Assert.Equal("63", await page.EvaluateAsync<string>("document.activeElement.querySelector('b').textContent"));
        await page.Keyboard.PressAsync("Home");
        await page.Keyboard.PressAsync("ArrowDown");
        await page.Keyboard.PressAsync("ArrowRight");
        // What the eye sees below: the row under the first one, and not the next in order.
        // Asked from outside: the page's policy lets nothing be evaluated in it later.
        const string told = "document.activeElement.matches('.cpu[tabindex=\"0\"]') && document.querySelector('.cpu-detail').textContent.includes('CPU ' + document.activeElement.querySelector('b').textContent + ',')";
        for (var i = 0; i < 100 && !await page.EvaluateAsync<bool>(told); i++)
            await page.WaitForTimeoutAsync(100);
        Assert.True(await page.EvaluateAsync<bool>(told));
        Assert.DoesNotContain(await page.EvaluateAsync<string>("document.activeElement.querySelector('b').textContent"), (string[])["0", "32", "1"]);
        await page.Context.CloseAsync();
        Assert.Empty(errors);
    }

    /// <summary>How far below the head of the placement section the next one begins.</summary>
    private static Task<double> BelowAsync(IPage page) =>
        page.EvaluateAsync<double>("document.querySelector('#placement').nextElementSibling.getBoundingClientRect().top - document.querySelector('#placement').getBoundingClientRect().top");
}
