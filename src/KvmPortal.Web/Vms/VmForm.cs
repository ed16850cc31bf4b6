using KvmPortal.Engine.Vms;

namespace KvmPortal.Web.Vms;

/// <summary>What can be edited in the create and the hardware form, as mutable fields; everything else of a definition passes through unchanged.</summary>
public sealed class VmForm
{
    private VmDefinition rest = new() { Name = "" };

    public string Name { get; set; } = "";
    public string Description { get; set; } = "";
    /// <summary>Separated by blanks or commas.</summary>
    public string Tags { get; set; } = "";
    public int CpuCount { get; set; } = 1;
    public int MemoryMiB { get; set; } = 1024;
    public string CpuModel { get; set; } = "auto";
    public bool Balloon { get; set; } = true;
    public AcceleratorChoice Accelerator { get; set; }
    public MachineChoice Machine { get; set; }
    public FirmwareChoice Firmware { get; set; }
    public bool SecureBoot { get; set; }
    public bool Tpm { get; set; }
    public bool Vnc { get; set; } = true;
    public bool Serial { get; set; } = true;
    public bool Autostart { get; set; }
    public bool DirectBoot { get; set; }
    public string Kernel { get; set; } = "";
    public string Initrd { get; set; } = "";
    public string CommandLine { get; set; } = "";
    public List<DiskRow> Disks { get; set; } = [];
    public List<NicRow> Nics { get; set; } = [];

    public sealed class DiskRow
    {
        public string Name { get; set; } = "disk0";
        public DiskBusChoice Bus { get; set; }
        public bool Cdrom { get; set; }
        public int? SizeGiB { get; set; }
        public string Image { get; set; } = "";
        public DiskSourceMode Copy { get; set; }
        public DiskFormatChoice Format { get; set; }
        public long Iops { get; set; }
        public long MiBPerSecond { get; set; }
        public bool ReadOnly { get; set; }
        /// <summary>The disk exists: its content and size cannot be edited.</summary>
        public bool Existing { get; set; }
    }

    public sealed class NicRow
    {
        public string Name { get; set; } = "net0";
        public string? Mac { get; set; }
        public List<ForwardRow> Forwards { get; set; } = [];
    }

    public sealed class ForwardRow
    {
        public ForwardProtocolChoice Protocol { get; set; }
        public string HostAddress { get; set; } = "127.0.0.1";
        public int HostPort { get; set; }
        public int GuestPort { get; set; }
    }

    /// <summary>What a new machine starts from: one disk, one card.</summary>
    public static VmForm New() => new() { Disks = [new DiskRow { SizeGiB = 10 }], Nics = [new NicRow()], CpuCount = 2, MemoryMiB = 2048 };

    public static VmForm From(VmDefinition d) => new()
    {
        rest = d, Name = d.Name, Description = d.Description, Tags = string.Join(' ', d.Tags), CpuCount = d.Cpu.Count, MemoryMiB = d.Memory.SizeMiB, CpuModel = d.Cpu.Model, Balloon = d.Memory.Balloon,
        Accelerator = d.Accelerator, Machine = d.Machine, Firmware = d.Firmware.Type, SecureBoot = d.Firmware.SecureBoot, Tpm = d.Firmware.Tpm, Vnc = d.Consoles.Graphics == GraphicsChoice.Vnc,
        Serial = d.Consoles.Serial, Autostart = d.Autostart.Enabled, DirectBoot = d.Boot.Direct is not null, Kernel = d.Boot.Direct?.Kernel ?? "", Initrd = d.Boot.Direct?.Initrd ?? "",
        CommandLine = d.Boot.Direct?.CommandLine ?? "",
        Disks = [.. d.Disks.Select(x => new DiskRow
        {
            Name = x.Name, Bus = x.Bus, Cdrom = x.Cdrom, SizeGiB = x.SizeGiB, Image = x.Image ?? "", Copy = x.Copy, Format = x.Format, Iops = x.Limits.Iops, MiBPerSecond = x.Limits.BytesPerSecond >> 20,
            ReadOnly = x.ReadOnly, Existing = true,
        })],
        Nics = [.. d.Nics.Select(x => new NicRow
        {
            Name = x.Name, Mac = x.Mac, Forwards = [.. x.Forwards.Select(f => new ForwardRow { Protocol = f.Protocol, HostAddress = f.HostAddress, HostPort = f.HostPort, GuestPort = f.GuestPort })],
        })],
    };

    /// <summary>The definition that the fields describe; what is wrong with it, the engine says.</summary>
    public VmDefinition ToDefinition()
    {
        var names = Disks.Select(d => d.Name).Concat(Nics.Select(n => n.Name)).ToHashSet();
        return rest with
        {
            Name = Name.Trim(), Description = Description, Tags = [.. Tags.Split([' ', ',', '，'], StringSplitOptions.RemoveEmptyEntries)], Accelerator = Accelerator, Machine = Machine,
            Cpu = rest.Cpu with { Count = CpuCount, Model = CpuModel, Max = rest.Cpu.Max is { } max && max < CpuCount ? CpuCount : rest.Cpu.Max },
            Memory = rest.Memory with { SizeMiB = MemoryMiB, Balloon = Balloon },
            Firmware = new FirmwareDefinition { Type = Firmware, SecureBoot = SecureBoot && Firmware == FirmwareChoice.Uefi, Tpm = Tpm },
            Boot = rest.Boot with
            {
                Order = [.. rest.Boot.Order.Where(names.Contains)],
                Direct = DirectBoot ? new DirectBootDefinition(Kernel, Initrd.Length > 0 ? Initrd : null, CommandLine) : null,
            },
            Consoles = new ConsolesDefinition { Graphics = Vnc ? GraphicsChoice.Vnc : GraphicsChoice.None, Serial = Serial },
            Autostart = rest.Autostart with { Enabled = Autostart },
            Disks = [.. Disks.Select(Disk)],
            Nics = [.. Nics.Select(n => new NicDefinition
            {
                Name = n.Name, Mac = n.Mac, Forwards = [.. n.Forwards.Select(f => new ForwardDefinition { Protocol = f.Protocol, HostAddress = f.HostAddress, HostPort = f.HostPort, GuestPort = f.GuestPort })],
            })],
        };
    }

    /// <summary>A name of the form disk1 that is free.</summary>
    public string FreeName(string stem) => Enumerable.Range(0, 100).Select(i => $"{stem}{i}").First(n => Disks.All(d => d.Name != n) && Nics.All(x => x.Name != n));

    private static DiskDefinition Disk(DiskRow d) => new()
    {
        Name = d.Name, Bus = d.Bus, Cdrom = d.Cdrom, SizeGiB = d.Cdrom ? null : d.SizeGiB, Image = d.Image.Length > 0 ? d.Image : null, Copy = d.Copy, Format = d.Format, ReadOnly = d.ReadOnly,
        Limits = new DiskLimitsDefinition { Iops = d.Iops, BytesPerSecond = d.MiBPerSecond << 20 },
    };
}
