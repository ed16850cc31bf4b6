using System.Diagnostics;
using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>
/// A program of ours on the host: spawned in a session of its own, so that neither Ctrl-C nor the portal's end reaches it, or found again by its pid and
/// start time.
/// </summary>
internal sealed class QemuProcess
{
    private readonly Process? child;

    private QemuProcess(int pid, long startTicks, Process? child)
    {
        (Pid, StartTicks, this.child) = (pid, startTicks, child);
    }

    public int Pid { get; }

    /// <summary>Start time in clock ticks since boot (/proc/PID/stat field 22): with the pid it names one process for ever.</summary>
    public long StartTicks { get; }

    /// <summary>Spawns with a clean environment, in the root folder. The program is to take care of its own stdio (see <see cref="Launcher"/>).</summary>
    /// <param name="command">Program first.</param>
    public static QemuProcess Spawn(IReadOnlyList<string> command)
    {
        var info = new ProcessStartInfo(command[0], command.Skip(1)) { UseShellExecute = false, WorkingDirectory = "/" };
        info.Environment.Clear();
        info.Environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        info.Environment["LC_ALL"] = "C";
        var process = Process.Start(info) ?? throw new HostException(HostError.LaunchFailed, "The process could not be started.");
        return new QemuProcess(process.Id, ReadStartTicks(process.Id) ?? 0, process);
    }

    /// <summary>A process that runs already; null when there is none of that pid and start time.</summary>
    public static QemuProcess? Find(int pid, long startTicks) => ReadStartTicks(pid) == startTicks ? new QemuProcess(pid, startTicks, null) : null;

    /// <summary>Running processes one of whose arguments fits. For rare occasions: it reads every command line.</summary>
    public static List<QemuProcess> WithArgument(Func<string, bool> fits) => [.. Running().Where(r => r.Arguments.Any(fits)).Select(r => r.Process)];

    /// <summary>
    /// Running processes by what stands behind an option: `-pidfile` names a machine's QEMU (and who is about to become it). Somebody who just looks at such a file has no such option.
    /// </summary>
    public static ILookup<string, QemuProcess> ByOption(params IReadOnlyList<string> options) =>
        Running().SelectMany(r => r.Arguments.Zip(r.Arguments.Skip(1)).Where(pair => options.Contains(pair.First)).Select(pair => (pair.Second, r.Process))).ToLookup(f => f.Second, f => f.Process);

    private static IEnumerable<(QemuProcess Process, string[] Arguments)> Running()
    {
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out var pid) && pid != Environment.ProcessId
                && Linux.HostPaths.Read(Path.Combine(folder, "cmdline")) is { } line && ReadStartTicks(pid) is { } ticks)
                yield return (new QemuProcess(pid, ticks, null), line.Split('\0'));
    }

    public bool HasEnded => child is not null ? child.HasExited : ReadStartTicks(Pid) != StartTicks;

    /// <summary>Exit code, 128 + signal for a killed process; null when it was not our child or has not ended.</summary>
    public int? ExitCode => child is { HasExited: true } ? child.ExitCode : null;

    /// <summary>Waits for the end; false when <paramref name="patience"/> ran out.</summary>
    public async Task<bool> WaitForEndAsync(TimeSpan patience, CancellationToken ct)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(patience);
        try
        {
            if (child is not null)
                await child.WaitForExitAsync(deadline.Token);
            else
                // Mostly it is about to end, so looks come soon; at one that hangs, and lives on, ever more rarely.
                for (var pause = 10; !HasEnded; pause = Math.Min(200, pause + 10))
                    await Task.Delay(pause, deadline.Token);
            return true;
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>Sends a signal to exactly this process; harmless when it has ended.</summary>
    public void Signal(PosixSignalNumber signal)
    {
        if (!HasEnded)
            _ = NativeProcess.Kill(Pid, (int)signal);
    }

    /// <summary>Field 22 of /proc/PID/stat; null when there is no such process or it is a zombie.</summary>
    public static long? ReadStartTicks(int pid)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            // The name in parentheses may contain anything, so fields are counted from the last parenthesis.
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] is "Z" or "X" ? null : long.Parse(fields[19], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
        {
            return null;
        }
    }
}

/// <summary>Signal numbers of Linux on x86-64 and arm64.</summary>
internal enum PosixSignalNumber
{
    Kill = 9,
    Term = 15,
}

internal static partial class NativeProcess
{
    [System.Runtime.InteropServices.LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    public static partial int Kill(int pid, int signal);
}
