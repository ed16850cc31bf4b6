using KvmPortal.Host.Contract;
using static KvmPortal.Host.Tests.Simulated.SimulatedFixture;

namespace KvmPortal.Host.Tests.Simulated;

public sealed class SimulatedStepsTests
{
    [Fact]
    public async Task Every_machine_step_applied_twice_changes_nothing_the_second_time()
    {
        using var host = NewHost();
        var spec = Spec();
        HostStep[] steps =
        [
            new ProveAccelerator(),
            new CreateDisk { DiskId = spec.Id, Path = "/data/disks/a", Format = DiskFormat.Qcow2, SizeBytes = 1 << 30 },
            new PrepareMachine { MachineId = spec.Id, Firmware = spec.Firmware },
            new LaunchMachine { MachineId = spec.Id, Spec = spec },
            new RunMachine { MachineId = spec.Id },
            new PauseMachine { MachineId = spec.Id },
            new SetDiskLimits { MachineId = spec.Id, Disk = "cd0", Limits = new(5, 6), Before = new(0, 0) },
            new SetBalloon { MachineId = spec.Id, TargetMiB = 512, BeforeMiB = 1024 },
            new ChangeMedium { MachineId = spec.Id, Disk = "cd0", Path = "/data/images/x" },
            new SaveMachine { MachineId = spec.Id, Path = "/data/state/s" },
            new EndMachine { MachineId = Guid.NewGuid() },
            new DiscardMachine { MachineId = spec.Id },
            new DeleteDisk { DiskId = spec.Id, Path = "/data/disks/a" },
        ];
        foreach (var step in steps)
        {
            Assert.Equal(step is not EndMachine, await host.Changes(step));
            Assert.False(await host.Changes(step), step.Kind);
            if (step is SaveMachine)
                await host.Refused(new RunMachine { MachineId = spec.Id }, HostError.NotRunning);
        }
    }

    [Fact]
    public async Task Undo_of_a_resume_pauses_and_undo_of_a_first_run_does_not()
    {
        using var host = NewHost();
        var id = await host.Start(Spec());
        var run = new RunMachine { MachineId = id };
        Assert.False(await host.Undo(run));
        await host.Changes(new PauseMachine { MachineId = id });
        await host.Changes(run);
        Assert.True(await host.Undo(run));
        Assert.False(await host.Changes(new PauseMachine { MachineId = id }));
    }

    [Fact]
    public async Task Undo_of_launch_disk_and_balloon_takes_them_back()
    {
        using var host = NewHost();
        var spec = Spec();
        var id = await host.Start(spec);
        var balloon = new SetBalloon { MachineId = id, TargetMiB = 512, BeforeMiB = 1024 };
        await host.Changes(balloon);
        Assert.True(await host.Undo(balloon));
        Assert.True(await host.Undo(new LaunchMachine { MachineId = id, Spec = spec }));
        Assert.False(await host.Undo(new LaunchMachine { MachineId = id, Spec = spec }));
        var disk = new CreateDisk { DiskId = id, Path = "/data/disks/a", Format = DiskFormat.Raw, SizeBytes = 1 };
        await host.Changes(disk);
        Assert.True(await host.Undo(disk));
        Assert.True(await host.Changes(disk));
    }

    [Fact]
    public async Task Steps_are_refused_in_the_wrong_state_and_outside_their_folders()
    {
        using var host = NewHost();
        var id = Guid.NewGuid();
        await host.Refused(new RunMachine { MachineId = id }, HostError.NotRunning);
        await host.Start(Spec(id: id));
        await host.Refused(new DiscardMachine { MachineId = id }, HostError.WrongState);
        host.Panic(id);
        await host.Refused(new RunMachine { MachineId = id }, HostError.WrongState);
        Assert.True(await host.Changes(new ResetMachine { MachineId = id }));
        Assert.True(await host.Changes(new RunMachine { MachineId = id }));
        await host.Refused(new SaveMachine { MachineId = id, Path = "/data/state/../x" }, HostError.NotAllowed);
        await host.Refused(new CreateDisk { DiskId = id, Path = "/etc/x", Format = DiskFormat.Raw, SizeBytes = 1 }, HostError.NotAllowed);
    }

