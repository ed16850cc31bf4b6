using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>The boot of a made-up guest: what it prints on its serial console and when.</summary>
internal static class BootLog
{
    public static readonly IReadOnlyList<(TimeSpan At, string Text)> Lines =
    [
        At(0, "Linux version 6.12.0-simulated (simulated@kvmportal) #1 SMP PREEMPT_DYNAMIC"),
        At(0, "Command line: console=ttyS0 root=/dev/vda1 ro"),
        At(10, "DMI: QEMU {machine}, BIOS simulated"),
        At(12, "Hypervisor detected: {accelerator}"),
        At(60, "Memory: {memory}K available"),
        At(110, "smp: Brought up 1 node, {cpus} CPU(s)"),
        At(320, "virtio_blk virtio1: [vda] 20971520 512-byte logical blocks (10.7 GB/10.0 GiB)"),
        At(430, "virtio_net virtio0 enp0s2: renamed from eth0"),
        At(700, "EXT4-fs (vda1): mounted filesystem ro with ordered data mode. Quota mode: none."),
        At(900, "systemd[1]: Detected virtualization kvm."),
        At(1000, "systemd[1]: Hostname set to <{name}>."),
        At(1400, "systemd[1]: Reached target network-online.target - Network is Online."),
        At(1800, "systemd[1]: Started ssh.service - OpenBSD Secure Shell server."),
        At(2000, "systemd[1]: Reached target multi-user.target - Multi-User System."),
    ];

    public static string Format(TimeSpan at, string text, MachineSpec spec) => string.Create(
        CultureInfo.InvariantCulture, $"[{at.TotalSeconds,12:F6}] {text}\r\n")
        .Replace("{machine}", spec.MachineType, StringComparison.Ordinal)
        .Replace("{accelerator}", spec.Accelerator.ToString().ToUpperInvariant(), StringComparison.Ordinal)
        .Replace("{memory}", (spec.Memory.SizeMiB * 1000L).ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
        .Replace("{cpus}", spec.Cpu.Count.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
        .Replace("{name}", spec.Name, StringComparison.Ordinal);

    private static (TimeSpan, string) At(int milliseconds, string text) => (TimeSpan.FromMilliseconds(milliseconds), text);
}
