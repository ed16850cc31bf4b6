using System.Diagnostics;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qemu;

namespace KvmPortal.Host.Tests.Qemu;

public sealed class KvmProofTests
{
    private const string Qemu = "/usr/bin/qemu-system-x86_64";

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>TCG runs 64-bit code rightly, so this shows that the guest is right and a failure on KVM is KVM's.</summary>
    [Fact]
    public async Task The_guest_itself_runs_to_its_end()
    {
        using var folder = new ScratchFolder();
        var (code, stderr) = await Proof(folder, 30).RunGuestAsync(Qemu, "tcg", Ct);
        Assert.Equal((KvmProof.Success, ""), (code, stderr));
    }

    /// <summary>Without long mode (a CPU model that has none) the guest must not succeed: the exit code proves 64-bit code.</summary>
    [Fact]
    public async Task A_CPU_without_long_mode_fails_the_guest()
    {
        using var folder = new ScratchFolder();
        var script = folder.In("qemu32");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\nexec {Qemu} \"$@\" -cpu qemu32\n", Ct);
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var (code, _) = await Proof(folder, 2).RunGuestAsync(script, "tcg", Ct);
        Assert.NotEqual(KvmProof.Success, code);
    }

    [Fact]
    public async Task The_verdict_is_one_of_the_three_and_is_kept_for_this_boot()
    {
        using var folder = new ScratchFolder();
        var proven = await Proof(folder, 5).ProveAsync(Qemu, "boot-1", again: false, Ct);
        Assert.NotEqual(KvmVerdict.Unproven, proven.Verdict);
        Assert.NotNull(proven.ProvenAt);
        Assert.Equal(File.Exists("/dev/kvm"), proven.Verdict != KvmVerdict.Absent);
        Assert.EndsWith(".", proven.Evidence);
        // A restarted portal knows it; a rebooted host does not.
        Assert.Equal(proven, Proof(folder, 5).Known("boot-1"));
        Assert.Equal(KvmVerdict.Unproven, Proof(folder, 5).Known("boot-2").Verdict);
        // Kept: a QEMU that is not even there is not asked.
        Assert.Equal(proven, await Proof(folder, 5).ProveAsync("/no/such/qemu", "boot-1", again: false, Ct));
    }

    [Fact]
    public async Task A_guest_that_hangs_is_ended_at_the_deadline()
    {
        using var folder = new ScratchFolder();
        var script = folder.In("qemu");
        var pidFile = folder.In("pid");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\necho $$ > {pidFile}\nexec sleep 1000\n", Ct);
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var clock = Stopwatch.StartNew();
        var (code, _) = await Proof(folder, 1).RunGuestAsync(script, "tcg", Ct);
        Assert.Null(code);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0.9, 10);
        Assert.False(Directory.Exists($"/proc/{(await File.ReadAllTextAsync(pidFile, Ct)).Trim()}"), "The process was left behind.");
    }

    [Fact]
    public void A_damaged_verdict_is_no_verdict()
    {
        using var folder = new ScratchFolder();
        File.WriteAllText(folder.In("kvm-proof.json"), "{\"BootId\":");
        Assert.Equal(KvmVerdict.Unproven, Proof(folder, 5).Known("boot-1").Verdict);
    }

    private static KvmProof Proof(ScratchFolder folder, int seconds) => new(folder.Path, TimeSpan.FromSeconds(seconds), TimeProvider.System);
}
