using KvmPortal.Host.Contract;

namespace KvmPortal.Guest.Tests;

/// <summary>What the guest itself makes of the devices that we give it.</summary>
public sealed class DeviceTests
{
    private const string Agent = "The guest agent was asked to power off.";

    [Fact]
    public async Task The_guest_agent_powers_off_and_one_that_only_claims_to_is_found_out()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec("noip qga") with { GuestAgent = true };
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "mv /sbin/shutdown /s; printf '#!/bin/sh\\n' >/sbin/shutdown; chmod 755 /sbin/shutdown; echo LIES''-NOW");
        await host.ReadUntilAsync(spec.Id, "LIES-NOW");
        var said = new List<string>();
        var lied = await Assert.ThrowsAsync<HostException>(() => PowerDownAsync(host, spec, 3, PowerDownFallback.Fail, said));
        Assert.Equal((HostError.Timeout, Agent), (lied.Error, Assert.Single(said)));
        Assert.DoesNotContain(host.Events, e => e is MachineEnded);
        await host.TypeAsync(spec.Id, "mv /s /sbin/shutdown; echo TRUE''-NOW");
        await host.ReadUntilAsync(spec.Id, "TRUE-NOW");
        said.Clear();
        await PowerDownAsync(host, spec, 60, PowerDownFallback.Fail, said);
        Assert.Equal(Agent, Assert.Single(said));
        Assert.Equal(MachineEnd.GuestPowerOff, (await host.EventAsync<MachineEnded>(spec.Id)).End);
    }

    [Fact]
    public async Task The_guest_has_a_TPM_that_answers_and_a_CD_that_it_reads_and_cannot_write()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec() with
        {
            Tpm = true,
            Disks = [new DiskSpec { Name = "cd0", Bus = DiskBus.VirtioScsi, Format = DiskFormat.Raw, Path = GuestHost.GuestFile("boot.iso"), Cdrom = true, ReadOnly = true }],
        };
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        // TPM2_GetRandom of 8 bytes: tag, length 12, command 0x17b; the answer is 20 bytes with the code 0.
        await host.TypeAsync(spec.Id, "exec 3<>/dev/tpm0; printf '\\x80\\x01\\0\\0\\0\\x0c\\0\\0\\x01\\x7b\\0\\x08' >&3; echo TPM-$(cat /sys/class/tpm/tpm0/tpm_version_major)-$(dd bs=64 count=1 <&3 2>/dev/null | hexdump -v -e '1/1 \"%02x\"')-E''ND");
        var tpm = await host.ReadUntilAsync(spec.Id, "-END");
        Assert.Matches("TPM-2-80010000001400000000" + "0008[0-9a-f]{16}-END", tpm);

        await host.TypeAsync(spec.Id, "mount -t iso9660 -o ro /dev/sr0 /tmp && echo CD-$(wc -c </tmp/vmlinuz)-$(dd if=/dev/zero of=/dev/sr0 count=1 2>&1 | grep -c -i read-only)-O''VER");
        Assert.Contains($"CD-{new FileInfo(GuestHost.GuestFile("vmlinuz")).Length}-1-OVER", await host.ReadUntilAsync(spec.Id, "-OVER"), StringComparison.Ordinal);
    }

    /// <summary>The kernel of the test guest has no driver of SATA, but the firmware has.</summary>
    [Fact]
    public async Task A_machine_boots_from_its_SATA_CD()
    {
        await using var host = new GuestHost();
        var spec = GuestHost.Spec() with
        {
            DirectBoot = null,
            Disks = [new DiskSpec { Name = "cd0", Bus = DiskBus.Sata, Format = DiskFormat.Raw, Path = GuestHost.GuestFile("boot.iso"), Cdrom = true, ReadOnly = true, BootIndex = 1 }],
        };
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
    }

    [Fact]
    public async Task A_microvm_boots_to_a_shell_with_its_disk_its_agent_and_its_power_button()
    {
        await using var host = new GuestHost();
        var disk = Guid.NewGuid();
        var path = Path.Combine(host.Root, "d", "disks", $"{disk:N}.raw");
        await host.ApplyAsync(new CreateDisk { DiskId = disk, Path = path, Format = DiskFormat.Raw, SizeBytes = 16 << 20 });
        var spec = GuestHost.Spec() with
        {
            Family = MachineFamily.Microvm,
            MachineType = "microvm",
            Vnc = false,
            GuestAgent = true,
            Disks = [new DiskSpec { Name = "disk0", Bus = DiskBus.VirtioBlk, Format = DiskFormat.Raw, Path = path, IoThread = true }],
        };
        await host.StartAsync(spec);
        await host.ReadUntilAsync(spec.Id, "GUEST-UP");
        await host.TypeAsync(spec.Id, "echo kept >/dev/vda && sync && echo MICRO-$(cat /sys/block/vda/size)-$(ls /dev/virtio-ports)-E''ND");
        Assert.Contains("MICRO-32768-org.qemu.guest_agent.0-END", await host.ReadUntilAsync(spec.Id, "-END"), StringComparison.Ordinal);
        Assert.Equal("kept\n"u8.ToArray(), (await File.ReadAllBytesAsync(path, GuestHost.Ct))[..5]);
        // No agent runs in it, so it is the button.
        var said = new List<string>();
        await PowerDownAsync(host, spec, 60, PowerDownFallback.Fail, said);
        Assert.NotEqual(Agent, Assert.Single(said));
        Assert.Equal(MachineEnd.GuestPowerOff, (await host.EventAsync<MachineEnded>(spec.Id)).End);
    }

    private static async Task PowerDownAsync(GuestHost host, MachineSpec spec, int seconds, PowerDownFallback fallback, List<string> said)
    {
        await foreach (var report in host.Host.ApplyAsync(new PowerDownMachine { MachineId = spec.Id, DeadlineSeconds = seconds, Fallback = fallback }, GuestHost.Ct))
            if (report is StepLog log)
                said.Add(log.Text);
    }
}
