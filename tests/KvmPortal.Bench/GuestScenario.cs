using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace KvmPortal.Bench;

/// <summary>
/// What a guest of the general profile sees, against a plain QEMU line and against what virt-install makes by default: until its user space is up, reading and writing a disk, taking data from the host.
/// The same kernel, initramfs and disk size; the three in turns.
/// </summary>
internal static class GuestScenario
{
    private const int Rounds = 5;
    private const int MiB = 96;

    public static async Task RunAsync(Report report)
    {
        var guest = Path.Combine(Environment.GetEnvironmentVariable("KVMPORTAL_BENCH_GUEST") ?? ".cache/guest");
        var (kernel, initrd) = (Path.GetFullPath(Path.Combine(guest, "vmlinuz")), Path.GetFullPath(Path.Combine(guest, "initrd.img")));
        await using var portal = await RunningPortal.StartAsync();
        foreach (var (name, file) in ((string, string)[])[("kernel", kernel), ("initrd", initrd)])
        {
            await using var content = File.OpenRead(file);
            using var body = new StreamContent(content) { Headers = { ContentType = new("application/octet-stream") } };
            (await portal.Http.PostAsync($"/api/v1/images?name={name}", body)).EnsureSuccessStatusCode();
        }

        await portal.PostAsync("/api/v1/vms", new
        {
            name = "guest",
            accelerator = "tcg",
            cpu = new { count = 2 },
            memory = new { sizeMiB = 512 },
            boot = new { direct = new { kernel = "kernel", initrd = "initrd", commandLine = "console=ttyS0 quiet" } },
            disks = new[] { new { name = "disk0", sizeGiB = 1 } },
            nics = new[] { new { name = "net0" } },
            consoles = new { graphics = "none" },
        }, "wait=30");
        var argv = (await portal.PostAsync("/api/v1/vms/guest/actions/start?dryRun=true", null))["argv"]!.AsArray().Select(a => (string)a!).ToList();
        var run = argv.First(a => a.Contains("/qmp", StringComparison.Ordinal)) is var control ? control[(control.IndexOf("path=", StringComparison.Ordinal) + 5)..control.IndexOf("/qmp", StringComparison.Ordinal)] : "";
        var disk = Path.Combine(portal.Data, "plain.qcow2");
        var results = new Dictionary<string, List<Seen>>();
        for (var round = 0; round < Rounds; round++)
            foreach (var (name, line) in ((string, Func<string, List<string>>)[])
                [("portal, general profile", folder => [.. argv.Select(a => a.Replace(run, folder, StringComparison.Ordinal))]), ("plain QEMU line", folder => Plain(folder, kernel, initrd, disk)), ("virt-install's defaults", folder => VirtInstall(folder, kernel, initrd, disk))])
            {
                if (!name.StartsWith("portal", StringComparison.Ordinal))
                    await CommandAsync("qemu-img", "create", "-q", "-f", "qcow2", disk, "1G");
                var image = name.StartsWith("portal", StringComparison.Ordinal) ? Directory.GetFiles(Path.Combine(portal.Data, "disks"), "*", SearchOption.AllDirectories).First() : disk;
                if (!results.TryGetValue(name, out var seen))
                    results[name] = seen = [];
                seen.Add(await SeeAsync(line, image));
            }

        foreach (var (name, seen) in results)
        {
            report.Series($"{name}: boot to user space", [.. seen.Select(s => s.BootMilliseconds)], "ms");
            report.Series($"{name}: disk written (fsync)", [.. seen.Select(s => s.Write)], "MiB/s");
            report.Series($"{name}: disk read", [.. seen.Select(s => s.Read)], "MiB/s");
            report.Series($"{name}: network, host to guest", [.. seen.Select(s => s.Network)], "MiB/s");
        }

        var ours = results["portal, general profile"];
        foreach (var other in (string[])["plain QEMU line", "virt-install's defaults"])
        {
            double Ratio(Func<Seen, double> of) => Report.Median([.. ours.Select(of)]) / Report.Median([.. results[other].Select(of)]);
            // A tenth is what the same line differs by from run to run on a host that does other things, too.
            report.Target($"boot time against {other}", Ratio(s => s.BootMilliseconds), 1.1, atMost: true, " x");
            report.Target($"disk writing against {other}", Ratio(s => s.Write), 1.3, atMost: false, " x");
            report.Target($"disk reading against {other}", Ratio(s => s.Read), 1.3, atMost: false, " x");
            report.Target($"network against {other}", Ratio(s => s.Network), 0.9, atMost: false, " x");
        }
    }

    private sealed record Seen(double BootMilliseconds, double Write, double Read, double Network);

    private static List<string> Plain(string folder, string kernel, string initrd, string disk) =>
        ["qemu-system-x86_64", "-S", "-accel", "tcg", "-m", "512", "-smp", "2", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet", "-drive", $"file={disk},format=qcow2,if=virtio", "-nic", "user,model=virtio-net-pci",
            "-display", "none", "-serial", $"unix:{folder}/serial,server=on,wait=off", "-qmp", $"unix:{folder}/qmp,server=on,wait=off"];

