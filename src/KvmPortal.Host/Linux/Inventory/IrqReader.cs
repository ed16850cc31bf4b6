using System.Globalization;
using System.Text.RegularExpressions;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>Interrupts and where they go (Documentation/core-api/irq/irq-affinity.rst).</summary>
internal static partial class IrqReader
{
    private const int MaxIrqs = 16_384;
    private const int MostTail = 512;

    public static IReadOnlyList<InterruptLine> Read(HostTree tree)
    {
        var names = Names(tree);
        var raised = Raised(tree);
        return [.. tree.Numbered("/proc/irq", "").Take(MaxIrqs).Select(number =>
        {
            var name = names.GetValueOrDefault(number) ?? tree.Text($"/sys/kernel/irq/{number}/actions", 256) ?? "";
            return new InterruptLine(number, name, tree.Cpus($"/proc/irq/{number}/smp_affinity_list", $"/proc/irq/{number}/smp_affinity") ?? default, tree.Cpus($"/proc/irq/{number}/effective_affinity_list") ?? default, Managed().IsMatch(name) ? true : null)
            {
                Pci = name.IndexOf("@pci:", StringComparison.Ordinal) is >= 0 and var at && PciReader.IsAddress(name[(at + 5)..]) ? name[(at + 5)..] : raised.GetValueOrDefault(number),
            };
        }).Where(i => i.Name.Length > 0)];
    }

    /// <summary>The function that raises an interrupt by message, which each function lists.</summary>
    private static Dictionary<int, string> Raised(HostTree tree)
    {
        var raised = new Dictionary<int, string>();
        foreach (var address in tree.Names("/sys/bus/pci/devices").Where(PciReader.IsAddress).Take(8192))
            foreach (var number in tree.Numbered($"/sys/bus/pci/devices/{address}/msi_irqs", "").Take(4096))
                raised.TryAdd(number, address);
        return raised;
    }

    /// <summary>Whether the interrupt controllers' names say that interrupts are remapped: x86 puts "IR-" before them.</summary>
    public static bool? Remapped(HostTree tree, CpuInventory cpu, bool iommu)
    {
        if (cpu.Architecture != "x86_64")
            return null;
        var lines = tree.Lines("/proc/interrupts");
        return lines.Any(l => l.Contains(" IR-", StringComparison.Ordinal)) || lines.Any(l => l.Contains("DMAR-MSI", StringComparison.Ordinal) && tree.Text("/proc/cmdline")?.Contains("intremap=off", StringComparison.Ordinal) != true) ? true
            : iommu && lines.Any(l => l.Contains("PCI-MSI", StringComparison.Ordinal)) ? false : null;
    }

    /// <summary>The last words of a line of /proc/interrupts: after one count per CPU, the chip and the trigger.</summary>
    private static Dictionary<int, string> Names(HostTree tree)
    {
        var names = new Dictionary<int, string>();
        foreach (var line in tree.Lines("/proc/interrupts").Skip(1).Take(MaxIrqs))
        {
            var colon = line.IndexOf(':');
            if (colon > 0 && int.TryParse(line.AsSpan(0, colon).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && Tail().Match(line.Length > MostTail ? line[^MostTail..] : line) is { Success: true } tail)
                names[number] = tail.Groups[1].Value.Trim();
        }

        return names;
    }

    // "… IR-PCI-MSI-0000:4b:00.0  12-edge      mlx5_comp11@pci:0000:4b:00.0"
    [GeneratedRegex(@"\s(?:\d+-)?(?:edge|level|fasteoi|Edge|Level)?\s+(\S[^\s].*?)\s*$", RegexOptions.RightToLeft | RegexOptions.CultureInvariant)]
    private static partial Regex Tail();

    // Drivers that let the kernel spread their queues (pci_alloc_irq_vectors with PCI_IRQ_AFFINITY): such interrupts cannot be moved.
    [GeneratedRegex(@"^(nvme\d+q[1-9]\d*|virtio\d+-req\.\d+|megasas\d*-msix\d+|mpt3sas\d+-msix\d+|qla2xxx.*queue|smartpqi|hisi_sas.*)$", RegexOptions.CultureInvariant)]
    private static partial Regex Managed();
}
