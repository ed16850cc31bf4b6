using System.Globalization;
using System.Text.Json.Nodes;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Qemu.Devices;

/// <summary>Identity of the process, and its own sandbox.</summary>
internal static class ProcessArguments
{
    public static void Add(BuildContext c)
    {
        var a = c.Arguments;
        a.Add(c.Capabilities.Binary);
        a.Add("-name", $"guest={ArgumentList.Escape(c.Spec.Name)},debug-threads=on");
        a.Add("-uuid", c.Spec.Id.ToString("D"));
        a.Add("-no-user-config");
        a.Add("-nodefaults");
        a.Add("-S");
        a.Add("-no-shutdown");
        a.Add("-action", "panic=pause");
        a.Add("-msg", "timestamp=on");
        a.Add("-rtc", c.Spec.LocalClock ? "base=localtime,driftfix=slew" : "base=utc");
        if (!c.Microvm)
            a.Add("-boot", "strict=on");
        a.Add("-pidfile", c.Paths.PidFile);
        a.Add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    }
}

/// <summary>Board and accelerator.</summary>
internal static class MachineArguments
{
    public static void Add(BuildContext c)
    {
        var options = new List<string> { ArgumentList.Word(c.Spec.MachineType) };
        if (c.Microvm)
            // ACPI, because Debian kernels find virtio-mmio devices only through it.
            options.AddRange(["acpi=on", "rtc=on", "isa-serial=off", "auto-kernel-cmdline=on", "dump-guest-core=off"]);
        else
        {
            options.AddRange(["usb=off", "vmport=off", "dump-guest-core=off", "hpet=off"]);
            if (c.Spec.Firmware.SecureBoot)
                options.Add("smm=on");
            if (c.Spec.Firmware.Type == FirmwareType.Uefi)
                options.AddRange(["pflash0=firmware-code", "pflash1=firmware-variables"]);
        }

        // With several NUMA nodes each names its own memory instead.
        if (c.Spec.Placement is not { Nodes.Count: > 1 })
            options.Add("memory-backend=ram0");
        c.Arguments.Add("-machine", string.Join(',', options));
        // Locking takes the buffer of translated code, too, 1 GiB by default.
        c.Arguments.Add("-accel", c.Spec.Accelerator == Accelerator.Kvm ? "kvm" : c.Spec.Placement is { Locked: true } ? "tcg,thread=multi,tb-size=128" : "tcg,thread=multi");
        if (c.Microvm)
            c.Arguments.Add("-global", "virtio-mmio.force-legacy=false");
        else
            c.Arguments.Add("-global", "ICH9-LPC.disable_s3=1");
    }
}

internal static class CpuArguments
{
    public static void Add(BuildContext c)
    {
        var cpu = c.Spec.Cpu;
        var threads = c.Spec.Placement?.ThreadsPerCore ?? cpu.ThreadsPerCore;
        // AMD guests see threads of a core only with this flag, and QEMU does not pass it through by itself.
        var topology = threads > 1 && cpu.Model == "host" && c.Facts.Cpu.Vendor is "AuthenticAMD" or "HygonGenuine" ? ",topoext=on" : "";
        c.Arguments.Add("-cpu", ArgumentList.Word(cpu.Model) + topology + (c.Spec.Accelerator == Accelerator.Kvm ? Paravirtual(cpu)
            // A kernel that sees "enhanced rep movsb" copies with it, and TCG carries that out byte by byte: without, an emulated guest's disk and network are twice as fast.
            : cpu.Model == "max" ? ",erms=off" : ""));
        c.Arguments.Add("-smp", c.Spec.Placement is { } placement ? Placed(cpu, placement)
            : string.Create(CultureInfo.InvariantCulture, $"cpus={cpu.Count},maxcpus={cpu.Max},sockets=1,cores={cpu.Max / threads},threads={threads}"));
    }

    /// <summary>What only KVM can give. QEMU refuses to start where the kernel lacks one of them: those of Hyper-V named here are in every kernel since 5.0.</summary>
    private static string Paravirtual(CpuSpec cpu)
    {
        var flags = new List<string>();
        if (cpu is { Exact: true, Model: "host" })
            flags.Add("migratable=off");
        if (cpu.DedicatedHints)
            flags.AddRange(["kvm-hint-dedicated=on", "kvm-poll-control=on"]);
        if (!cpu.StealTime)
            flags.Add("kvm-steal-time=off");
        if (cpu.HyperV)
        {
            flags.AddRange(["hv-relaxed=on", "hv-vapic=on", "hv-vpindex=on", "hv-runtime=on", "hv-synic=on", "hv-stimer=on", "hv-stimer-direct=on", "hv-time=on", "hv-frequencies=on", "hv-tlbflush=on", "hv-ipi=on"]);
            // Spinning is lost time where others want the CPU, and the fastest where nobody does.
            flags.Add(cpu.DedicatedHints ? "hv-no-nonarch-coresharing=on" : "hv-spinlocks=0x1fff");
        }

        return string.Concat(flags.Select(f => "," + f));
    }