    [Fact]
    public async Task A_disk_file_and_a_host_port_belong_to_one_running_machine()
    {
        using var host = NewHost();
        var disk = new DiskSpec { Name = "disk0", Bus = DiskBus.VirtioBlk, Format = DiskFormat.Raw, Path = "/data/disks/a" };
        var first = Spec() with { Disks = [disk] };
        var second = Spec() with { Disks = [disk] };
        await host.Start(first);
        await host.Refused(new LaunchMachine { MachineId = second.Id, Spec = second }, HostError.InUse);
        await host.Refused(new DeleteDisk { DiskId = first.Id, Path = "/data/disks/a" }, HostError.InUse);
        await host.Changes(new EndMachine { MachineId = first.Id });
        await host.Start(second);
    }

    [Fact]
    public async Task Power_down_ends_a_guest_that_listens_and_falls_back_as_told()
    {
        using var host = NewHost();
        var good = await host.Start(Spec());
        Assert.True(await host.Changes(new PowerDownMachine { MachineId = good, DeadlineSeconds = 60, Fallback = PowerDownFallback.Fail }));
        Assert.False(await host.Changes(new PowerDownMachine { MachineId = good, DeadlineSeconds = 60, Fallback = PowerDownFallback.Fail }));
        var deaf = await host.Start(Spec("deaf-ignore-shutdown"));
        await host.Refused(new PowerDownMachine { MachineId = deaf, DeadlineSeconds = 0, Fallback = PowerDownFallback.Fail }, HostError.Timeout);
        var reports = await host.Apply(new PowerDownMachine { MachineId = deaf, DeadlineSeconds = 0, Fallback = PowerDownFallback.End });
        Assert.Contains(reports, report => report is StepLog { Warning: true });
        await host.Refused(new PauseMachine { MachineId = deaf }, HostError.NotRunning);
    }

    [Fact]
    public async Task A_name_with_fail_start_fails_with_qemus_words()
    {
        using var host = NewHost();
        var spec = Spec("web-fail-start");
        var failure = await host.Refused(new LaunchMachine { MachineId = spec.Id, Spec = spec }, HostError.LaunchFailed);
        Assert.Equal(1, failure.ExitCode);
        Assert.StartsWith("qemu-system-x86_64:", failure.StderrTail[0]);
    }

    [Fact]
    public async Task A_held_step_waits_until_it_is_released()
    {
        using var host = NewHost();
        var spec = Spec();
        host.HoldStep("launch-machine");
        var launching = host.Changes(new LaunchMachine { MachineId = spec.Id, Spec = spec });
        Assert.False(launching.IsCompleted);
        await host.Refused(new RunMachine { MachineId = spec.Id }, HostError.NotRunning);
        host.ReleaseStep("launch-machine");
        Assert.True(await launching);
    }

    [Fact]
    public async Task Images_are_hashed_checked_and_registered()
    {
        using var host = NewHost();
        var bytes = new byte[100_000];
        var digest = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes));
        var received = await host.ReceiveImageAsync(
            new(Guid.NewGuid(), bytes.Length, digest, null, 1 << 20), new MemoryStream(bytes), TestContext.Current.CancellationToken);
        Assert.Equal((ImageKind.Raw, 100_000L, digest), (received.Kind, received.FileSizeBytes, received.Sha256));
        foreach (var (request, error) in new[]
        {
            (new ReceiveImage(Guid.NewGuid(), 5, null, null, 1 << 20), HostError.DigestMismatch),
            (new ReceiveImage(Guid.NewGuid(), null, new string('0', 64), null, 1 << 20), HostError.DigestMismatch),
            (new ReceiveImage(Guid.NewGuid(), null, null, ImageKind.Iso, 1 << 20), HostError.ImageRefused),
            (new ReceiveImage(Guid.NewGuid(), null, null, null, 99_999), HostError.ImageRefused),
        })
            Assert.Equal(error, (await Assert.ThrowsAsync<HostException>(
                () => host.ReceiveImageAsync(request, new MemoryStream(bytes), TestContext.Current.CancellationToken))).Error);
        var file = (await host.ListFilesAsync("/data/import", TestContext.Current.CancellationToken))[0];
        var done = Assert.IsType<StepDone>((await host.Apply(new RegisterImage { ImageId = Guid.NewGuid(), SourcePath = file.Path }))[^1]);
        Assert.Equal(file.SizeBytes, done.Image!.FileSizeBytes);
        await host.Refused(new RegisterImage { ImageId = Guid.NewGuid(), SourcePath = "/etc/passwd" }, HostError.NotAllowed);
    }
}
