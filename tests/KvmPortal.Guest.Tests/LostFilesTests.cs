using KvmPortal.Host.Contract;

namespace KvmPortal.Guest.Tests;

/// <summary>Somebody deletes or breaks what the portal keeps beside a running machine: no machine is ended for it, and each can still be ended on purpose.</summary>
public sealed class LostFilesTests
{
    private static MachineSpec Bare() => GuestHost.Spec() with { DirectBoot = null };

    [Fact]
    public async Task A_machine_whose_control_socket_is_deleted_is_not_reached_and_can_be_ended()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var pid = await host.StartAsync(spec);
        File.Delete(Path.Combine(host.RunRoot, $"{spec.Id:N}", "qmp"));
        // Connected as it is, nothing has changed.
        await host.ApplyAsync(new PauseMachine { MachineId = spec.Id });
        await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Paused);
        await host.RestartAsync();
        Assert.Equal(MachineRunState.Unresponsive, (await host.EventAsync<MachineObserved>(spec.Id)).State);
        Assert.True(GuestHost.Alive(pid));
        await host.ApplyAsync(new EndMachine { MachineId = spec.Id });
        Assert.False(GuestHost.Alive(pid));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("{\"Pid\":1,")]
    [InlineData("[]")]
    public async Task A_machine_whose_record_is_lost_or_broken_runs_on_and_is_ours(string? content)
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var pid = await host.StartAsync(spec);
        var record = Path.Combine(host.RunRoot, $"{spec.Id:N}.json");
        if (content is null)
            File.Delete(record);
        else
            await File.WriteAllTextAsync(record, content, GuestHost.Ct);
        await host.RestartAsync();
        var seen = await host.EventAsync<MachineObserved>(spec.Id);
        Assert.Equal((MachineRunState.Running, pid), (seen.State, seen.Pid));
        await host.ApplyAsync(new EndMachine { MachineId = spec.Id });
        Assert.False(GuestHost.Alive(pid));
    }

    [Fact]
    public async Task A_record_that_names_another_process_never_ends_that_one()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var pid = await host.StartAsync(spec);
        using var stranger = System.Diagnostics.Process.Start("sleep", ["600"]);
        try
        {
            var record = Path.Combine(host.RunRoot, $"{spec.Id:N}.json");
            var text = await File.ReadAllTextAsync(record, GuestHost.Ct);
            await host.Host.DisposeAsync();
            await GuestHost.KillAsync(pid);
            await File.WriteAllTextAsync(record, text.Replace($"\"Pid\":{pid},", $"\"Pid\":{stranger.Id},", StringComparison.Ordinal), GuestHost.Ct);
            await host.RestartAsync();
            await Task.Delay(500, GuestHost.Ct);
            Assert.False(stranger.HasExited);
        }
        finally
        {
            stranger.Kill();
        }
    }
}
