using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>Programs, users, room and time.</summary>
internal static class HostChecks
{
    public static IReadOnlyList<Check> All { get; } =
    [
        new("qemu", Say.QemuTitle, Say.QemuMeaning, input => Installed(input, "qemu", Package(input, "qemu-system-x86", "qemu-system-arm"), Verdict.Missing)) { MattersFor = [Audience.EveryVm], RequiredFor = [Purpose.OrdinaryVms, Purpose.BareMetal, Purpose.EncryptedMigration] },
        new("ovmf", Say.OvmfTitle, Say.OvmfMeaning, input => Installed(input, "ovmf", Package(input, "ovmf", "qemu-efi-aarch64"))) { MattersFor = [Audience.EveryVm, Audience.Gpu], HelpsFor = [Purpose.OrdinaryVms, Purpose.GpuPassthrough, Purpose.ConfidentialVms] },
        new("swtpm", Say.SwtpmTitle, Say.SwtpmMeaning, input => Installed(input, "swtpm", "swtpm")) { MattersFor = [Audience.EveryVm], HelpsFor = [Purpose.OrdinaryVms] },
        new("virtiofsd", Say.VirtiofsdTitle, Say.VirtiofsdMeaning, input => Installed(input, "virtiofsd", "virtiofsd")) { HelpsFor = [Purpose.KataContainers] },
        new("machine-users", Say.MachineUsersTitle, Say.MachineUsersMeaning, Users) { MattersFor = [Audience.EveryVm, Audience.Isolation, Audience.Mlps], HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal] },
        new("free-space", Say.FreeSpaceTitle, Say.FreeSpaceMeaning, Space) { MattersFor = [Audience.EveryVm], HelpsFor = [Purpose.OrdinaryVms] },
        new("time-sync", Say.TimeSyncTitle, Say.TimeSyncMeaning, Time) { MattersFor = [Audience.EveryVm, Audience.Migration, Audience.Mlps], HelpsFor = [Purpose.OrdinaryVms, Purpose.EncryptedMigration] },
    ];

    private static string Package(ReadinessInput input, string x86, string arm) => input.Inventory.Cpu.Architecture == "aarch64" ? arm : x86;

    private static Finding Installed(ReadinessInput input, string name, string package, Verdict without = Verdict.WorksBut)
    {
        var version = input.Inventory.Software.FirstOrDefault(s => s.Name == name)?.Version ?? (name == "qemu" ? input.Facts?.Qemu.Version : null);
        var evidence = File("/var/lib/dpkg/status", version is null ? null : $"{name} {Short(version, 60)}");
        if (version is null && input.Facts is null && input.Inventory.Software.Count == 0)
            return Unknown(Say.CannotBeTold, evidence);
        return version is "?" ? Ready(Say.SoftwareInstalled, evidence) : version is not null ? Ready(Say.SoftwareThere(Short(version, 60)), evidence) : new Finding(without, Say.SoftwareMissing, [evidence], [Command(Say.SoftwareInstall(package))]);
    }

    private static Finding Users(ReadinessInput input)
    {
        if (input.RunsAsRoot is not { } root)
            return Unknown(Say.DoctorNotHere);
        if (!root || input.MachineUids is not var (first, last))
            return But(Say.MachineUsersNotRoot, [Command(Say.MachineUsersRoot)]);
        var taken = input.Inventory.UserIds.Where(u => u.First <= last && u.Last >= first).ToList();
        return taken.Count > 0 ? But(Say.MachineUsersTaken($"{first}-{last}", Some(taken.Select(u => u.Owner))), [Command(Say.MachineUsersFix)], taken.Take(8).Select(u => new Evidence(u.Source, $"{u.Owner}: {u.First}-{u.Last}")).ToList())
            : Ready(Say.MachineUsersReady($"{first}-{last}"), new Evidence("/etc/passwd", "-"), new Evidence("/etc/subuid", "-"));
    }

    private static Finding Space(ReadinessInput input)
    {
        if (input.Facts?.Storage is not { TotalBytes: > 0 } storage)
            return Unknown(Say.FreeSpaceUnknown);
        var said = Say.FreeSpaceIs($"{storage.FreeBytes >> 30}", $"{storage.TotalBytes >> 30}", storage.Path);
        var evidence = new Evidence("statvfs", $"{storage.FreeBytes} of {storage.TotalBytes} bytes");
        return storage.FreeBytes < Math.Max(storage.TotalBytes / 10, 10L << 30) ? But(said, [Command(Say.FreeSpaceFix)], evidence) : Ready(said, evidence);
    }

    private static Finding Time(ReadinessInput input)
    {
        var name = input.Inventory.Kernel.TimeService;
        var evidence = new Evidence("/proc/*/comm", name ?? "-");
        if (name is null && input.Inventory.Kernel.Irqbalance is null)
            return Unknown(Say.DoctorNotHere, evidence);
        return name is not null ? Ready(Say.TimeSyncThere(Short(name, 40)), evidence) : But(Say.TimeSyncNone, [Command(Say.TimeSyncFix)], evidence);
    }
}
