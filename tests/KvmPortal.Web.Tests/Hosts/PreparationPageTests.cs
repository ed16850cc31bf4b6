using System.Globalization;
using Bunit;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Hosts;
using KvmPortal.Web.Tests.Pages;
using Microsoft.AspNetCore.Components;
using MudBlazor;

namespace KvmPortal.Web.Tests.Hosts;

public sealed class PreparationPageTests
{
    [Theory]
    [InlineData("en", "in force", "Keep 64 huge pages of 2 MiB on node 0.", "Undo", "Nothing is set", "I will do that")]
    [InlineData("zh-CN", "生效", "在节点 0 上保留 64 个 2 MiB 大页。", "撤销", "尚无设置", "我会照做")]
    public async Task Pages_are_planned_set_listed_and_undone(string language, string state, string summary, string undo, string none, string willDo)
    {
        var before = CultureInfo.CurrentUICulture;
        CultureInfo.CurrentUICulture = new CultureInfo(language);
        try
        {
            await using var portal = await PagePortal.StartAsync();
            portal.Browser.Render<MudPopoverProvider>();
            var dialogs = portal.Browser.Render<MudDialogProvider>();
            var inventory = await portal.Get<IMachineHost>().ReadInventoryAsync(default);
            var page = portal.Browser.Render<CascadingValue<Caller>>(p => p.Add(v => v.Value, PagePortal.Ada).AddChildContent<HostPreparations>(h => h.Add(x => x.Host, inventory)));
            page.WaitForAssertion(() => Assert.Contains(none, page.Markup, StringComparison.Ordinal));
            Assert.Contains(willDo, page.Find("#boot-parameters").TextContent, StringComparison.Ordinal);

            page.Find("#pages-count").Change("64");
            page.Find("#huge-pages-form button").Click();
            dialogs.WaitForAssertion(() => Assert.Contains("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages: 0 → 64", dialogs.Markup, StringComparison.Ordinal));
            dialogs.Find("button.btn.primary").Click();
            page.WaitForAssertion(() => Assert.Contains(summary, page.Find("#preparations").TextContent, StringComparison.Ordinal), TimeSpan.FromSeconds(10));
            Assert.Contains(state, page.Find("#preparations .chip").TextContent, StringComparison.Ordinal);

            var button = page.Find("#preparations button");
            Assert.Equal(undo, button.TextContent.Trim());
            button.Click();
            dialogs.WaitForAssertion(() => Assert.Contains("nr_hugepages: 64 → 0", dialogs.Markup, StringComparison.Ordinal));
            dialogs.Find("button.btn.primary").Click();
            page.WaitForAssertion(() => Assert.Contains(none, page.Markup, StringComparison.Ordinal), TimeSpan.FromSeconds(10));
            Assert.Contains(summary, page.Find("#preparations details").TextContent, StringComparison.Ordinal);
        }
        finally
        {
            CultureInfo.CurrentUICulture = before;
        }
    }

    [Fact]
    public async Task What_was_changed_since_and_what_went_wrong_stand_beside_it()
    {
        await using var portal = await PagePortal.StartAsync();
        var preparations = portal.Get<PreparationOperations>();
        await portal.EndedAsync((await preparations.PrepareAsync(PagePortal.Ada, [new SysctlSetting("vm.swappiness", "1")], true, default)).Id);
        ((KvmPortal.Host.Simulated.SimulatedMachineHost)portal.Get<IMachineHost>())["/proc/sys/vm/swappiness"] = "5";
        var page = portal.Browser.Render<CascadingValue<Caller>>(p => p.Add(v => v.Value, PagePortal.Ada).AddChildContent<HostPreparations>());
        page.WaitForAssertion(() => Assert.Contains("/proc/sys/vm/swappiness says 5, not 1.", page.Markup, StringComparison.Ordinal));
        Assert.Contains("changed since", page.Find("#preparations .chip.red").TextContent, StringComparison.Ordinal);

        var model = portal.Get<HostPreparationsModel>();
        await model.PrepareAsync(PagePortal.Ada, new HugePagesSetting(0, 1 << 20, 60), false);
        await model.FollowAsync(PagePortal.Ada, () => { }, default);
        Assert.Equal((JobState.Failed, "pages-short"), (model.Job!.State, model.Job.Error!.Detail!.Code));
        Assert.Single(model.InForce!);
    }

    [Fact]
    public async Task Boot_parameters_are_chosen_and_their_line_is_shown_before_anybody_promises_them()
    {
        await using var portal = await PagePortal.StartAsync();
        var page = portal.Browser.Render<CascadingValue<Caller>>(p => p.Add(v => v.Value, PagePortal.Ada).AddChildContent<HostPreparations>());
        page.WaitForAssertion(() => Assert.NotEmpty(page.FindAll("#boot-parameters fieldset input")));
        Assert.DoesNotContain("GRUB_CMDLINE_LINUX", page.Markup, StringComparison.Ordinal);
        Assert.True(page.Find("#boot-parameters button").HasAttribute("disabled"));
        var first = page.Find("#boot-parameters fieldset code").TextContent;
        page.Find("#boot-parameters fieldset input").Change(true);
        page.Find("#boot-others").Input("quiet a=$(reboot)");
        Assert.Contains($"GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {first} quiet\"", page.Find("#boot-parameters pre").TextContent, StringComparison.Ordinal);
        page.Find("#boot-parameters button").Click();
        page.WaitForAssertion(() => Assert.Contains("waits for a boot", page.Find("#boot-parameters .chip").TextContent, StringComparison.Ordinal));
        page.Find("#boot-parameters button").Click();
        page.WaitForAssertion(() => Assert.NotEmpty(page.FindAll("#boot-parameters fieldset input")));
    }

    [Fact]
    public void Every_state_has_a_look_and_words()
    {
        foreach (var state in Enum.GetValues<PreparationState>())
        {
            Assert.NotEmpty(HostPreparationsModel.Look(state).Glyph);
            foreach (var culture in new[] { CultureInfo.InvariantCulture, new CultureInfo("zh-CN") })
                Assert.NotNull(new System.Resources.ResourceManager(typeof(KvmPortal.Web.Resources.Text)).GetResourceSet(culture, true, false)!.GetString("prepare.state." + PortalJson.Text(state)));
        }
    }
}