    /// <summary>What libvirt 9 makes of virt-install --import with an OS that knows virtio, but for its own sockets and pci bridges.</summary>
    private static List<string> VirtInstall(string folder, string kernel, string initrd, string disk) =>
        ["qemu-system-x86_64", "-S", "-machine", "q35,usb=off,vmport=off,dump-guest-core=off,hpet=off", "-accel", "tcg", "-cpu", "max", "-m", "512", "-overcommit", "mem-lock=off", "-smp", "2,sockets=2,cores=1,threads=1", "-no-user-config", "-nodefaults",
            "-rtc", "base=utc,driftfix=slew", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet",
            "-blockdev", $$"""{"driver":"file","filename":"{{disk}}","node-name":"storage","auto-read-only":true,"discard":"unmap"}""", "-blockdev", """{"node-name":"format","read-only":false,"discard":"unmap","driver":"qcow2","file":"storage","backing":null}""",
            "-device", """{"driver":"virtio-blk-pci","drive":"format","id":"virtio-disk0"}""", "-netdev", "user,id=hostnet0", "-device", """{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0"}""",
            "-device", """{"driver":"virtio-balloon-pci","id":"balloon0"}""", "-object", """{"qom-type":"rng-random","id":"objrng0","filename":"/dev/urandom"}""", "-device", """{"driver":"virtio-rng-pci","rng":"objrng0","id":"rng0"}""",
            "-display", "none", "-serial", $"unix:{folder}/serial,server=on,wait=off", "-qmp", $"unix:{folder}/qmp,server=on,wait=off"];

    private static async Task<Seen> SeeAsync(Func<string, List<string>> line, string disk)
    {
        var folder = Directory.CreateTempSubdirectory("kvg-").FullName;
        var argv = line(folder);
        var info = new ProcessStartInfo(argv[0]) { RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in argv[1..])
            info.ArgumentList.Add(argument);
        var clock = Stopwatch.StartNew();
        using var qemu = Process.Start(info)!;
        var words = qemu.StandardError.ReadToEndAsync();
        try
        {
            await using var serial = await ConnectAsync(Path.Combine(folder, "serial"), qemu, words);
            await using (var control = await ConnectAsync(Path.Combine(folder, "qmp"), qemu, words))
            {
                await control.WriteAsync("{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\"}\n"u8.ToArray());
                using var answers = new StreamReader(control, leaveOpen: true);
                for (var i = 0; i < 3; i++)
                    await answers.ReadLineAsync();
            }

            var console = new GuestConsole(serial);
            await console.UntilAsync("GUEST-UP");
            var boot = clock.Elapsed.TotalMilliseconds;
            await Task.Delay(500);
            await console.SayAsync("\n");
            // Written twice: the first time makes the clusters.
            await console.RunAsync($"dd if=/dev/zero of=/dev/vda bs=1M count={MiB} conv=fsync");
            var write = MiB / await SecondsAsync(console, $"dd if=/dev/zero of=/dev/vda bs=1M count={MiB} conv=fsync");
            await console.RunAsync("echo 3 > /proc/sys/vm/drop_caches");
            // Nor from the host's memory.
            await CommandAsync("dd", $"of={disk}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none");
            var read = MiB / await SecondsAsync(console, $"dd if=/dev/vda of=/dev/null bs=1M count={MiB}");
            return new Seen(boot, write, read, await NetworkAsync(console));
        }
        finally
        {
            qemu.Kill();
            await qemu.WaitForExitAsync();
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>By the host's clock: the guest's dd does not tell.</summary>
    private static async Task<double> SecondsAsync(GuestConsole console, string command)
    {
        var clock = Stopwatch.StartNew();
        await console.RunAsync(command);
        return clock.Elapsed.TotalSeconds;
    }

    private static async Task<double> NetworkAsync(GuestConsole console)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var sending = SendAsync(listener);
        await console.RunAsync($"nc 10.0.2.2 {((IPEndPoint)listener.LocalEndpoint).Port} </dev/null >/dev/null");
        return await sending;
    }

    private static async Task<double> SendAsync(TcpListener listener)
    {
        using var client = await listener.AcceptTcpClientAsync();
        var clock = Stopwatch.StartNew();
        var part = new byte[1 << 20];
        for (var i = 0; i < MiB; i++)
            await client.GetStream().WriteAsync(part);
        client.Client.Shutdown(SocketShutdown.Send);
        // What the host's buffers still hold is a thousandth of it.
        return MiB / clock.Elapsed.TotalSeconds;
    }

    private static async Task<NetworkStream> ConnectAsync(string path, Process qemu, Task<string> words)
    {
        for (var tries = 0; ; tries++)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (SocketException) when (tries < 5000)
            {
                socket.Dispose();
                if (qemu.HasExited)
                    throw new InvalidOperationException($"QEMU ended: {await words}");
                await Task.Delay(2);
            }
        }
    }

    private static async Task CommandAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} ended with {process.ExitCode}.");
    }

    /// <summary>A shell on a serial line.</summary>
    private sealed class GuestConsole(Stream serial)
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
        private readonly StringBuilder heard = new();
        private readonly byte[] part = new byte[4096];
        private int commands;

        public async Task SayAsync(string text) => await serial.WriteAsync(Encoding.ASCII.GetBytes(text));

        public async Task<string> RunAsync(string command)
        {
            // Split, so that the echo of the command is not taken for its end.
            var mark = $"END-{++commands}-";
            await SayAsync($"{command}; echo {mark}\"\"$?.\n");
            return await UntilAsync(mark + "0.");
        }

        public async Task<string> UntilAsync(string mark)
        {
            using var deadline = new CancellationTokenSource(Patience);
            while (true)
            {
                var text = heard.ToString();
                if (text.IndexOf(mark, StringComparison.Ordinal) is >= 0 and var at)
                {
                    heard.Remove(0, at + mark.Length);
                    return text[..at];
                }

                var got = await serial.ReadAsync(part, deadline.Token);
                heard.Append(Encoding.ASCII.GetString(part, 0, got));
                if (got == 0)
                    throw new InvalidOperationException($"The guest is gone: {heard}");
            }
        }
    }
}
