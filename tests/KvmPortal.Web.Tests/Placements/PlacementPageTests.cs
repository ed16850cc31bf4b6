using AngleSharp.Dom;
using Bunit;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Placements;
using KvmPortal.Web.Tests.Pages;
using KvmPortal.Web.Vms;

namespace KvmPortal.Web.Tests.Placements;

/// <summary>The planner's dialogue in the forms, and a machine's placement tab.</summary>
public sealed class PlacementPageTests
{
    [Fact]
    public async Task The_wizard_shows_the_plan_the_refusal_and_takes_up_what_is_offered()
    {
        await using var portal = await PagePortal.StartAsync();
        var model = portal.Get<CreateModel>();
        var page = portal.Browser.Render<CreatePage>(p => p.AddCascadingValue(PagePortal.Ada));
        await PagePortal.UntilAsync(() => Text(page).Contains("It floats over the shared pool of 64 CPUs", StringComparison.Ordinal), "an ordinary machine floats");

        await page.InvokeAsync(() => page.FindAll("input[name=profile]")[1].Change(true));
        await PagePortal.UntilAsync(() => Text(page).Contains("Whole cores that nobody else gets.", StringComparison.Ordinal), "a machine of its own cores is planned");
        Assert.Contains("Not CPU", Text(page), StringComparison.Ordinal);
        Assert.Equal("low-latency", model.Editor.Value.Profile);

        var asked = model.Editor.Value with { Cpu = new CpuDefinition { Count = 20 }, Memory = new MemoryDefinition { SizeMiB = 4096 } };
        await page.InvokeAsync(() => model.Editor.Change(_ => asked));
        await PagePortal.UntilAsync(() => page.FindAll(".refusal").Count == 1, "twenty vCPUs find no node");
        Assert.Contains("CORES_FRAGMENTED_ACROSS_NODES", Text(page), StringComparison.Ordinal);
        Assert.NotEmpty(page.FindAll(".refusal details dd"));
        await page.InvokeAsync(() => Button(page, "Use the profile hpc.").Click());
        await PagePortal.UntilAsync(() => Text(page).Contains("It fits", StringComparison.Ordinal) && page.FindAll(".refusal").Count == 0, "what was offered fits");
        Assert.Equal(("hpc", 20), (model.Editor.Value.Profile, model.Editor.Value.Cpu.Count));

        await page.InvokeAsync(() => Button(page, "Back to what I asked for").Click());
        await PagePortal.UntilAsync(() => page.FindAll(".refusal").Count == 1, "the first wish is back");
        Assert.Same(asked, model.Editor.Value);
    }

    [Fact]
    public async Task A_knob_against_the_profile_says_what_it_costs_and_an_alternative_is_one_click()
    {
        await using var portal = await PagePortal.StartAsync();
        var editor = new DefinitionEditor(new VmDefinition { Name = "a", Profile = "low-latency", Cpu = new CpuDefinition { Count = 4 } });
        var form = portal.Browser.Render<FieldsPlacement>(p => p.Add(f => f.Editor, editor).AddCascadingValue(PagePortal.Ada));
        editor.Edited += () => form.InvokeAsync(() => form.Render());
        await PagePortal.UntilAsync(() => form.FindAll(".preview li button").Count > 0, "alternatives are offered");
        await form.InvokeAsync(() => form.Find("#f-placement-knobs-threads").Change("pair"));
        Assert.Equal(SmtUse.Pair, editor.Value.Placement.Knobs.Threads);
        await PagePortal.UntilAsync(() => form.FindAll(".hint").Any(h => h.TextContent.StartsWith("vCPUs share cores", StringComparison.Ordinal)), "the cost stands at the knob");
        await PagePortal.UntilAsync(() => form.FindAll(".preview button").Any(b => b.TextContent.StartsWith("One vCPU for each core", StringComparison.Ordinal)), "the other way is offered");
        await form.InvokeAsync(() => form.FindAll(".preview button").First(b => b.TextContent.StartsWith("One vCPU for each core", StringComparison.Ordinal)).Click());
        Assert.Equal(SmtUse.Isolate, editor.Value.Placement.Knobs.Threads);
        await form.InvokeAsync(() => editor.Change(d => d with { Cpu = new CpuDefinition { Count = 0 } }));
        await PagePortal.UntilAsync(() => form.Find(".preview header").TextContent.Contains("Put the CPUs", StringComparison.Ordinal), "nothing is planned from wrong figures");
    }

    [Fact]
    public async Task A_machine_tells_why_it_is_where_it_is_and_what_has_drifted()
    {
        await using var portal = await PagePortal.StartAsync();
        var vms = portal.Get<VmOperations>();
        var made = await vms.CreateAsync(PagePortal.Ada, new VmDefinition { Name = "a-drift", Profile = "hpc", Cpu = new CpuDefinition { Count = 2 }, Memory = new MemoryDefinition { SizeMiB = 1024 } }, start: false, default);
        var stopped = portal.Browser.Render<VmPlacement>(p => p.Add(v => v.Vm, made.Vm).AddCascadingValue(PagePortal.Ada));
        await PagePortal.UntilAsync(() => stopped.Markup.Contains("What a start would decide now", StringComparison.Ordinal) && stopped.Markup.Contains("Whole cores", StringComparison.Ordinal), "a stopped machine shows what would be");

        await portal.EndedAsync((await vms.ActAsync(PagePortal.Ada, made.Vm.Id, VmAction.Start, new VmActionOptions(), default)).Id);
        var now = await vms.GetAsync(PagePortal.Ada, made.Vm.Id, default);
        var running = portal.Browser.Render<VmPlacement>(p => p.Add(v => v.Vm, now).AddCascadingValue(PagePortal.Ada));
        await PagePortal.UntilAsync(() => running.FindAll("#in-force tbody tr").Count > 2, "what is in force is read");
        Assert.NotEmpty(running.FindAll("#decided dt"));
        Assert.Contains("vCPU 0 (thread", running.Find(".banner.amber").TextContent, StringComparison.Ordinal);
        Assert.Contains("put back within seconds", running.Find(".banner.amber").TextContent, StringComparison.Ordinal);
        Assert.Single(running.FindAll("#in-force .chip.amber"));
        await PagePortal.UntilAsync(() => running.FindAll("#topology .cpu.vcpu").Count == 2, "the picture shows its vCPUs");
        await running.InvokeAsync(() => running.Find("#in-force button").Click());
        Assert.NotEmpty(running.FindAll("#in-force .chip.green"));
    }

    [Fact]
    public async Task An_ordinary_machine_is_told_how_to_get_a_place()
    {
        await using var portal = await PagePortal.StartAsync();
        var vm = await portal.MachineAsync("plain");
        var tab = portal.Browser.Render<VmPlacement>(p => p.Add(v => v.Vm, vm).AddCascadingValue(PagePortal.Ada));
        await PagePortal.UntilAsync(() => tab.FindAll(".empty a").Count == 1, "the way is shown");
        Assert.Equal("machines/plain/hardware#placement", tab.Find(".empty a").GetAttribute("href"));
    }

    private static string Text(IRenderedComponent<CreatePage> page) => page.Find(".preview").TextContent;

    private static IElement Button(IRenderedComponent<CreatePage> page, string words) => page.FindAll(".preview button").First(b => b.TextContent.StartsWith(words, StringComparison.Ordinal));
}
