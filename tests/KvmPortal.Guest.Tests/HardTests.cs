using System.Diagnostics;
using KvmPortal.Host;
using KvmPortal.Host.Contract;

namespace KvmPortal.Guest.Tests;

/// <summary>What goes wrong between a portal, its QEMU and the host: half starts, hung processes, ends that nobody saw.</summary>
public sealed class HardTests
{
    private static MachineSpec Bare() => GuestHost.Spec() with { DirectBoot = null };

    [Fact]
    public async Task A_guest_that_powered_off_while_no_portal_watched_is_ended()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        var pid = await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "sleep 3; poweroff -f");
        await host.ReadUntilAsync(spec.Id, "poweroff -f");
        await host.RestartAsync(TimeSpan.FromSeconds(8));
        await host.EventAsync<MachineEnded>(spec.Id, e => e.End == MachineEnd.GuestPowerOff);
        Assert.False(GuestHost.Alive(pid));
    }

    [Fact]
    public async Task A_hung_QEMU_is_unresponsive_until_it_answers_again()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var pid = await host.StartAsync(spec);
        await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Running);
        await SignalAsync(pid, "STOP");
        try
        {
            Assert.Equal(HostError.Timeout, (await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new ResetMachine { MachineId = spec.Id }))).Error);
            await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Unresponsive);
        }
        finally
        {
            await SignalAsync(pid, "CONT");
        }

        await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Running && e.Reason is not null);
    }

    [Fact]
    public async Task A_hung_QEMU_is_found_again_and_can_be_ended()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var pid = await host.StartAsync(spec);
        await host.Host.DisposeAsync();
        await SignalAsync(pid, "STOP");
        await host.RestartAsync();
        Assert.Equal(MachineRunState.Unresponsive, (await host.EventAsync<MachineObserved>(spec.Id)).State);
        Assert.Equal(HostError.WrongState, (await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec }))).Error);
        Assert.True((await host.ApplyAsync(new EndMachine { MachineId = spec.Id })).Changed);
        await host.EventAsync<MachineEnded>(spec.Id);
        Assert.False(GuestHost.Alive(pid));
    }

    [Fact]
    public async Task A_start_that_a_killed_portal_left_half_done_is_cleaned_up()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var pid = (await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec })).Pid!.Value;
        await host.Host.DisposeAsync();
        // As the record is until a start is complete; one that is lost is another story (see LostFilesTests).
        var record = Path.Combine(host.RunRoot, spec.Id.ToString("N") + ".json");
        var begun = (await File.ReadAllTextAsync(record, GuestHost.Ct)).Replace("\"Launching\":false", "\"Launching\":true", StringComparison.Ordinal);
        Assert.Contains("\"Launching\":true", begun, StringComparison.Ordinal);
        await File.WriteAllTextAsync(record, begun, GuestHost.Ct);
        await host.RestartAsync();
        await host.EventAsync<SnapshotEnd>();
        Assert.False(GuestHost.Alive(pid));
        Assert.Empty(Directory.GetFileSystemEntries(host.RunRoot));
        await host.StartAsync(spec);
    }

    [Fact]
    public async Task Two_starts_of_one_machine_make_one_QEMU()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        var launch = new LaunchMachine { MachineId = spec.Id, Spec = spec };
        var both = await Task.WhenAll(host.ApplyAsync(launch), host.ApplyAsync(launch));
        Assert.Equal(both[0].Pid, both[1].Pid);
        Assert.Single(both, done => done.Changed);
    }

    [Fact]
    public async Task Stop_and_start_at_once_many_times_never_loses_the_new_run()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        for (var i = 0; i < 12; i++)
        {
            await host.StartAsync(spec);
            Assert.Equal([0x89], (await host.Host.TakeScreenshotAsync(spec.Id, GuestHost.Ct))[..1]);
            await host.ApplyAsync(new EndMachine { MachineId = spec.Id });
        }
    }

    [Fact]
    public async Task A_machine_that_does_not_run_says_so_at_every_door()
    {
        await using var host = new GuestHost();
        var id = Guid.NewGuid();
        foreach (var ask in (Func<Task>[])
        [
            () => host.Host.TakeScreenshotAsync(id, GuestHost.Ct),
            () => host.Host.OpenVncAsync(id, GuestHost.Ct),
            () => host.TypeAsync(id, "x"),
            () => host.ReadUntilAsync(id, "x"),
            () => host.ApplyAsync(new RunMachine { MachineId = id }),
        ])
            Assert.Equal(HostError.NotRunning, (await Assert.ThrowsAsync<HostException>(ask)).Error);
        Assert.False((await host.ApplyAsync(new EndMachine { MachineId = id })).Changed);
    }

    [Fact]
    public async Task A_cancelled_suspend_lets_the_guest_run_on()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        var state = host.StateFile(spec.Id, "state");
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(40));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in host.Host.ApplyAsync(new SaveMachine { MachineId = spec.Id, Path = state }, cancel.Token))
            {
            }
        });
        Assert.False(File.Exists(state) || File.Exists(state + ".part"));
        await host.TypeAsync(spec.Id, "echo ON''-AGAIN");
        await host.ReadUntilAsync(spec.Id, "ON-AGAIN");
        await host.ApplyAsync(new SaveMachine { MachineId = spec.Id, Path = state });
        // A portal that died before it could write down the success asks once more.
        Assert.False((await host.ApplyAsync(new SaveMachine { MachineId = spec.Id, Path = state })).Changed);
        await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec with { RestoreFrom = state } });
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        Assert.False(File.Exists(state), "State that has run on must never be loaded again.");
    }

    [Fact]
    public async Task Saved_state_that_does_not_load_is_a_failed_start_with_QEMUs_words()
    {
        await using var host = new GuestHost();
        var spec = Bare();
        await host.ApplyAsync(new PrepareMachine { MachineId = spec.Id, Firmware = spec.Firmware });
        var state = host.StateFile(spec.Id, "state");
        await File.WriteAllBytesAsync(state, new byte[100_000], GuestHost.Ct);
        var failed = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec with { RestoreFrom = state } }));
        Assert.Equal(HostError.LaunchFailed, failed.Error);
        Assert.NotEmpty(failed.StderrTail);
        Assert.True(File.Exists(state));
    }

    [Fact]
    public async Task A_software_TPM_lives_and_ends_with_its_machine_and_its_loss_is_said()
    {
        await using var host = new GuestHost();
        var spec = Bare() with { Tpm = true };
        for (var i = 0; i < 3; i++)
        {
            await host.StartAsync(spec);
            Assert.Single(Swtpms(host));
            await host.ApplyAsync(new EndMachine { MachineId = spec.Id });
            Assert.Empty(Swtpms(host));
        }

        await host.StartAsync(spec);
        await host.RestartAsync();
        await host.EventAsync<MachineObserved>(spec.Id);
        await SignalAsync(Assert.Single(Swtpms(host)), "KILL");
        Assert.True((await host.EventAsync<MachineNotice>(spec.Id, n => n.Kind == "tpm-lost")).Warning);
    }

    [Fact]
    public async Task Limits_balloon_and_medium_change_on_the_running_machine_and_back()
    {
        await using var host = new GuestHost();
        var disk = Guid.NewGuid();
        var path = Path.Combine(host.Root, "d", "disks", $"{disk:N}.raw");
        await host.ApplyAsync(new CreateDisk { DiskId = disk, Path = path, Format = DiskFormat.Raw, SizeBytes = 16 << 20 });
        var spec = Bare() with
        {
            Disks =
            [
                new DiskSpec { Name = "disk0", Bus = DiskBus.VirtioBlk, Format = DiskFormat.Raw, Path = path },
                new DiskSpec { Name = "cd0", Bus = DiskBus.Sata, Format = DiskFormat.Raw, Cdrom = true, ReadOnly = true },
            ],
        };
        await host.StartAsync(spec);
        foreach (var step in (HostStep[])
        [
            new SetDiskLimits { MachineId = spec.Id, Disk = "disk0", Limits = new(500, 10 << 20), Before = new(0, 0) },
            new SetBalloon { MachineId = spec.Id, TargetMiB = 160, BeforeMiB = 192 },
            new ChangeMedium { MachineId = spec.Id, Disk = "cd0", Path = GuestHost.GuestFile("boot.iso") },
        ])
        {
            Assert.True((await host.ApplyAsync(step)).Changed);
            await host.UndoAsync(step);
            await host.UndoAsync(step);
        }

        var missing = new ChangeMedium { MachineId = spec.Id, Disk = "cd0", Path = "/nowhere.iso" };
        Assert.Equal(HostError.NotFound, (await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(missing))).Error);
    }

    [Fact]
    public async Task A_panicked_guest_says_so_and_a_reset_brings_it_back()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "echo c >/proc/sysrq-trigger");
        await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Panicked);
        Assert.Equal(HostError.WrongState, (await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new RunMachine { MachineId = spec.Id }))).Error);
        await host.ApplyAsync(new ResetMachine { MachineId = spec.Id });
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        await host.TypeAsync(spec.Id, "");
        await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Running && host.After(e, MachineRunState.Panicked));
    }

    private static async Task SignalAsync(int pid, string signal)
    {
        using var kill = Process.Start("/bin/kill", [$"-{signal}", $"{pid}"]);
        await kill.WaitForExitAsync(GuestHost.Ct);
        await Task.Delay(100, GuestHost.Ct);
    }

    /// <summary>Live swtpm processes of this host's folder, by their command lines.</summary>
    private static List<int> Swtpms(GuestHost host) =>
    [
        .. Directory.EnumerateDirectories("/proc").Select(p => int.TryParse(Path.GetFileName(p), out var pid) ? pid : 0).Where(pid => pid > 0 && GuestHost.Alive(pid) && Words(pid) is { } words
            && words.StartsWith("swtpm", StringComparison.Ordinal) && words.Contains(host.RunRoot, StringComparison.Ordinal)),
    ];

    private static string? Words(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline");
        }
        catch (IOException)
        {
            return null;
        }
    }
}
