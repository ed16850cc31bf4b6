using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Launch;

/// <summary>Whether machines that the portal starts may lock their memory (RLIMIT_MEMLOCK, getrlimit(2)): QEMU itself has no capability to go over the limit.</summary>
internal static class MemoryLock
{
    private const int CapSysResource = 24;

    /// <summary>Refuses a machine that would fail with QEMU's dry "mlockall: Cannot allocate memory".</summary>
    public static void Require(HostPaths paths, MachineSpec spec)
    {
        if (spec.Placement is not { Locked: true } || MayRaise(paths) || Limit(paths) is not { } limit || limit >= (long)ControlGroups.MemoryMaxMiB(spec) << 20)
            return;
        throw new HostException(HostError.NotAllowed, $"The portal may lock {limit >> 20} MiB of memory only, and may not raise that limit.")
        {
            Hint = "Set LimitMEMLOCK=infinity for the portal's service, or do not lock this machine's memory.",
        };
    }

    /// <summary>Of the portal itself, in bytes; null: none.</summary>
    private static long? Limit(HostPaths paths) =>
        (HostPaths.Read(paths.Proc("self/limits")) ?? "").Split('\n').FirstOrDefault(l => l.StartsWith("Max locked memory", StringComparison.Ordinal)) is { } line
        && line["Max locked memory".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var hard, ..] && long.TryParse(hard, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes)
            ? bytes : null;

    private static bool MayRaise(HostPaths paths) =>
        (HostPaths.Read(paths.Proc("self/status")) ?? "").Split('\n').FirstOrDefault(l => l.StartsWith("CapEff:", StringComparison.Ordinal)) is { } line
        && ulong.TryParse(line["CapEff:".Length..].Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var capabilities) && (capabilities >> CapSysResource & 1) == 1;
}
