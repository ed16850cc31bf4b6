using KvmPortal.Engine;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Images;
using KvmPortal.Web.Jobs;
using KvmPortal.Web.Vms;

namespace KvmPortal.Web.Tests.Pages;

/// <summary>The page models against a real engine, without a renderer.</summary>
public sealed class ModelTests
{
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("web", "web", null)]
    [InlineData("state = running and tag = qa", null, "state = running and tag = qa")]
    [InlineData("(tag = a)", null, "(tag = a)")]
    [InlineData("", null, null)]
    public void The_search_box_takes_words_and_the_grammar(string search, string? text, string? filter)
    {
        var query = VmListModel.Query(search, "name");
        Assert.Equal((text, filter), (query.Text, query.Filter));
    }

    [Fact]
    public async Task The_list_follows_machines_that_come_change_and_go()
    {
        await using var portal = await PagePortal.StartAsync();
        await portal.MachineAsync("a1", "qa");
        var model = portal.Get<VmListModel>();
        using var closing = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var following = model.Set.FollowAsync(PagePortal.Ada, closing.Token);
        await model.ShowAsync(PagePortal.Ada, "", "name", Ct);
        Assert.Equal(["a1"], model.Set.Items.Select(v => v.Name));

        var second = await portal.MachineAsync("a2");
        await PagePortal.UntilAsync(() => model.Set.Items.Length == 2, "the new machine in the list");
        await model.ActAsync(PagePortal.Ada, [model.Set.Items.Single(v => v.Id == second.Id)], VmAction.Start, Ct);
        Assert.Null(model.Problem);
        await PagePortal.UntilAsync(() => model.Set.Items.Any(v => v.Id == second.Id && v.Status.State == VmState.Running), "a2 running");

        await model.ShowAsync(PagePortal.Ada, "state = running", "name", Ct);
        Assert.Equal(["a2"], model.Set.Items.Select(v => v.Name));
        await closing.CancelAsync();
        await following;
    }

    [Fact]
    public async Task A_filter_that_cannot_be_read_says_so_and_keeps_the_page()
    {
        await using var portal = await PagePortal.StartAsync();
        var model = portal.Get<VmListModel>();
        await model.ShowAsync(PagePortal.Ada, "(state =", "name", Ct);
        Assert.Equal("malformed", model.Problem?.Code);
    }

    [Fact]
    public async Task Bulk_actions_take_what_they_fit_and_are_one_job_that_names_every_refusal()
    {
        await using var portal = await PagePortal.StartAsync();
        var (one, two) = (await portal.MachineAsync("one"), await portal.MachineAsync("two"));
        var model = portal.Get<VmListModel>();
        await model.ShowAsync(PagePortal.Ada, null, null, Ct);
        model.ToggleAll();
        Assert.Equal(2, model.Candidates(VmAction.Start).Count);
        Assert.Empty(model.Candidates(VmAction.Shutdown));

        // Neither runs: the job says so of both, each with its name.
        await model.ActAsync(PagePortal.Ada, model.Set.Items, VmAction.Reset, Ct);
        Assert.Null(model.Problem);
        var jobs = portal.Get<JobOperations>();
        var bulk = (await jobs.ListAsync(PagePortal.Ada, new ListQuery(10) { Filter = "kind = reset-vms" }, Ct)).Items.Single();
        bulk = await jobs.WaitAsync(PagePortal.Ada, bulk.Id, TimeSpan.FromSeconds(20), Ct);
        Assert.Equal(JobState.Failed, bulk.State);
        var log = string.Join('\n', (await jobs.LogAsync(PagePortal.Ada, bulk.Id, 0, Ct)).Select(l => l.Text.Text));
        Assert.All([one.Definition.Name, two.Definition.Name], name => Assert.Contains(name, log, StringComparison.Ordinal));
        model.ToggleAll();
        Assert.Empty(model.Selected);
    }

    [Fact]
    public async Task The_keyboard_stays_within_the_list()
    {
        await using var portal = await PagePortal.StartAsync();
        await portal.MachineAsync("only");
        var model = portal.Get<VmListModel>();
        Assert.False(model.Move(1));
        await model.ShowAsync(PagePortal.Ada, null, null, Ct);
        Assert.True(model.Move(1));
        Assert.True(model.Move(5));
        Assert.Equal("only", model.AtCursor?.Name);
        Assert.True(model.Move(-9));
        Assert.Equal(0, model.Cursor);
    }

    [Fact]
    public async Task Jobs_appear_as_they_are_made_and_a_filter_keeps_others_out()
    {
        await using var portal = await PagePortal.StartAsync();
        var model = portal.Get<JobListModel>();
        using var closing = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var following = model.FollowAsync(PagePortal.Ada, closing.Token);
        await model.ShowAsync(PagePortal.Ada, null, null, Ct);
        await portal.MachineAsync("m");
        await PagePortal.UntilAsync(() => model.Items.Any(j => j.Kind == "create-vm" && j.State == JobState.Succeeded), "the create job");
        await model.ShowAsync(PagePortal.Ada, "failed", null, Ct);
        Assert.Empty(model.Items);
        await closing.CancelAsync();
        await following;
    }

    [Fact]
    public async Task The_drawer_counts_what_is_under_way_and_keeps_what_ended()
    {
        await using var portal = await PagePortal.StartAsync();
        var running = portal.Get<RunningJobs>();
        await running.StartAsync(PagePortal.Ada);
        await portal.MachineAsync("m");
        await PagePortal.UntilAsync(() => running.Count == 0 && running.Ended.Any(j => j.Kind == "create-vm"), "the ended job");
    }

    [Fact]
    public async Task An_ended_job_cannot_be_cancelled_and_the_page_says_why()
    {
        await using var portal = await PagePortal.StartAsync();
        await portal.MachineAsync("m");
        var job = (await portal.Get<JobOperations>().ListAsync(PagePortal.Ada, new ListQuery(), Ct)).Items[0];
        var model = portal.Get<JobModel>();
        using var closing = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var following = model.FollowAsync(PagePortal.Ada, job.Id, closing.Token);
        await PagePortal.UntilAsync(() => model.Job is not null, "the job");
        await model.CancelAsync(PagePortal.Ada, Ct);
        Assert.Equal("conflict", model.Problem?.Code);
        await closing.CancelAsync();
        await following;
    }

    [Fact]
    public async Task Images_are_listed_planned_and_deleted()
    {
        await using var portal = await PagePortal.StartAsync();
        await portal.IsoAsync("debian");
        var model = portal.Get<ImageListModel>();
        await model.ShowAsync(PagePortal.Ada, null, Ct);
        var image = Assert.Single(model.Items);
        Assert.NotEmpty((await model.PlanDeleteAsync(PagePortal.Ada, image, Ct))!.Steps);
        using var closing = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var following = model.FollowAsync(PagePortal.Ada, closing.Token);
        await model.DeleteAsync(PagePortal.Ada, image, Ct);
        Assert.Null(model.Problem);
        await PagePortal.UntilAsync(() => model.Items.Count == 0, "the image gone from the list");
        await closing.CancelAsync();
        await following;
    }
}