    /// <summary>The guest sees exactly the sockets, cores and threads that it is given.</summary>
    private static string Placed(CpuSpec cpu, MachinePlacement placement)
    {
        var all = (long)placement.Sockets * placement.CoresPerSocket * placement.ThreadsPerCore;
        if (placement.Sockets < 1 || placement.CoresPerSocket < 1 || placement.ThreadsPerCore < 1 || all != placement.Vcpus.Count || cpu.Count < 1 || cpu.Count > all)
            throw new HostException(HostError.NotAllowed, $"The placement's {placement.Sockets} sockets of {placement.CoresPerSocket} cores with {placement.ThreadsPerCore} threads do not fit {cpu.Count} vCPUs.");
        return string.Create(CultureInfo.InvariantCulture, $"cpus={cpu.Count},maxcpus={all},sockets={placement.Sockets},cores={placement.CoresPerSocket},threads={placement.ThreadsPerCore}");
    }
}

/// <summary>Guest memory as a memfd, so that vhost-user back ends can share it later.</summary>
internal static class MemoryArguments
{
    public static void Add(BuildContext c)
    {
        var memory = c.Spec.Memory;
        if (c.Spec.Placement is { } placement)
        {
            PlacedMemoryArguments.Add(c, placement);
            return;
        }

        var backend = new JsonObject { ["qom-type"] = "memory-backend-memfd", ["id"] = "ram0", ["size"] = (long)memory.SizeMiB << 20, ["share"] = true };
        if (memory.PageSizeKiB > 4)
        {
            backend["hugetlb"] = true;
            backend["hugetlbsize"] = (long)memory.PageSizeKiB << 10;
            // Taken now or refused now: a page that is missing later kills the guest.
            backend["prealloc"] = true;
            backend["prealloc-threads"] = Math.Clamp(c.Facts.Cpu.OnlineCount, 1, 8);
        }

        c.Arguments.Json("-object", backend);
        if (memory.MaxMiB is { } max)
            GrowingMemoryArguments.Add(c, max - memory.SizeMiB);
        else
            c.Arguments.Add("-m", string.Create(CultureInfo.InvariantCulture, $"size={memory.SizeMiB}M"));
    }
}

/// <summary>UEFI: read-only code and the machine's own variables. BIOS needs nothing, QEMU's default is SeaBIOS.</summary>
internal static class FirmwareArguments
{
    public static void Add(BuildContext c)
    {
        if (c.Spec.Firmware.Type != FirmwareType.Uefi)
            return;
        var files = (c.Spec.Firmware.SecureBoot ? c.Capabilities.SecureBoot : c.Capabilities.Uefi)
            ?? throw new HostException(HostError.Missing, "The UEFI firmware is not installed on this host.") { Hint = "Install the package ovmf." };
        if (c.Spec.Firmware.SecureBoot)
            c.Arguments.Add("-global", "driver=cfi.pflash01,property=secure,value=on");
        Flash(c, "firmware-code", files.Code, readOnly: true);
        Flash(c, "firmware-variables", c.Paths.FirmwareVariables, readOnly: false);
    }

    private static void Flash(BuildContext c, string node, string path, bool readOnly) => c.Arguments.Json("-blockdev", new JsonObject
    {
        ["driver"] = "raw",
        ["node-name"] = node,
        ["read-only"] = readOnly,
        ["file"] = new JsonObject { ["driver"] = "file", ["node-name"] = $"{node}-file", ["filename"] = path, ["read-only"] = readOnly },
    });
}

/// <summary>Linux booted without a boot loader.</summary>
internal static class DirectBootArguments
{
    public static void Add(BuildContext c)
    {
        if (c.Spec.DirectBoot is not { } boot)
            return;
        c.Arguments.Add("-kernel", boot.KernelPath);
        if (boot.InitrdPath is { } initrd)
            c.Arguments.Add("-initrd", initrd);
        // Under TCG a microvm has no reference clock to calibrate the TSC against and most boots hang; these three stand in for it.
        var clock = c is { Microvm: true, Spec.Accelerator: Accelerator.Tcg } ? " lpj=4000000 tsc_early_khz=2000000 no_timer_check" : "";
        if (boot.CommandLine.Length + clock.Length > 0)
            c.Arguments.Add("-append", (boot.CommandLine + clock).TrimStart());
    }
}

/// <summary>QMP on a unix socket.</summary>
internal static class ControlArguments
{
    public static void Add(BuildContext c)
    {
        c.Arguments.Add("-chardev", $"socket,id=control,path={ArgumentList.Escape(c.Paths.QmpSocket)},server=on,wait=off");
        c.Arguments.Add("-mon", "chardev=control,mode=control");
    }
}

/// <summary>First serial port on a unix socket that the portal drains from the first byte on.</summary>
internal static class SerialArguments
{
    public static void Add(BuildContext c)
    {
        if (!c.Spec.Serial)
            return;
        c.Arguments.Add("-chardev", $"socket,id=serial,path={ArgumentList.Escape(c.Paths.SerialSocket)},server=on,wait=off");
        c.Arguments.Json("-device", new JsonObject { ["driver"] = "isa-serial", ["id"] = "serial0", ["chardev"] = "serial" });
    }
}
