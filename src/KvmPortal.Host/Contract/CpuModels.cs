namespace KvmPortal.Host.Contract;

/// <summary>A CPU model that the installed QEMU knows.</summary>
/// <param name="Name">With its version where it has one, e.g. `EPYC-Rome-v2`.</param>
/// <param name="Missing">Features of the model that cannot be given here, in QEMU's words; empty: it runs.</param>
/// <param name="Deprecated">QEMU will drop it.</param>
public sealed record CpuModelFacts(string Name, IReadOnlyList<string> Missing, bool Deprecated);
