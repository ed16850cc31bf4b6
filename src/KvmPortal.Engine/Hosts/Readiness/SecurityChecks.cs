using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>What keeps machines apart, and what proves that the host is what it seems.</summary>
internal static class SecurityChecks
{
    private static readonly string[] Controllers = ["cpu", "cpuset", "io", "memory"];

    public static IReadOnlyList<Check> All { get; } =
    [
        new("mitigations", Say.MitigationsTitle, Say.MitigationsMeaning, Mitigations) { MattersFor = [Audience.EveryVm, Audience.Isolation, Audience.Mlps], HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal, Purpose.ConfidentialVms] },
        new("cgroup-v2", Say.CgroupTitle, Say.CgroupMeaning, Cgroup) { MattersFor = [Audience.EveryVm, Audience.BareMetalClass, Audience.Isolation], HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal, Purpose.KataContainers] },
        new("security-module", Say.LsmTitle, Say.LsmMeaning, Lsm) { MattersFor = [Audience.Isolation, Audience.Mlps], HelpsFor = [Purpose.ConfidentialVms] },
        new("tpm", Say.TpmTitle, Say.TpmMeaning, Tpm) { MattersFor = [Audience.Isolation, Audience.Mlps], HelpsFor = [Purpose.ConfidentialVms] },
        new("secure-boot", Say.SecureBootTitle, Say.SecureBootMeaning, SecureBoot) { MattersFor = [Audience.Isolation, Audience.Mlps], HelpsFor = [Purpose.ConfidentialVms] },
        new("confidential-computing", Say.ConfidentialTitle, Say.ConfidentialMeaning, Confidential) { MattersFor = [Audience.Isolation], RequiredFor = [Purpose.ConfidentialVms] },
    ];

    private static Finding Mitigations(ReadinessInput input)
    {
        var all = input.Inventory.Kernel.Vulnerabilities;
        const string Folder = "/sys/devices/system/cpu/vulnerabilities";
        if (all.Count == 0)
            return Unknown(Say.MitigationsUnknown, File(Folder, null));
        // "KVM: Vulnerable" and the like count: it is guests that matter here.
        var open = all.Where(v => v.Value.StartsWith("Vulnerable", StringComparison.Ordinal) || v.Value.Contains("KVM: Vulnerable", StringComparison.Ordinal)).OrderBy(v => v.Key, StringComparer.Ordinal).ToList();
        return open.Count == 0 ? Ready(Say.MitigationsGood, File(Folder, $"{all.Count}"))
            : But(Say.MitigationsOpen(Some(open.Select(v => v.Key), 12)), [Command(Say.MitigationsFix)], open.Select(v => File($"{Folder}/{v.Key}", Short(v.Value))).ToList());
    }

    private static Finding Cgroup(ReadinessInput input)
    {
        var kernel = input.Inventory.Kernel;
        var evidence = File("/sys/fs/cgroup/cgroup.controllers", kernel.CgroupControllers.Count == 0 ? null : string.Join(" ", kernel.CgroupControllers));
        if (kernel.CgroupVersion == "none" && input.Facts is null)
            return Unknown(Say.CannotBeTold, evidence);
        if (kernel.CgroupVersion != "v2")
            return Missing(kernel.CgroupVersion == "none" ? Say.CgroupNone : Say.CgroupOld($"cgroup {kernel.CgroupVersion}"), [Boot(Say.CgroupFix, "systemd.unified_cgroup_hierarchy=1")], evidence);
        var lacks = Controllers.Except(kernel.CgroupControllers).ToList();
        return lacks.Count == 0 ? Ready(Say.CgroupTwo, evidence) : But(Say.CgroupLacks(string.Join(", ", lacks)), [], evidence);
    }

    private static Finding Lsm(ReadinessInput input)
    {
        var modules = input.Inventory.Kernel.SecurityModules;
        var evidence = File("/sys/kernel/security/lsm", modules.Count == 0 ? null : string.Join(",", modules));
        var wall = modules.FirstOrDefault(m => m is "apparmor" or "selinux" or "smack" or "tomoyo");
        return wall is not null ? Ready(Say.LsmThere(wall), evidence) : But(Say.LsmNone, [Boot(Say.LsmFix, "lsm=landlock,yama,apparmor")], evidence);
    }

    private static Finding Tpm(ReadinessInput input)
    {
        var evidence = File("/sys/class/tpm/tpm0/tpm_version_major", input.Inventory.Security.TpmVersion);
        return input.Inventory.Security.TpmVersion switch
        {
            2 => Ready(Say.TpmTwo, evidence),
            null => Missing(Say.TpmNone, [Firmware(Say.TpmFirmware)], evidence),
            _ => But(Say.TpmOld, [Firmware(Say.TpmFirmware)], evidence),
        };
    }

    private static Finding SecureBoot(ReadinessInput input)
    {
        var security = input.Inventory.Security;
        const string Variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        Fix[] fix = [Firmware(Say.SecureBootFirmware)];
        if (!security.Uefi && input.Facts is null)
            return Unknown(Say.CannotBeTold, File("/sys/firmware/efi", null));
        if (!security.Uefi)
            return Missing(Say.SecureBootBios, fix, File("/sys/firmware/efi", null));
        return security.SecureBoot switch
        {
            true => Ready(Say.SecureBootOn, File(Variable, "1")),
            false => Missing(Say.SecureBootOff, fix, File(Variable, "0")),
            null => Unknown(Say.SecureBootUnknown, File(Variable, null)),
        };
    }

    private static Finding Confidential(ReadinessInput input)
    {
        var security = input.Inventory.Security;
        (string Name, ConfidentialState State)[] full = [("SEV-SNP", security.SevSnp), ("TDX", security.Tdx)];
        (string Name, ConfidentialState State)[] older = [("SEV-ES", security.SevEs), ("SEV", security.Sev), ("SGX", security.Sgx)];
        var evidence = full.Concat(older).Where(c => c.State != ConfidentialState.Absent).Select(c => new Evidence(c.Name, c.State == ConfidentialState.Enabled ? "on" : "CPU")).ToList();
        string Names((string Name, ConfidentialState State)[] some, ConfidentialState state) => string.Join(", ", some.Where(c => c.State == state).Select(c => c.Name));
        if (Names(full, ConfidentialState.Enabled) is { Length: > 0 } on)
            return Ready(Say.ConfidentialOn(on), evidence);
        if (Names(full, ConfidentialState.CpuOnly) is { Length: > 0 } could)
            return Missing(Say.ConfidentialCpuOnly(could), [Firmware(Say.ConfidentialFirmware)], evidence);
        // Intel's SGX protects programs, not machines.
        var half = older.Where(c => c.Name != "SGX").ToArray();
        if (Names(half, ConfidentialState.Enabled) is { Length: > 0 } weak)
            return But(Say.ConfidentialOlder(weak), [Purchase(Say.ConfidentialPurchase)], evidence);
        return Names(half, ConfidentialState.CpuOnly) is { Length: > 0 } idle ? Missing(Say.ConfidentialCpuOnly(idle), [Firmware(Say.ConfidentialFirmware)], evidence)
            : Missing(Say.ConfidentialNone, [Purchase(Say.ConfidentialPurchase)], evidence);
    }
}
