using System.Buffers.Binary;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Memory and whether it corrects errors: by EDAC's modes, else by SMBIOS (DMTF DSP0134, types 16 and 17).</summary>
internal static class MemoryReader
{
    private const string Edac = "/sys/devices/system/edac/mc";
    private const string Dmi = "/sys/firmware/dmi/entries";

    public static MemoryInventory Read(HostTree tree)
    {
        var total = (tree.Lines("/proc/meminfo", 64 * 1024).Select(l => NumaReader.KiB(l, "MemTotal:")).FirstOrDefault(k => k is not null) ?? 0) / 1024;
        var controllers = tree.Numbered(Edac, "mc").Take(256).ToList();
        var modes = new List<string>();
        var types = new List<string>();
        long? corrected = null, uncorrected = null;
        foreach (var mc in controllers.Select(id => $"{Edac}/mc{id}"))
        {
            corrected = (corrected ?? 0) + (tree.Number($"{mc}/ce_count") ?? 0);
            uncorrected = (uncorrected ?? 0) + (tree.Number($"{mc}/ue_count") ?? 0);
            foreach (var part in tree.Names(mc).Where(n => n.StartsWith("dimm", StringComparison.Ordinal) || n.StartsWith("rank", StringComparison.Ordinal) || n.StartsWith("csrow", StringComparison.Ordinal)).Take(64))
            {
                if ((tree.Text($"{mc}/{part}/dimm_edac_mode", 64) ?? tree.Text($"{mc}/{part}/edac_mode", 64)) is { } mode)
                    modes.Add(mode);
                if ((tree.Text($"{mc}/{part}/dimm_mem_type", 64) ?? tree.Text($"{mc}/{part}/mem_type", 64)) is { } type)
                    types.Add(type);
            }
        }

        var (ecc, evidence) = modes.Any(Corrects) ? (EccState.Present, $"{Edac}/mc*/dimm*/dimm_edac_mode = {modes.First(Corrects)}") : Smbios(tree);
        return new MemoryInventory(total, ecc, evidence, corrected, uncorrected, [.. types.Distinct().Take(8)]);
    }

    // Words of the kernel's drivers/edac/edac_mc_sysfs.c; a driver that is bound says nothing by itself.
    private static bool Corrects(string mode) => mode is "SECDED" or "S2ECD2ED" or "S4ECD4ED" or "S8ECD8ED" or "S16ECD16ED" or "Reed-Solomon";

    private static (EccState, string?) Smbios(HostTree tree)
    {
        var state = EccState.Unknown;
        string? evidence = null;
        foreach (var entry in tree.Names(Dmi).Where(n => n.StartsWith("16-", StringComparison.Ordinal) || n.StartsWith("17-", StringComparison.Ordinal)).Take(256))
        {
            if (tree.Bytes($"{Dmi}/{entry}/raw", 256) is not { Length: >= 12 } raw)
                continue;
            // Type 17: more bits in all than for data, with 0xffff for "unknown" and 0 for an empty slot.
            var (all, data) = (BinaryPrimitives.ReadUInt16LittleEndian(raw.AsSpan(8)), BinaryPrimitives.ReadUInt16LittleEndian(raw.AsSpan(10)));
            if (raw[0] == 17 && data is > 0 and < 0xffff && all is > 0 and < 0xffff && all > data)
                return (EccState.Present, $"{Dmi}/{entry}: {all} bits for {data}");
            // Type 16, byte 6: 3 none, 5 single-bit, 6 multi-bit.
            if (raw[0] == 16 && raw[6] is 5 or 6)
                return (EccState.Present, $"{Dmi}/{entry}: error correction {raw[6]}");
            if (raw[0] == 16 && raw[6] == 3)
                (state, evidence) = (EccState.Absent, $"{Dmi}/{entry}: error correction 3");
        }

        return (state, evidence);
    }
}
