using System.Diagnostics;
using System.Text.Json.Nodes;
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
    [InlineData("{}")]
    [InlineData("{\"Pid\":99999999999999999999}")]
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

    /// <summary>The record is whole, but names what is not so: the machine lives on and is ours, and whom the record names comes to no harm.</summary>
    [Fact]
    public async Task A_machine_whose_record_names_another_process_boot_or_machine_is_still_found()
    {
        await using var host = new GuestHost();
        var (spec, other) = (Bare(), Bare());
        var pid = await host.StartAsync(spec);
        await host.StartAsync(other);
        // Somebody looks at its files; one who does that is no QEMU.
        using var stranger = Process.Start("tail", ["-f", Path.Combine(host.RunRoot, $"{spec.Id:N}", "pid")]);
        try
        {
            var record = Path.Combine(host.RunRoot, $"{spec.Id:N}.json");
            var text = await File.ReadAllTextAsync(record, GuestHost.Ct);
            var ticks = JsonNode.Parse(text)!["StartTicks"];
            var boot = JsonNode.Parse(text)!["BootId"];
            foreach (var wrong in (string[])
            [
                text.Replace($"\"Pid\":{pid},", $"\"Pid\":{stranger.Id},", StringComparison.Ordinal),
                text.Replace($"\"StartTicks\":{ticks},", "\"StartTicks\":1,", StringComparison.Ordinal),
                text.Replace($"{boot}", "another-boot", StringComparison.Ordinal),
                await File.ReadAllTextAsync(Path.Combine(host.RunRoot, $"{other.Id:N}.json"), GuestHost.Ct),
            ])
            {
                Assert.NotEqual(text, wrong);
                await File.WriteAllTextAsync(record, wrong, GuestHost.Ct);
                await host.RestartAsync();
                var seen = await host.EventAsync<MachineObserved>(spec.Id);
                Assert.Equal((MachineRunState.Running, pid), (seen.State, seen.Pid));
                await host.EventAsync<MachineObserved>(other.Id);
                Assert.DoesNotContain(host.Events, e => e is MachineEnded);
                Assert.False(stranger.HasExited);
            }

            // A start that was cut is ended, its onlooker is not.
            await File.WriteAllTextAsync(record, text.Replace("\"Launching\":false", "\"Launching\":true", StringComparison.Ordinal), GuestHost.Ct);
            await host.RestartAsync();
            await host.EventAsync<SnapshotEnd>();
            Assert.False(GuestHost.Alive(pid));
            Assert.False(stranger.HasExited);
        }
        finally
        {
            stranger.Kill();
        }
    }

    [Fact]
    public async Task A_machine_whose_run_folder_is_deleted_goes_on_and_its_end_is_seen()
    {
        await using var host = new GuestHost();
        var (spec, other) = (Bare(), Bare());
        var pid = await host.StartAsync(spec);
        await host.StartAsync(other);
        Directory.Delete(Path.Combine(host.RunRoot, $"{spec.Id:N}"), recursive: true);
        // Connected as it is, nothing has changed but what is opened anew.
        await host.ApplyAsync(new PauseMachine { MachineId = spec.Id });
        Assert.Equal(HostError.NotRunning, (await Assert.ThrowsAsync<HostException>(() => host.Host.OpenVncAsync(spec.Id, GuestHost.Ct))).Error);
        await host.RestartAsync();
        var seen = await host.EventAsync<MachineObserved>(spec.Id);
        Assert.Equal((MachineRunState.Unresponsive, pid), (seen.State, seen.Pid));
        Assert.Equal(MachineRunState.Running, (await host.EventAsync<MachineObserved>(other.Id)).State);
        await host.ApplyAsync(new EndMachine { MachineId = spec.Id });
        Assert.Equal(MachineEnd.Quit, (await host.EventAsync<MachineEnded>(spec.Id)).End);
        Assert.False(GuestHost.Alive(pid));
        // And starts afresh.
        await host.StartAsync(spec);
    }

    /// <summary>The file system of the run folders has become read-only, or a folder cannot be removed: that is said, and hides no other machine.</summary>
    [Fact]
    public async Task A_run_folder_that_cannot_be_removed_hides_nobody()
    {
        await using var host = new GuestHost();
        var (spec, other) = (Bare(), Bare());
        var pid = await host.StartAsync(spec);
        var kept = await host.StartAsync(other);
        var blocked = Directory.CreateDirectory(Path.Combine(host.RunRoot, $"{spec.Id:N}", "blocked")).FullName;
        await RunAsync("mount", "-t", "tmpfs", "kvmportal-test", blocked);
        try
        {
            await GuestHost.KillAsync(pid);
            Assert.Equal(MachineEnd.Crashed, (await host.EventAsync<MachineEnded>(spec.Id)).End);
            await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "run-folder-left");
            await host.RestartAsync();
            Assert.Equal(kept, (await host.EventAsync<MachineObserved>(other.Id)).Pid);
        }
        finally
        {
            await RunAsync("umount", blocked);
        }

        await host.RestartAsync();
        await host.EventAsync<SnapshotEnd>();
        Assert.False(Directory.Exists(blocked));
    }

    [Fact]
    public async Task A_record_that_names_another_process_never_ends_that_one()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var pid = await host.StartAsync(spec);
        using var stranger = Process.Start("sleep", ["600"]);
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

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync(GuestHost.Ct);
        Assert.Equal(0, process.ExitCode);
    }
}
