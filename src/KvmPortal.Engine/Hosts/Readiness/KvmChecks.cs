using KvmPortal.Host.Contract;
using static KvmPortal.Engine.Hosts.Readiness.Check;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>What KVM and its neighbours in the kernel bring.</summary>
internal static class KvmChecks
{
    public static IReadOnlyList<Check> All { get; } =
    [
        new("kvm-device", Say.KvmDeviceTitle, Say.KvmDeviceMeaning, Device)
        {
            MattersFor = [Audience.EveryVm],
            RequiredFor = [Purpose.BareMetal, Purpose.GpuPassthrough, Purpose.SriovNetworking, Purpose.ConfidentialVms, Purpose.KataContainers],
            HelpsFor = [Purpose.OrdinaryVms],
        },
        new("kvm-proof", Say.KvmProofTitle, Say.KvmProofMeaning, Proof)
        {
            MattersFor = [Audience.EveryVm, Audience.BareMetalClass, Audience.Isolation],
            RequiredFor = [Purpose.BareMetal, Purpose.GpuPassthrough, Purpose.SriovNetworking, Purpose.ConfidentialVms, Purpose.KataContainers],
            HelpsFor = [Purpose.OrdinaryVms, Purpose.EncryptedMigration, Purpose.Dpdk],
        },
        new("nested", Say.NestedTitle, Say.NestedMeaning, Nested) { MattersFor = [Audience.EveryVm], HelpsFor = [Purpose.KataContainers] },
        new("vhost-net", Say.VhostNetTitle, Say.VhostNetMeaning, input => Module(input, input.Inventory.Kvm.VhostNet, "/dev/vhost-net", "vhost_net"))
        {
            MattersFor = [Audience.EveryVm, Audience.BareMetalClass],
            HelpsFor = [Purpose.OrdinaryVms, Purpose.BareMetal],
        },
        new("vhost-vsock", Say.VhostVsockTitle, Say.VhostVsockMeaning, input => Module(input, input.Inventory.Kvm.VhostVsock, "/dev/vhost-vsock", "vhost_vsock")) { RequiredFor = [Purpose.KataContainers] },
        new("vfio", Say.VfioTitle, Say.VfioMeaning, input => Module(input, input.Inventory.Kvm.VfioDevice, "/dev/vfio/vfio", "vfio-pci"))
        {
            MattersFor = [Audience.Gpu, Audience.BareMetalClass],
            HelpsFor = [Purpose.GpuPassthrough, Purpose.SriovNetworking, Purpose.Dpdk],
        },
    ];

    private static Finding Device(ReadinessInput input)
    {
        var kvm = input.Inventory.Kvm;
        var modules = File("/proc/modules", kvm.Modules.Count == 0 ? null : string.Join(", ", kvm.Modules.Where(m => m.StartsWith("kvm", StringComparison.Ordinal))));
        if (kvm.Device)
            return Ready(Say.KvmDeviceThere, File("/dev/kvm", "there"), modules);
        var flags = input.Inventory.Cpu.Flags;
        IReadOnlyList<Fix> fixes = flags.Contains("vmx") ? [Command(Say.KvmDeviceLoad("kvm_intel")), Firmware(Say.CpuVirtualizationFirmware)]
            : flags.Contains("svm") ? [Command(Say.KvmDeviceLoad("kvm_amd")), Firmware(Say.CpuVirtualizationFirmware)]
            : [input.Inventory.Cpu.HypervisorBelow ? Firmware(Say.NestedBelowFix) : Firmware(Say.CpuVirtualizationFirmware)];
        return Missing(Say.KvmDeviceNone, fixes, File("/dev/kvm", null), modules);
    }

    private static Finding Proof(ReadinessInput input)
    {
        if (input.Facts is not { } facts)
            return input.Inventory.Kvm.Device ? Unknown(Say.DoctorNotHere) : Missing(Say.KvmProofAbsent, Device(input).Fixes, File("/dev/kvm", null));
        var seen = new Evidence(facts.Kvm.ProvenAt is { } at ? $"{at:u}" : "KVM", facts.Kvm.Evidence);
        return facts.Kvm.Verdict switch
        {
            KvmVerdict.Works => Ready(Say.KvmProofWorks, seen),
            KvmVerdict.Broken => Missing(Say.KvmProofBroken, [input.Inventory.Cpu.HypervisorBelow ? Firmware(Say.NestedBelowFix) : Command(Say.KvmProofFix)], seen),
            KvmVerdict.Absent => Missing(Say.KvmProofAbsent, Device(input).Fixes, seen),
            KvmVerdict.Unproven => Unknown(Say.KvmProofUnproven, seen),
        };
    }

    private static Finding Nested(ReadinessInput input)
    {
        var kvm = input.Inventory.Kvm;
        var key = kvm.Parameters.ContainsKey("kvm_amd.nested") ? "kvm_amd.nested" : "kvm_intel.nested";
        var evidence = File($"/sys/module/{key.Replace(".", "/parameters/", StringComparison.Ordinal)}", kvm.Parameters.GetValueOrDefault(key));
        return kvm.Nested switch
        {
            true => Ready(Say.NestedOn, evidence),
            false => But(Say.NestedOff, [Boot(Say.AddBootParameter, $"{key}=1")], evidence),
            null => Unknown(Say.CannotBeTold, evidence),
        };
    }

    private static Finding Module(ReadinessInput input, bool there, string device, string module) => there ? Ready(Say.ModuleReady(device), File(device, "there"))
        // A captured tree may just not have it.
        : input.Facts is null && input.Inventory.Kvm.Modules.Count == 0 ? Unknown(Say.CannotBeTold, File(device, null))
        : But(Say.ModuleMissing(module), [Command(Say.ModuleLoad(module))], File(device, null));
}
