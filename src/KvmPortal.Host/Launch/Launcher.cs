using System.Diagnostics;
using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;

namespace KvmPortal.Host.Launch;

/// <summary>What to start, and how it is to be confined.</summary>
internal sealed record ConfinedCommand
{
    /// <summary>Program first.</summary>
    public required IReadOnlyList<string> Argv { get; init; }
    /// <summary>Takes stdout and stderr; opened before anything is dropped.</summary>
    public required string Output { get; init; }
    public int? Uid { get; init; }
    /// <summary>Supplementary groups.</summary>
    public IReadOnlyList<int> Groups { get; init; } = [];
    /// <summary>Null: sees the host's file system.</summary>
    public MountView? View { get; init; }
    /// <summary>False: a network namespace without any card.</summary>
    public bool HostNetwork { get; init; } = true;
    /// <summary>May lock all of its memory (RLIMIT_MEMLOCK).</summary>
    public bool LocksMemory { get; init; }
    /// <summary>Its threads may be spread over control groups below its own, which systemd must then leave to the portal.</summary>
    public bool Partitioned { get; init; }
}

/// <summary>
/// Starts a program with everything dropped before exec. The chain is made of util-linux programs, each of which replaces the one before, so the pid stays:
/// <code>
///  sh      umask 077, rlimits, stdio to /dev/null and the log
///  setsid  a session of its own: neither Ctrl-C nor the portal's end reaches it
///  unshare mount, IPC, UTS and perhaps network namespace
///  sh      mounts the view, makes it the root, detaches the host's
///  setpriv uid, gid, groups, no capabilities, no new privileges
///  QEMU    its own seccomp filter (-sandbox)
/// </code>
/// No shell ever interprets an argument: the scripts are fixed, everything else is positional.
/// </summary>
internal sealed class Launcher
{
    private const string Outer = "umask 077; ulimit -c 0; ulimit -n 65536 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; test \"$2\" != locks || ulimit -l unlimited 2>/dev/null || ulimit -l \"$(ulimit -Hl)\"; out=$1; shift 2; exec \"$@\" </dev/null >\"$out\" 2>&1";
    private const string Inner = "set -e; mount -a -T \"$1\"; cd \"$2\"; pivot_root . old; umount -l /old; cd /; shift 2; exec \"$@\"";
    private readonly Lazy<string?> noView = new(WhyNoView);

    /// <summary>Whether the portal may change identities at all.</summary>
    public static bool IsRoot => Environment.IsPrivilegedProcess;

    /// <summary>Why machines cannot have their own mount view here; null when they can. Tried once.</summary>
    public string? NoView => noView.Value;

    /// <summary>Throws LaunchFailed when even the shell cannot be started.</summary>
    public static QemuProcess Spawn(ConfinedCommand command) => QemuProcess.Spawn([.. Chain(command)]);

    /// <summary>The whole command line, for <see cref="Spawn"/> and for tests.</summary>
    public static IEnumerable<string> Chain(ConfinedCommand command)
    {
        string[] outer = ["/bin/sh", "-c", Outer, "launch", command.Output, command.LocksMemory ? "locks" : "-", "setsid"];
        string[] unshare = command.View is null ? []
            : ["unshare", "--mount", "--ipc", "--uts", .. command.HostNetwork ? Array.Empty<string>() : ["--net"], "--propagation", "private"];
        string[] inner = command.View is { } view ? ["/bin/sh", "-c", Inner, "view", view.Table, view.Root] : [];
        return [.. outer, .. unshare, .. inner, .. Drop(command), .. command.Argv];
    }

    /// <summary>Only root can drop identity and bounding set; no_new_privs is for everybody.</summary>
    public static string[] Drop(ConfinedCommand command)
    {
        if (!IsRoot)
            return ["setpriv", "--no-new-privs"];
        string[] identity = command.Uid is not { } uid ? []
            : ["--reuid", Text(uid), "--regid", Text(uid), .. command.Groups.Count == 0 ? (string[])["--clear-groups"] : ["--groups", string.Join(',', command.Groups.Select(Text))]];
        return ["setpriv", .. identity, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"];
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string? WhyNoView()
    {
        if (!IsRoot)
            return "The portal does not run as root, and only root can make mount views.";
        try
        {
            var info = new ProcessStartInfo("unshare") { RedirectStandardError = true };
            foreach (var argument in (string[])["--mount", "--ipc", "--uts", "--propagation", "private", "true"])
                info.ArgumentList.Add(argument);
            using var process = Process.Start(info)!;
            var words = process.StandardError.ReadToEnd().Trim();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : $"This host does not let the portal make namespaces: {words}";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "The program unshare (package util-linux) is not installed.";
        }
    }
}

/// <summary>Gives files to a machine's user, and finds out whether that user can reach them.</summary>
internal static class Ownership
{
    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Only this user may read and write it.</summary>
    public static void GiveFile(string path, int uid)
    {
        LinuxFiles.Own(path, uid);
        File.SetUnixFileMode(path, Owner);
    }

    /// <summary>Only this user may look into it; made when it is missing.</summary>
    public static void GiveFolder(string path, int? uid)
    {
        Directory.CreateDirectory(path, Owner | UnixFileMode.UserExecute);
        if (uid is not { } owner)
            return;
        LinuxFiles.Own(path, owner);
        File.SetUnixFileMode(path, Owner | UnixFileMode.UserExecute);
    }

    /// <summary>Everybody who can reach it may read it: an image, reachable through a view or a folder that only lets pass.</summary>
    public static void LetRead(string path)
    {
        var mode = File.GetUnixFileMode(path);
        if (!mode.HasFlag(UnixFileMode.OtherRead))
            File.SetUnixFileMode(path, mode | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
    }

    /// <summary>The first folder above <paramref name="path"/> that strangers cannot pass; null when they reach it.</summary>
    public static string? Barrier(string path)
    {
        for (var folder = Path.GetDirectoryName(path); !string.IsNullOrEmpty(folder); folder = Path.GetDirectoryName(folder))
            if (!File.GetUnixFileMode(folder).HasFlag(UnixFileMode.OtherExecute))
                return folder;
        return null;
    }
}
