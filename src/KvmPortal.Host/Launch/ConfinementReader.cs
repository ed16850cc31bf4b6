using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Launch;

/// <summary>Reads back from /proc (proc(5)) what really confines a running process. A measure that was not planned says why; one that was planned and is not there has failed.</summary>
internal sealed class ConfinementReader(HostPaths paths)
{
    private static readonly string[] Devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/kvm", "/dev/net/tun", "/dev/vhost-net", "/dev/vhost-vsock"];

    // Programs, its own view of the processes, and what name resolution reads: nothing that another machine or the portal keeps.
    private static readonly string[] Shared = ["/usr/", "/proc/", "/etc/"];

    /// <param name="skipped">Measures that were not planned, with the reason.</param>
    /// <param name="own">Paths below which the process may hold open files.</param>
    public IEnumerable<Measure> Read(int pid, int? uid, string runDirectory, IReadOnlyDictionary<string, string> skipped, IReadOnlyList<string> own)
    {
        var status = Status(pid);
        string Of(string key) => status.GetValueOrDefault(key) ?? "";
        var ids = Words(Of("Uid")).Concat(Words(Of("Gid"))).Distinct().ToList();
        yield return Judge(Measures.Identity, uid is not null && ids is [var only] && only == Text(uid.Value), ids is [var same] ? $"user and group {same}" : $"Uid {Of("Uid")}, Gid {Of("Gid")}");
        var groups = Words(Of("Groups"));
        yield return Judge(Measures.Groups, !groups.Contains("0") && groups.Length <= 1, groups.Length == 0 ? "none" : string.Join(' ', groups));
        var capabilities = ((string[])["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]).Select(set => (set, value: Of(set))).ToList();
        yield return Judge(Measures.Capabilities, capabilities.All(c => c.value.Length > 0 && c.value.All(x => x == '0')), capabilities.All(c => c.value.Length > 0 && c.value.All(x => x == '0')) ? "CapInh, CapPrm, CapEff, CapBnd and CapAmb are 0" : string.Join(", ", capabilities.Select(c => $"{c.set} {c.value}")));
        yield return Judge(Measures.NoNewPrivileges, Of("NoNewPrivs") == "1", $"NoNewPrivs {Of("NoNewPrivs")}");
        yield return Judge(Measures.Seccomp, Of("Seccomp") == "2", $"Seccomp {Of("Seccomp")}, filters {Of("Seccomp_filters")}");
        var mounts = (HostPaths.Read(paths.Proc($"{pid}/mountinfo")) ?? "").Split('\n').Length;
        yield return Judge(Measures.MountView, Differs(pid, "mnt") && Link($"{pid}/root") is { } root && mounts > 0, $"own mount namespace, {mounts} mounts");
        yield return Judge(Measures.Namespaces, Differs(pid, "ipc") && Differs(pid, "uts"), "own IPC and UTS namespaces");
        yield return Judge(Measures.Network, Differs(pid, "net"), "own network namespace without any card");
        var foreign = Foreign(pid, own);
        yield return Judge(Measures.Descriptors, foreign is { Count: 0 }, foreign is null ? "cannot be read" : foreign.Count == 0 ? "only its own files, sockets and devices" : string.Join(", ", foreign.Take(5)));
        var variables = (HostPaths.Read(paths.Proc($"{pid}/environ")) ?? "?").Split('\0', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')[0]).ToList();
        yield return Judge(Measures.Environment, variables.All(v => v is "PATH" or "LC_ALL" or "PWD" or "OLDPWD"), string.Join(' ', variables));
        var core = (HostPaths.Read(paths.Proc($"{pid}/limits")) ?? "").Split('\n').FirstOrDefault(l => l.StartsWith("Max core file size", StringComparison.Ordinal)) ?? "";
        yield return Judge(Measures.CoreDumps, Words(core) is [.., "0", "0", _], "core file size 0");
        yield return Judge(Measures.Umask, Of("Umask") == "0077", $"Umask {Of("Umask")}");
        yield return Judge(Measures.RunDirectory, Directory.Exists(runDirectory) && File.GetUnixFileMode(runDirectory) == (UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute),
            "0700, its own");

        Measure Judge(string name, bool holds, string evidence) =>
            holds ? new Measure(name, MeasureState.InForce, evidence)
            : skipped.TryGetValue(name, out var why) ? new Measure(name, MeasureState.Skipped, why)
            : new Measure(name, MeasureState.Failed, evidence);
    }

    /// <summary>A companion is confined when the same core measures hold for it.</summary>
    public Measure Companion(string name, int pid, int? uid)
    {
        var status = Status(pid);
        var held = (uid is null || status.GetValueOrDefault("Uid") is { } ids && Words(ids).All(x => x == Text(uid.Value)))
            && status.GetValueOrDefault("NoNewPrivs") == "1" && status.GetValueOrDefault("Seccomp") == "2" && (uid is null || status.GetValueOrDefault("CapEff") is { } cap && cap.All(c => c == '0'));
        return new Measure(Measures.Companions, held ? MeasureState.InForce : MeasureState.Failed,
            $"{name}: Uid {status.GetValueOrDefault("Uid")}, CapEff {status.GetValueOrDefault("CapEff")}, NoNewPrivs {status.GetValueOrDefault("NoNewPrivs")}, Seccomp {status.GetValueOrDefault("Seccomp")}");
    }

    private Dictionary<string, string> Status(int pid) =>
        (HostPaths.Read(paths.Proc($"{pid}/status")) ?? "").Split('\n').Select(l => l.Split(':', 2)).Where(f => f.Length == 2).ToDictionary(f => f[0], f => string.Join(' ', Words(f[1])));

    private bool Differs(int pid, string ns) => Link($"{pid}/ns/{ns}") is { } theirs && Link($"self/ns/{ns}") is { } ours && theirs != ours;

    /// <summary>Open files that are neither its own nor anonymous; null when they cannot be read.</summary>
    private List<string>? Foreign(int pid, IReadOnlyList<string> own)
    {
        try
        {
            return [.. Directory.EnumerateFileSystemEntries(paths.Proc($"{pid}/fd")).Select(fd => new FileInfo(fd).LinkTarget ?? "")
                .Where(target => target.StartsWith('/') && !Devices.Contains(target) && !target.StartsWith("/memfd:", StringComparison.Ordinal)
                    && !Shared.Any(s => target.StartsWith(s, StringComparison.Ordinal)) && !own.Any(o => target == o || target.StartsWith(o + "/", StringComparison.Ordinal)))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private string? Link(string path)
    {
        try
        {
            return new FileInfo(paths.Proc(path)).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string[] Words(string text) => text.Split((char[]?)[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
