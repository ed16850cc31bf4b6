using KvmPortal.Host.Contract;

namespace KvmPortal.Guest.Tests;

public sealed class SightTests
{
    [Fact]
    public async Task A_flood_on_the_console_that_nobody_reads_does_not_freeze_the_guest()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "yes | head -c 5000000; echo FLOOD''-OVER");
        await host.ReadUntilAsync(spec.Id, "FLOOD-OVER", long.MaxValue / 2);
    }

    [Fact]
    public async Task A_suspended_machine_goes_on_where_it_was()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec();
        var first = await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "kept=77; echo READY''-1");
        await host.ReadUntilAsync(spec.Id, "READY-1");
        var state = Path.Combine(host.Root, "d", "machines", spec.Id.ToString("N"), "state");
        await host.ApplyAsync(new SaveMachine { MachineId = spec.Id, Path = state });
        Assert.Equal(MachineEnd.Saved, (await host.EventAsync<MachineEnded>(spec.Id)).End);
        Assert.False(GuestHost.Alive(first));
        await host.ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec with { RestoreFrom = state } });
        await host.ApplyAsync(new RunMachine { MachineId = spec.Id });
        await host.TypeAsync(spec.Id, "echo KEPT-$kept");
        await host.ReadUntilAsync(spec.Id, "KEPT-77");
    }

    [Fact]
    public async Task The_screen_the_display_and_the_counters_are_there()
    {
        await using var host = new GuestHost();
        var disk = Guid.NewGuid();
        var path = Path.Combine(host.Root, "d", "disks", $"{disk:N}.raw");
        await host.ApplyAsync(new CreateDisk { DiskId = disk, Path = path, Format = DiskFormat.Raw, SizeBytes = 16 << 20 });
        var spec = GuestHost.Spec() with { Cpu = new(2, 2, "max", 1), Disks = [new DiskSpec { Name = "disk0", Bus = DiskBus.VirtioBlk, Format = DiskFormat.Raw, Path = path }] };
        await host.StartAsync(spec);
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], (await host.Host.TakeScreenshotAsync(spec.Id, GuestHost.Ct))[..4]);
        await using (var vnc = await host.Host.OpenVncAsync(spec.Id, GuestHost.Ct))
        {
            var greeting = new byte[12];
            await vnc.ReadExactlyAsync(greeting, GuestHost.Ct);
            Assert.Equal("RFB 003.008\n"u8.ToArray(), greeting);
        }

        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "dd if=/dev/vda of=/dev/null bs=1M count=4; echo READ''-DONE");
        await host.ReadUntilAsync(spec.Id, "READ-DONE");
        await foreach (var sample in host.Host.SampleAsync(TimeSpan.FromMilliseconds(200), GuestHost.Ct))
        {
            var machine = Assert.Single(sample.Machines);
            Assert.Equal(2, machine.VcpuNanoseconds.Count);
            Assert.All(machine.VcpuNanoseconds, n => Assert.True(n > 0));
            Assert.InRange(machine.DiskReadBytes, 4 << 20, long.MaxValue);
            Assert.Equal(192L << 20, machine.BalloonBytes);
            break;
        }
    }

    [Fact]
    public async Task A_UEFI_machine_runs()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec() with { Firmware = new(FirmwareType.Uefi, false), DirectBoot = null };
        await host.StartAsync(spec);
        await host.EventAsync<MachineStateChanged>(spec.Id, e => e.State == MachineRunState.Running);
    }
}
