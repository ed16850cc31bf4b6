using System.Diagnostics;

namespace KvmPortal.Bench;

/// <summary>A libvirtd of the bench's own, with its sockets in the bench's folder, and one domain like the portal's machine.</summary>
internal sealed class PrivateLibvirt : IAsyncDisposable
{
    private readonly List<Process> daemons;
    private readonly string uri;

    private PrivateLibvirt(List<Process> daemons, string uri)
    {
        (this.daemons, this.uri) = (daemons, uri);
    }

    /// <summary>Null where libvirt is not installed or does not start.</summary>
    public static async Task<PrivateLibvirt?> StartAsync(string folder)
    {
        if (!File.Exists("/usr/sbin/libvirtd"))
            return null;
        var home = Path.Combine(folder, "libvirt");
        Directory.CreateDirectory(home);
        var config = Path.Combine(home, "libvirtd.conf");
        await File.WriteAllTextAsync(config, $"unix_sock_dir = \"{home}\"\nauth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n");
        // As root in its own mount view: a libvirt user that may not open /dev/kvm, although QEMU was probed with it, makes every call probe anew.
        var qemu = Path.Combine(home, "qemu.conf");
        await File.WriteAllTextAsync(qemu, "user = \"root\"\ngroup = \"root\"\n");
        var daemons = new List<Process>
        {
            Start("/usr/sbin/virtlogd", "-p", $"{home}/virtlogd.pid"),
            Start("unshare", "--mount", "sh", "-c", $"mount --bind {qemu} /etc/libvirt/qemu.conf && exec /usr/sbin/libvirtd -f {config} -p {home}/libvirtd.pid"),
        };
        var libvirt = new PrivateLibvirt(daemons, $"qemu+unix:///system?socket={home}/libvirt-sock");
        var disk = Path.Combine(home, "disk.qcow2");
        await RunAsync("qemu-img", "create", "-q", "-f", "qcow2", disk, "1G");
        var xml = Path.Combine(home, "domain.xml");
        await File.WriteAllTextAsync(xml, $"""
            <domain type='qemu'><name>kvmportal-bench</name><uuid>6b766d70-6f72-4461-8c00-62656e636800</uuid><memory unit='MiB'>256</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
            <cpu mode='maximum'/><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
            <interface type='user'><model type='virtio'/></interface><serial type='pty'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
            <graphics type='vnc' socket='{home}/vnc.sock'/><video><model type='vga'/></video><memballoon model='virtio'/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices>
            <seclabel type='none'/></domain>
            """);
        for (var i = 0; i < 30; i++)
        {
            await Task.Delay(1000);
            if (await libvirt.VirshAsync("define", xml) == 0)
                return libvirt;
        }

        await libvirt.DisposeAsync();
        return null;
    }

    /// <summary>Milliseconds of one `virsh start`; the domain is destroyed afterwards. Null when libvirt cannot start it here; <see cref="Words"/> says why.</summary>
    public async Task<double?> StartDomainAsync()
    {
        var clock = Stopwatch.StartNew();
        if (await VirshAsync("start", "kvmportal-bench") != 0)
            return null;
        var took = clock.Elapsed.TotalMilliseconds;
        await VirshAsync("destroy", "kvmportal-bench");
        return took;
    }

    public async ValueTask DisposeAsync()
    {
        await VirshAsync("destroy", "kvmportal-bench");
        await VirshAsync("undefine", "kvmportal-bench");
        foreach (var daemon in Enumerable.Reverse(daemons))
        {
            daemon.Kill();
            await daemon.WaitForExitAsync();
            daemon.Dispose();
        }
    }

    /// <summary>What virsh last said on stderr.</summary>
    public string Words { get; private set; } = "";

    private async Task<int> VirshAsync(params string[] arguments)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var info = new ProcessStartInfo("virsh") { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in (string[])["-q", "-c", uri, .. arguments])
            info.ArgumentList.Add(argument);
        using var process = Process.Start(info)!;
        _ = process.StandardOutput.ReadToEndAsync();
        var words = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        Words = (await words).Trim();
        return process.ExitCode;
    }

    private static async Task<int> RunAsync(string program, params string[] arguments)
    {
        using var process = Start(program, arguments);
        await process.WaitForExitAsync();
        return process.ExitCode;
    }

    private static Process Start(string program, params string[] arguments)
    {
        var info = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in arguments)
            info.ArgumentList.Add(argument);
        var process = Process.Start(info)!;
        _ = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        return process;
    }
}
