using Bunit;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Tests.Pages;
using KvmPortal.Web.Vms;

namespace KvmPortal.Web.Tests.Vms;

/// <summary>The wizard: what a reload keeps, what a refusal offers, and that no field has another's id.</summary>
public sealed class CreatePageTests
{
    [Fact]
    public async Task No_two_fields_have_one_id_whatever_is_booted()
    {
        await using var portal = await PagePortal.StartAsync();
        await portal.IsoAsync("installer");
        var model = portal.Get<CreateModel>();
        var page = portal.Browser.Render<CreatePage>(p => p.AddCascadingValue(PagePortal.Ada));
        foreach (var source in Enum.GetValues<BootSource>())
        {
            await page.InvokeAsync(() => model.Boot(source));
            page.Render();
            var ids = page.FindAll("[id]").Select(e => e.Id).ToList();
            Assert.Equal(ids.Distinct().Count(), ids.Count);
            Assert.Contains("f-cpu-count", ids);
            Assert.Contains("f-cpu-model", ids);
        }
    }

    [Fact]
    public async Task A_draft_that_the_tab_kept_is_taken_up_again()
    {
        await using var portal = await PagePortal.StartAsync();
        var written = new CreateModel(portal.Get<VmOperations>(), portal.Get<Engine.Images.ImageOperations>(), portal.Get<Engine.Placements.ProfileOperations>());
        written.Boot(BootSource.Blank);
        written.Editor.Change(d => d with { Name = "kept-1", Memory = d.Memory with { SizeMiB = 3072 } });
        portal.Browser.JSInterop.Setup<string?>("kvmportal.kept", "create-draft").SetResult(written.Draft());
        var keeps = portal.Browser.JSInterop.SetupVoid("kvmportal.keep", _ => true).SetVoidResult();
        var page = portal.Browser.Render<CreatePage>(p => p.AddCascadingValue(PagePortal.Ada));
        await PagePortal.UntilAsync(() => page.Find("#f-name").GetAttribute("value") == "kept-1", "the draft's name stands in the form");
        Assert.Equal("3072", page.Find("#f-memory-sizeMiB").GetAttribute("value"));
        Assert.Equal(BootSource.Blank, portal.Get<CreateModel>().Source);
        await PagePortal.UntilAsync(() => keeps.Invocations.Count > 0, "the draft is kept");
        Assert.Contains("kept-1", (string)keeps.Invocations.Last().Arguments[1]!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{\"source\":\"floppy\"}")]
    [InlineData("{\"source\":\"blank\",\"definition\":null}")]
    [InlineData("{\"source\":\"blank\",\"definition\":{\"nam\":1}}")]
    public async Task A_draft_that_cannot_be_read_changes_nothing(string draft)
    {
        await using var portal = await PagePortal.StartAsync();
        var model = portal.Get<CreateModel>();
        var before = model.Editor.Value;
        Assert.False(model.Restore(draft));
        Assert.Same(before, model.Editor.Value);
    }

    [Fact]
    public async Task A_refusal_that_knows_what_would_fit_offers_it()
    {
        await using var portal = await PagePortal.StartAsync();
        var model = portal.Get<CreateModel>();
        var page = portal.Browser.Render<CreatePage>(p => p.AddCascadingValue(PagePortal.Ada));
        await page.InvokeAsync(() =>
        {
            model.Boot(BootSource.Blank);
            model.Editor.Change(d => d with { Name = "fits", Cpu = d.Cpu with { Count = 999 }, Memory = d.Memory with { SizeMiB = 4 }, Disks = [d.Disks[0] with { Bus = DiskBusChoice.Sata }] });
        });
        await PagePortal.UntilAsync(() => model.Editor.Fits.Count == 3, "the refusal names what would fit");
        await PagePortal.UntilAsync(() => page.FindAll("button").Any(b => b.TextContent.Contains("Use what would fit", StringComparison.Ordinal)), "the button is there");
        await page.InvokeAsync(() => page.FindAll("button").First(b => b.TextContent.Contains("Use what would fit", StringComparison.Ordinal)).Click());
        Assert.Equal((288, 16, DiskBusChoice.VirtioBlk), (model.Editor.Value.Cpu.Count, model.Editor.Value.Memory.SizeMiB, model.Editor.Value.Disks[0].Bus));
        await PagePortal.UntilAsync(() => model.Plan is not null, "now it is planned");
        Assert.Null(model.Editor.Problem);
    }

    [Fact]
    public void A_fit_whose_place_is_gone_is_left_alone()
    {
        var editor = new DefinitionEditor(new VmDefinition { Name = "a" });
        editor.Problem = new ProblemInfo { Code = "invalid", Title = "x", Errors = [new Problem("/disks/3/bus", "wrong-bus", "x").WithFit("sata"), new Problem("/memory/sizeMiB", "out-of-range", "x").WithFit(512)] };
        editor.UseFits();
        Assert.Equal((512, 0), (editor.Value.Memory.SizeMiB, editor.Value.Disks.Count));
    }
}
