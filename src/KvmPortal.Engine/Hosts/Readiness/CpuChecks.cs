using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>What the processor brings.</summary>
internal static class CpuChecks
{
    private const string CpuInfo = "/proc/cpuinfo";

    public static IReadOnlyList<Check> All { get; } =
    [
        new("cpu-virtualization", Say.CpuVirtualizationTitle, Say.CpuVirtualizationMeaning, Virtualization)
        {
            MattersFor = [Audience.EveryVm, Audience.BareMetalClass, Audience.Isolation],
            HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal],
        },
        new("second-level-paging", Say.SecondLevelPagingTitle, Say.SecondLevelPagingMeaning, SecondLevelPaging)
        {
            MattersFor = [Audience.EveryVm, Audience.BareMetalClass],
            RequiredFor = [Purpose.BareMetal],
            HelpsFor = [Purpose.OrdinaryVms, Purpose.GpuPassthrough],
        },
        new("interrupt-virtualization", Say.InterruptVirtualizationTitle, Say.InterruptVirtualizationMeaning, InterruptVirtualization)
        {
            MattersFor = [Audience.BareMetalClass, Audience.LowLatency, Audience.Gpu],
            HelpsFor = [Purpose.BareMetal, Purpose.GpuPassthrough, Purpose.SriovNetworking],
        },
        new("cpu-aes", Say.AesTitle, Say.AesMeaning, input => Has(input.Inventory.Cpu, "aes"))
        {
            MattersFor = [Audience.Migration, Audience.Mlps],
            RequiredFor = [Purpose.EncryptedMigration],
        },
        new("core-kinds", Say.HybridTitle, Say.HybridMeaning, Kinds)
        {
            MattersFor = [Audience.BareMetalClass, Audience.LowLatency],
            HelpsFor = [Purpose.BareMetal],
        },
        new("smt", Say.SmtTitle, Say.SmtMeaning, Smt)
        {
            MattersFor = [Audience.LowLatency, Audience.Isolation, Audience.Mlps],
            HelpsFor = [Purpose.BareMetal],
        },
    ];

    private static bool IsX86(HostInventory host) => host.Cpu.Architecture == "x86_64";

    private static Finding Virtualization(ReadinessInput input)
    {
        var host = input.Inventory;
        var flag = host.Cpu.Flags.FirstOrDefault(f => f is "vmx" or "svm");
        if (flag is not null)
            return Ready(Say.CpuVirtualizationThere(flag), File(CpuInfo, $"flags: … {flag} …"));
        if (!IsX86(host))
            return host.Kvm.Device ? Ready(Say.CpuVirtualizationByDevice, File("/dev/kvm", "there")) : Unknown(Say.CpuVirtualizationByDevice, File("/dev/kvm", null));
        var evidence = File(CpuInfo, host.Cpu.Flags.Count == 0 ? null : "flags: no vmx, no svm" + (host.Cpu.HypervisorBelow ? "; hypervisor" : ""));
        var fix = host.Cpu.HypervisorBelow ? Firmware(Say.NestedBelowFix) : Firmware(Say.CpuVirtualizationFirmware);
        return host.Kvm.Device ? But(Say.CpuVirtualizationOther, [fix], evidence, File("/dev/kvm", "there")) : Missing(Say.CpuVirtualizationNone, [fix], evidence);
    }

    private static Finding SecondLevelPaging(ReadinessInput input)
    {
        var host = input.Inventory;
        var (module, name) = host.Cpu.Flags.Contains("svm") ? ("kvm_amd", "npt") : ("kvm_intel", "ept");
        var parameter = File($"/sys/module/{module}/parameters/{name}", host.Kvm.Parameters.GetValueOrDefault($"{module}.{name}"));
        switch (host.Kvm.SecondLevelPaging)
        {
            case true:
                return Ready(Say.SecondLevelPagingOn, parameter);
            case false:
                return Missing(Say.SecondLevelPagingOff, [Boot(Say.AddBootParameter, $"{module}.{name}=1")], parameter);
        }

        if (!IsX86(host))
            return host.Kvm.Device ? Ready(Say.SecondLevelPagingOn, File("/dev/kvm", "there")) : Unknown(Say.CannotBeTold, File("/dev/kvm", null));
        if (host.Cpu.VmxFlags.Contains("ept") || host.Cpu.Flags.Contains("ept") || host.Cpu.Flags.Contains("npt"))
            return But(Say.SecondLevelPagingIdle, [Command(Say.ModuleLoad(module))], File(CpuInfo, $"… {name} …"), parameter);
        return host.Kvm.Device ? Unknown(Say.CannotBeTold, parameter) : Missing(Say.SecondLevelPagingNone, [host.Cpu.HypervisorBelow ? Firmware(Say.NestedBelowFix) : Firmware(Say.CpuVirtualizationFirmware)], parameter);
    }

    private static Finding InterruptVirtualization(ReadinessInput input)
    {
        var host = input.Inventory;
        var key = host.Kvm.Parameters.ContainsKey("kvm_amd.avic") ? "kvm_amd.avic" : "kvm_intel.enable_apicv";
        var value = host.Kvm.Parameters.GetValueOrDefault(key);
        var evidence = File($"/sys/module/{key.Replace(".", "/parameters/", StringComparison.Ordinal)}", value);
        if (value is not null)
            return value is "Y" or "1" ? Ready(Say.InterruptVirtualizationOn, evidence) : But(Say.InterruptVirtualizationOff, [Boot(Say.AddBootParameter, $"{key}=1")], evidence);
        if (!IsX86(host))
            return Unknown(Say.CannotBeTold, evidence);
        return But(Say.InterruptVirtualizationNone, [], File(CpuInfo, "vmx flags: no apicv, no posted_intr"));
    }

    private static Finding Has(CpuInventory cpu, string flag) => cpu.Flags.Count == 0 ? Unknown(Say.CannotBeTold, File(CpuInfo, null))
        : cpu.Flags.Contains(flag) ? Ready(Say.FlagThere(flag), File(CpuInfo, $"… {flag} …")) : Missing(Say.FlagMissing(flag), [], File(CpuInfo, $"no {flag}"));

    private static Finding Kinds(ReadinessInput input)
    {
        var cpus = input.Inventory.Cpus;
        var fast = CpuSet.Of(cpus.Where(c => c.Kind == CpuKind.Performance).Select(c => c.Id));
        var slow = CpuSet.Of(cpus.Where(c => c.Kind == CpuKind.Efficiency).Select(c => c.Id));
        return fast.IsEmpty || slow.IsEmpty ? Ready(Say.HybridAlike)
            : But(Say.HybridMixed(fast.ToString(), slow.ToString()), [], File("/sys/devices/cpu_core/cpus", fast), File("/sys/devices/cpu_atom/cpus", slow));
    }

    private static Finding Smt(ReadinessInput input)
    {
        var host = input.Inventory;
        var control = File("/sys/devices/system/cpu/smt/control", host.Cpu.SmtControl);
        if (host.Cpus.All(c => c.Core.Count < 2))
            return Ready(Say.SmtOff, control);
        var open = host.Kernel.Vulnerabilities.Where(v => v.Value.Contains("SMT vulnerable", StringComparison.OrdinalIgnoreCase)).OrderBy(v => v.Key, StringComparer.Ordinal).ToList();
        return open.Count == 0 ? Ready(Say.SmtOn, control)
            : But(Say.SmtVulnerable(string.Join(", ", open.Select(v => v.Key))), [Boot(Say.SmtFix, "nosmt")], [control, .. open.Select(v => File($"/sys/devices/system/cpu/vulnerabilities/{v.Key}", Short(v.Value)))]);
    }
}
