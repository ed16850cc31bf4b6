using System.Globalization;
using System.Text.Json.Nodes;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Qemu.Devices;

/// <summary>A virtio-mem device: memory that a running guest takes and gives back in small steps. Nothing of it is taken from the host before the guest uses it.</summary>
internal static class GrowingMemoryArguments
{
    /// <summary>A slot of its own, so that the other devices keep theirs whether memory can grow or not. Linux can use only whole blocks of so many MiB of the device.</summary>
    private const int BlockMiB = 128;

    public static void Add(BuildContext c, int growMiB)
    {
        var memory = c.Spec.Memory;
        if (c.Microvm || memory.PageSizeKiB > 4 || growMiB <= 0 || growMiB % MemorySpec.StepMiB != 0)
            throw new HostException(HostError.NotAllowed, $"Memory can grow in steps of {MemorySpec.StepMiB} MiB on q35 with ordinary pages only.");
        if (!c.Capabilities.Devices.Contains("virtio-mem-pci"))
            throw new HostException(HostError.Missing, "The installed QEMU has no virtio-mem, so memory cannot grow while the machine runs.") { Hint = "Leave memory.maxMiB out." };
        var device = (growMiB + BlockMiB - 1) / BlockMiB * BlockMiB;
        c.Arguments.Add("-m", string.Create(CultureInfo.InvariantCulture, $"size={memory.SizeMiB}M,slots=1,maxmem={memory.SizeMiB + device}M"));
        c.Arguments.Json("-object", new JsonObject { ["qom-type"] = "memory-backend-memfd", ["id"] = "grow0", ["size"] = (long)device << 20, ["share"] = true, ["reserve"] = false });
        c.Arguments.Json("-device", new JsonObject { ["driver"] = "virtio-mem-pci", ["addr"] = "0x1b", ["id"] = QmpPlugging.MemoryDevice, ["memdev"] = "grow0", ["requested-size"] = 0, ["block-size"] = (long)MemorySpec.StepMiB << 20 });
    }
}
