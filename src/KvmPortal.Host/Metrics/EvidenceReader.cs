using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Pinning;

namespace KvmPortal.Host.Metrics;

/// <summary>Reads what the kernel has counted of one machine: proc(5), accounting/psi.rst and admin-guide/numastat.rst of the kernel's documentation.</summary>
internal sealed class EvidenceReader(HostPaths paths, TimeProvider time)
{
    private const int MostNodes = 1024;
    private static readonly string[] Resources = ["cpu", "memory", "io"];

    public MachineEvidence Read(MachineThreads machine)
    {
        var stat = AfterName(HostPaths.Read(paths.Proc($"{machine.Pid}/stat")) ?? "");
        return new MachineEvidence(time.GetUtcNow(), [.. machine.Vcpus.Select(v => Vcpu(machine.Pid, v))], Number(stat, 7), Number(stat, 9))
        {
            Pressure = [.. Resources.Select(r => Pressure(machine.Pid, r)).OfType<PressureEvidence>()],
            Nodes = [.. Nodes()],
        };
    }

    private VcpuEvidence Vcpu(int pid, int thread)
    {
        var times = (HostPaths.Read(paths.Proc($"{pid}/task/{thread}/schedstat")) ?? "").Split(' ');
        return new VcpuEvidence(Number(times, 0), Number(times, 1), Field(HostPaths.Read(paths.Proc($"{pid}/task/{thread}/status")), "nonvoluntary_ctxt_switches:"));
    }

    private PressureEvidence? Pressure(int pid, string resource)
    {
        if (OwnGroup(pid) is { } group && Read(Path.Combine(group, $"{resource}.pressure"), resource, true) is { } own)
            return own;
        return Read(paths.Proc($"pressure/{resource}"), resource, false);
    }

    private static PressureEvidence? Read(string file, string resource, bool ofMachine)
    {
        if (HostPaths.Read(file) is not { } text)
            return null;
        var lines = text.Split('\n');
        long? Total(string kind) => lines.FirstOrDefault(l => l.StartsWith(kind, StringComparison.Ordinal)) is { } line && line.LastIndexOf("total=", StringComparison.Ordinal) is > 0 and var at
            && long.TryParse(line.AsSpan(at + 6), NumberStyles.None, CultureInfo.InvariantCulture, out var total) ? total : null;
        return Total("some") is { } some ? new PressureEvidence(resource, file, ofMachine, some, Total("full")) : null;
    }

    /// <summary>The control group that only this machine is in; the portal names it vm-….</summary>
    private string? OwnGroup(int pid)
    {
        var mount = (HostPaths.Read(paths.Proc("self/mounts")) ?? "").Split('\n').Select(l => l.Split(' ')).FirstOrDefault(f => f.Length > 2 && f[2] == "cgroup2");
        var group = (HostPaths.Read(paths.Proc($"{pid}/cgroup")) ?? "").Split('\n').FirstOrDefault(l => l.StartsWith("0::/", StringComparison.Ordinal))?[4..];
        if (mount is null || group is null)
            return null;
        var parts = group.Split('/');
        var own = Array.FindIndex(parts, p => p.StartsWith("vm-", StringComparison.Ordinal));
        return own < 0 ? null : Path.Combine([paths.In(mount[1].TrimStart('/')), .. parts[..(own + 1)]]);
    }

    private IEnumerable<NodeEvidence> Nodes()
    {
        if (!Directory.Exists(paths.Sys("devices/system/node")))
            yield break;
        foreach (var folder in Directory.EnumerateDirectories(paths.Sys("devices/system/node"), "node*").Take(MostNodes).Order(StringComparer.Ordinal))
            if (int.TryParse(Path.GetFileName(folder.AsSpan())[4..], NumberStyles.None, CultureInfo.InvariantCulture, out var node) && HostPaths.Read(Path.Combine(folder, "numastat")) is { } text)
                yield return new NodeEvidence(node, Field(text, "numa_miss "), Field(text, "numa_foreign "));
    }

    private static long Field(string? text, string name) => (text ?? "").Split('\n').FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal)) is { } line
        && long.TryParse(line.AsSpan(name.Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private static long Number(string[] fields, int at) => at < fields.Length && long.TryParse(fields[at], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    /// <summary>Fields from the third on, counted from the last parenthesis because the name may contain anything: 7 is minflt, 9 is majflt.</summary>
    private static string[] AfterName(string stat) => stat.LastIndexOf(')') is > 0 and var end ? stat[(end + 2)..].Split(' ') : [];
}
