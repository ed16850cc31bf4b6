using System.Diagnostics;
using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>
/// Starts a program as a transient service of systemd with its sandbox directives (systemd.exec(5), systemd.resource-control(5)). It is a child of systemd, so a
/// restart of the portal's own unit does not reach it. The identity is set by setpriv inside of the unit, because systemd takes only users that have a name.
/// </summary>
internal static class SystemdUnits
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly string[] Sandbox =
    [
        "UMask=0077", "NoNewPrivileges=yes", "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_SETPCAP", "DevicePolicy=closed", "PrivateDevices=yes", "PrivateIPC=yes", "ProtectHostname=yes",
        "ProtectProc=invisible", "ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectClock=yes", "RestrictNamespaces=yes",
        "RestrictSUIDSGID=yes", "LockPersonality=yes", "RestrictRealtime=yes", "SystemCallArchitectures=native", "KeyringMode=private", "LimitCORE=0", "LimitNOFILE=65536",
        "KillMode=mixed", "SendSIGKILL=no", "Slice=kvmportal.slice", "StandardError=inherit", "StandardInput=null",
    ];

    /// <summary>Whether systemd is this host's first process (sd_booted(3)) and takes orders from us.</summary>
    public static bool Available { get; } = Launcher.IsRoot && Directory.Exists("/run/systemd/system");

    /// <summary>Starts the unit and finds its process. Throws LaunchFailed with systemd's words.</summary>
    public static async Task<QemuProcess> StartAsync(string unit, ConfinedCommand command, IReadOnlyList<ViewFile> files, ControlGroupSpec limits, int memoryMaxMiB, string? ioDevice, CancellationToken ct)
    {
        var (code, words) = await RunAsync("systemd-run", Arguments(unit, command, files, limits, memoryMaxMiB, ioDevice), ct);
        if (code != 0)
            throw new HostException(HostError.LaunchFailed, $"systemd did not start the machine's unit {unit}: {words}");
        var (_, main) = await RunAsync("systemctl", ["show", "--property=MainPID", "--value", $"{unit}.service"], ct);
        return int.TryParse(main, NumberStyles.None, CultureInfo.InvariantCulture, out var pid) && pid > 0 && QemuProcess.ReadStartTicks(pid) is { } ticks && QemuProcess.Find(pid, ticks) is { } process
            ? process : throw new HostException(HostError.LaunchFailed, "QEMU ended while it started.");
    }

    /// <summary>Restarts a service if it runs; null when that went well, else systemd's words.</summary>
    public static async Task<string?> TryRestartAsync(string service, CancellationToken ct) =>
        await RunAsync("systemctl", ["try-restart", service], ct) is var (code, words) && code == 0 ? null : words;

    /// <summary>The arguments of systemd-run; pure, for tests.</summary>
    public static IReadOnlyList<string> Arguments(string unit, ConfinedCommand command, IReadOnlyList<ViewFile> files, ControlGroupSpec limits, int memoryMaxMiB, string? ioDevice)
    {
        List<string> properties =
        [
            .. Sandbox,
            // Nothing but the system's programs and its own files.
            "TemporaryFileSystem=/:ro",
            $"BindReadOnlyPaths={string.Join(' ', ((string[])["/usr", "-/lib", "-/lib64", "-/bin", "-/sbin"]).Concat(files.Where(f => !f.Writable).Select(f => Quote("-" + f.Path) + (f.At is null ? "" : ":" + Quote(f.At)))))}",
            $"BindPaths={string.Join(' ', files.Where(f => f.Writable).Select(f => Quote("-" + f.Path)))}",
            .. files.Where(f => f.Device).Select(f => $"DeviceAllow={f.Path} rw"),
            $"PrivateNetwork={(command.HostNetwork ? "no" : "yes")}",
            $"StandardOutput=truncate:{command.Output}",
            $"CPUWeight={limits.CpuWeight}", $"IOWeight={limits.IoWeight}", $"TasksMax={limits.TasksMax}", $"MemoryMax={memoryMaxMiB}M",
        ];
        if (command.Partitioned)
            properties.Add("Delegate=cpuset");
        if (command.LocksMemory)
            properties.Add("LimitMEMLOCK=infinity");
        if (limits.CpuPercent is { } percent)
            properties.Add($"CPUQuota={percent}%");
        if (ioDevice is not null)
            foreach (var (name, value) in ((string, long)[])[("IOReadBandwidthMax", limits.IoReadMiBps * 1048576L), ("IOWriteBandwidthMax", limits.IoWriteMiBps * 1048576L),
                ("IOReadIOPSMax", limits.IoReadIops), ("IOWriteIOPSMax", limits.IoWriteIops)])
                if (value > 0)
                    properties.Add(string.Create(CultureInfo.InvariantCulture, $"{name}=/dev/block/{ioDevice} {value}"));
        return
        [
            "--quiet", "--collect", $"--description=Virtual machine of KvmPortal, {unit}", "--service-type=exec", $"--unit={unit}", .. properties.Select(p => $"--property={p}"), "--",
            // systemd adds variables of its own.
            "/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", .. Launcher.Drop(command), .. command.Argv,
        ];
    }

    /// <summary>systemd.syntax(7): a word in quotes, with backslashes and quotes escaped, and specifiers switched off.</summary>
    private static string Quote(string path) => $"\"{path.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("%", "%%", StringComparison.Ordinal)}\"";

    private static async Task<(int Code, string Words)> RunAsync(string program, IReadOnlyList<string> arguments, CancellationToken ct)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(Patience);
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        try
        {
            var (output, error) = (process.StandardOutput.ReadToEndAsync(deadline.Token), process.StandardError.ReadToEndAsync(deadline.Token));
            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, $"{await output}{await error}".Trim());
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            process.Kill();
            throw new HostException(HostError.Timeout, $"{program} did not answer within {Patience.TotalSeconds} s.");
        }
    }
}
