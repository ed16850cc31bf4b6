using Bunit;
using KvmPortal.Engine;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Tests.Pages;

public sealed class SharedComponentTests
{
    [Fact]
    public async Task Every_state_has_a_word_an_icon_and_for_what_matters_a_colour()
    {
        await using var portal = await PagePortal.StartAsync();
        foreach (var state in Enum.GetValues<VmState>())
        {
            var chip = portal.Browser.Render<StateChip>(p => p.Add(c => c.State, state));
            Assert.NotNull(chip.Find("svg[aria-hidden=true]"));
            Assert.DoesNotContain("vm.state.", chip.Markup, StringComparison.Ordinal);
            Assert.Equal(state is VmState.Crashed, chip.Find(".chip").ClassList.Contains("red"));
        }
    }

    [Fact]
    public async Task A_plan_shows_steps_in_order_effects_and_folds_the_command_line()
    {
        await using var portal = await PagePortal.StartAsync();
        var plan = new Plan
        {
            Steps = [new PlanStep { Kind = "create-disk", Summary = "Make disk0.", State = StepState.Done }, new PlanStep { Kind = "launch-machine", Summary = "Start QEMU.", Reason = "It is asked for.", State = StepState.Failed }],
            Effects = [new FieldEffect("/memory/sizeMiB", Effect.NextBoot, "The balloon cannot grow it.", "1024", "2048")],
            Warnings = ["It runs emulated."],
            Argv = ["qemu-system-x86_64", "-S"],
        };
        var view = portal.Browser.Render<PlanView>(p => p.Add(v => v.Plan, plan));
        Assert.Equal(["done", "failed"], view.FindAll("ol > li").Select(l => l.ClassName));
        Assert.Contains("/memory/sizeMiB", view.Markup, StringComparison.Ordinal);
        Assert.Contains("It runs emulated.", view.Find(".banner.amber").TextContent, StringComparison.Ordinal);
        Assert.Equal("qemu-system-x86_64\n-S", view.Find("details:not([open]) pre").TextContent);
    }

    [Fact]
    public async Task A_problem_keeps_qemus_words_and_leaves_out_what_a_field_shows()
    {
        await using var portal = await PagePortal.StartAsync();
        var problem = new ProblemInfo
        {
            Code = "host-failed",
            Title = "The host could not do it",
            Detail = "QEMU did not start.",
            Hint = "Free some memory.",
            ExitCode = 1,
            StderrTail = ["cannot set up guest memory"],
            Errors = [new Problem("/name", "required", "Give a name."), new Problem("/cpu/count", "out-of-range", "Give 1 to 64.")],
        };
        var view = portal.Browser.Render<ProblemView>(p => p.Add(v => v.Problem, problem).Add(v => v.InFields, ["/name"]));
        Assert.Equal("alert", view.Find(".banner").GetAttribute("role"));
        Assert.Contains("QEMU did not start.", view.Markup, StringComparison.Ordinal);
        Assert.Contains("cannot set up guest memory", view.Find("details pre").TextContent, StringComparison.Ordinal);
        Assert.Contains("/cpu/count", view.Markup, StringComparison.Ordinal);
        Assert.DoesNotContain("Give a name.", view.Markup, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failure_that_nobody_expected_shows_nothing_of_its_inside()
    {
        await using var portal = await PagePortal.StartAsync();
        var view = portal.Browser.Render<ProblemView>(p => p.Add(v => v.Problem, Failures.From(new InvalidOperationException("Data Source=/secret"))));
        Assert.DoesNotContain("secret", view.Markup, StringComparison.Ordinal);
        Assert.NotEmpty(view.Find(".strong").TextContent);
    }

    [Fact]
    public async Task Relative_times_say_when_and_carry_the_absolute()
    {
        await using var portal = await PagePortal.StartAsync();
        var at = TimeProvider.System.GetUtcNow().AddMinutes(-125);
        var time = portal.Browser.Render<RelativeTime>(p => p.Add(t => t.At, at)).Find("time");
        Assert.Equal("2 h 5 min ago", time.TextContent);
        Assert.Contains("UTC", time.GetAttribute("title"), StringComparison.Ordinal);
    }
}
