namespace KvmPortal.Host.Contract;

/// <summary>The kernel told that hardware came, went or changed; the inventory should be read again.</summary>
/// <param name="Subsystems">Which it told of: pci, net, block, cpu, memory, node …; sorted.</param>
public sealed record HardwareChange(IReadOnlyList<string> Subsystems);
