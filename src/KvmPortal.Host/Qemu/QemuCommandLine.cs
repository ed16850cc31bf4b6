using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Qemu.Devices;

namespace KvmPortal.Host.Qemu;

/// <summary>What every device file gets: the spec, the machine's paths, what this QEMU can do, and the list to add to.</summary>
internal sealed record BuildContext(MachineSpec Spec, MachinePaths Paths, HostFacts Facts, QemuCapabilities Capabilities, ArgumentList Arguments)
{
    public bool Microvm => Spec.Family == MachineFamily.Microvm;

    /// <summary>virtio-blk-pci on q35, virtio-blk-device on microvm.</summary>
    public string Virtio(string kind) => Microvm ? $"virtio-{kind}-device" : $"virtio-{kind}-pci";
}

/// <summary>
/// MachineSpec → argv. Pure. One file per device kind in Devices/; to add one, write its file and its line here.
/// QEMU starts with its CPUs stopped (-S) and stays after a guest's power-off (-no-shutdown) until its supervisor has read the last state.
/// </summary>
internal static class QemuCommandLine
{
    public static IReadOnlyList<string> Build(MachineSpec spec, HostFacts facts, QemuCapabilities capabilities)
    {
        var context = new BuildContext(spec, MachinePaths.For(facts.Folders, spec.Id), facts, capabilities, new ArgumentList());
        ProcessArguments.Add(context);
        MachineArguments.Add(context);
        CpuArguments.Add(context);
        MemoryArguments.Add(context);
        FirmwareArguments.Add(context);
        DirectBootArguments.Add(context);
        ControlArguments.Add(context);
        SerialArguments.Add(context);
        RootPorts.Add(context);
        DiskArguments.Add(context);
        NicArguments.Add(context);
        GuestAgentArguments.Add(context);
        BalloonArguments.Add(context);
        RngArguments.Add(context);
        GenerationIdArguments.Add(context);
        PanicArguments.Add(context);
        TpmArguments.Add(context);
        DisplayArguments.Add(context);
        if (spec.RestoreFrom is not null)
            context.Arguments.Add("-incoming", "defer");
        return context.Arguments.ToList();
    }
}
