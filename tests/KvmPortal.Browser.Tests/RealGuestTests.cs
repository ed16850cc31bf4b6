using System.Net.Http.Headers;
using Microsoft.Playwright;

namespace KvmPortal.Browser.Tests;

/// <summary>By mouse and keyboard, on real QEMU: create, see the guest's screen, type into it, stop, delete.</summary>
public sealed class RealGuestTests
{
    [Fact]
    public async Task A_machine_is_made_watched_and_deleted_in_the_browser()
    {
        await using var portal = await BrowserPortal.RealAsync();
        var errors = new List<string>();
        var page = await portal.SignedInAsync(errors);
        await UploadAsync(portal, "kernel", "vmlinuz");
        await UploadAsync(portal, "initrd", "initrd.img");

        await page.GotoAsync(new Uri(portal.Address, "/machines/new").ToString());
        await page.FillAsync("#f-name", "first");
        await page.GetByText("Kernel", new() { Exact = true }).First.ClickAsync();
        await page.SelectOptionAsync("#f-boot-direct-kernel", "kernel");
        await page.SelectOptionAsync("#f-boot-direct-initrd", "initrd");
        await page.FillAsync("#f-boot-direct-commandLine", "console=ttyS0 quiet");
        await page.FillAsync("#f-memory-sizeMiB >> nth=0", "256");
        await page.Locator("aside .btn.primary:enabled").ClickAsync();
        await page.WaitForSelectorAsync(".mud-dialog .plan ol li");
        await page.Locator(".mud-dialog .btn.primary").ClickAsync();
        await page.WaitForSelectorAsync(".page-title .chip.green");

        await page.GetByRole(AriaRole.Link, new() { Name = "Console", Exact = true }).ClickAsync();
        await page.WaitForSelectorAsync("main canvas");
        await page.WaitForFunctionAsync("() => { const c = document.querySelector('main canvas'); if (!c || !c.width) return false; const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const s = new Set(); for (let i = 0; i < d.length; i += 4) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size >= 2; }", null, new() { Timeout = 60_000 });

        await page.GetByRole(AriaRole.Button, new() { Name = "Serial" }).ClickAsync();
        await page.WaitForFunctionAsync("() => document.querySelector('main .xterm')?.innerText.includes('guest#')", null, new() { Timeout = 90_000 });
        await page.ClickAsync("main .xterm");
        await page.Keyboard.TypeAsync("echo K4''2\n");
        await page.WaitForFunctionAsync("() => document.querySelector('main .xterm')?.innerText.includes('K42')", null, new() { Timeout = 30_000 });

        await page.GetByRole(AriaRole.Button, new() { Name = "More actions" }).ClickAsync();
        await page.GetByRole(AriaRole.Menuitem, new() { Name = "Delete" }).ClickAsync();
        await page.FillAsync("#plan-name", "first");
        await page.Locator(".mud-dialog .btn.danger").ClickAsync();
        var status = System.Net.HttpStatusCode.OK;
        for (var i = 0; i < 100 && status != System.Net.HttpStatusCode.NotFound; i++, await Task.Delay(100))
            status = (await portal.Http.GetAsync("/api/v1/vms/first")).StatusCode;
        Assert.Equal(System.Net.HttpStatusCode.NotFound, status);
        Assert.Empty(errors);
    }

    private static async Task UploadAsync(BrowserPortal portal, string name, string file)
    {
        await using var stream = File.OpenRead(Path.Combine(BrowserPortal.Root, ".cache", "guest", file));
        using var content = new StreamContent(stream);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        (await portal.Http.PostAsync($"/api/v1/images?name={name}", content)).EnsureSuccessStatusCode();
    }
}
