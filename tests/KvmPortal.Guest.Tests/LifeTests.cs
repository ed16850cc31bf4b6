using System.Diagnostics;
using KvmPortal.Host.Contract;

namespace KvmPortal.Guest.Tests;

public sealed class LifeTests
{
    [Fact]
    public async Task A_guest_boots_talks_pauses_and_powers_off_by_ACPI()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        var pid = await host.StartAsync(spec);
        Assert.Equal(pid, (await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec })).Pid);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "echo E12''34");
        await host.ReadUntilAsync(spec.Id, "E1234");
        Assert.True((await host.ApplyAsync(new PauseMachine { MachineId = spec.Id })).Changed);
        await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Paused);
        Assert.False((await host.ApplyAsync(new PauseMachine { MachineId = spec.Id })).Changed);
        Assert.True((await host.ApplyAsync(new RunMachine { MachineId = spec.Id })).Changed);
        await host.ApplyAsync(new PowerDownMachine { MachineId = spec.Id, DeadlineSeconds = 60, Fallback = PowerDownFallback.Fail });
        Assert.Equal(MachineEnd.GuestPowerOff, (await host.EventAsync<MachineEnded>(spec.Id)).End);
    }

    [Fact]
    public async Task A_guest_that_restarts_and_powers_itself_off_is_noticed()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        var pid = await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "reboot -f");
        Assert.Equal("guest-reset", (await host.EventAsync<MachineNotice>(spec.Id)).Kind);
        Assert.True(GuestHost.Alive(pid));
        var text = await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.ReadUntilAsync(spec.Id, "GUEST-UP", text.Length);
        await host.TypeAsync(spec.Id, "poweroff -f");
        Assert.Equal(MachineEnd.GuestPowerOff, (await host.EventAsync<MachineEnded>(spec.Id)).End);
    }

    [Fact]
    public async Task A_killed_QEMU_is_a_crash_with_its_signal_even_after_a_failed_shutdown()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        var pid = await host.StartAsync(spec);
        // The kernel is not up yet, so nobody hears the power button.
        var refused = await Assert.ThrowsAsync<HostException>(() => host.ApplyAsync(new PowerDownMachine { MachineId = spec.Id, DeadlineSeconds = 1, Fallback = PowerDownFallback.Fail }));
        Assert.Equal(HostError.Timeout, refused.Error);
        Process.GetProcessById(pid).Kill();
        var ended = await host.EventAsync<MachineEnded>(spec.Id);
        Assert.Equal(MachineEnd.Crashed, ended.End);
        Assert.Contains("signal 9", ended.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_restarted_portal_takes_the_machine_over_and_can_end_it()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        var pid = await host.StartAsync(spec);
        await host.RestartAsync();
        Assert.Equal(pid, (await host.EventAsync<MachineObserved>(spec.Id)).Pid);
        Assert.True(GuestHost.Alive(pid));
        await host.ApplyAsync(new EndMachine { MachineId = spec.Id });
        Assert.Equal(MachineEnd.Quit, (await host.EventAsync<MachineEnded>(spec.Id)).End);
        Assert.False(GuestHost.Alive(pid));
    }

    [Fact]
    public async Task A_machine_that_cannot_start_says_so_in_QEMUs_words_and_leaves_nothing()
    {
        await using var host = new GuestHost();
        var bad = Path.Combine(host.Root, "bad.qcow2");
        await File.WriteAllBytesAsync(bad, new byte[65536], GuestHost.Ct);
        var spec = GuestHost.Spec() with { Disks = [new DiskSpec { Name = "disk0", Bus = DiskBus.VirtioBlk, Format = DiskFormat.Qcow2, Path = bad }] };
        var failed = await Assert.ThrowsAsync<HostException>(() => host.StartAsync(spec));
        Assert.Equal(HostError.LaunchFailed, failed.Error);
        Assert.Contains("not in qcow2 format", failed.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(host.RunRoot));
    }
}
