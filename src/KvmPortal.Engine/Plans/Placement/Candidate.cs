using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Cores for QEMU's own threads.</summary>
/// <param name="Cores">In all; cores of the emulator lend their other threads to I/O threads where both threads may be used.</param>
internal sealed record ServiceNeed(int EmulatorCores, int IoThreads, bool OwnIo, bool Packed, int Cores)
{
    public static ServiceNeed Of(Profile profile, PlacementRequest request, CoreClass kind, IReadOnlyList<DevicePick> devices)
    {
        var io = request.IoThreads ?? profile.IoThreads switch
        {
            IoThreadPlace.SharedPool or IoThreadPlace.Housekeeping => 1,
            IoThreadPlace.CorePerFastDisk => request.FastDisks,
            IoThreadPlace.OwnCores => request.FastDisks > 1 ? 2 : 1,
        };
        var own = profile.IoThreads is IoThreadPlace.CorePerFastDisk or IoThreadPlace.OwnCores;
        var accelerators = devices.Count(d => IsAccelerator(d.Candidate.Device));
        var emulator = profile.Emulator == EmulatorPlace.OwnCores ? Math.Max(1, (accelerators + 3) / 4) : 0;
        var packed = kind.ThreadsPerCore > 1 && profile.IoThreads == IoThreadPlace.OwnCores;
        var rest = !own ? 0 : packed ? Math.Max(0, io - (emulator * (kind.ThreadsPerCore - 1))) : io;
        return new ServiceNeed(emulator, io, own, packed, emulator + (packed ? kind.CoresFor(rest) : rest));
    }

    internal static bool IsAccelerator(PciDevice device) => device.Class.StartsWith("03", StringComparison.Ordinal) || device.Class.StartsWith("12", StringComparison.Ordinal);
}

/// <summary>A part of the machine on one node: so many vCPUs on the first cores of the pick, QEMU's own threads on the rest.</summary>
internal sealed record CandidatePart(TopologyNode Node, int Vcpus, int VcpuCores, CorePick Pick)
{
    public IEnumerable<TopologyCore> ForVcpus => Pick.Cores.Take(VcpuCores);
    public IEnumerable<TopologyCore> ForService => Pick.Cores.Skip(VcpuCores);
}

/// <summary>A set of nodes on which the machine fits.</summary>
internal sealed record Candidate(IReadOnlyList<CandidatePart> Parts, CoreClass Kind, ServiceNeed Service, IReadOnlyList<DevicePick> Devices, MemoryFit Memory, PlacementScore Score)
    : IComparable<Candidate>
{
    public IReadOnlyList<int> NodeIds { get; } = [.. Parts.Select(p => p.Node.Id)];

    public CpuSet Cpus => CpuSet.Union(Parts.SelectMany(p => p.Pick.Cores).Select(c => c.Cpus));

    /// <summary>By score; the lowest ids only at the very end.</summary>
    public int CompareTo(Candidate? other)
    {
        if (other is null)
            return 1;
        var order = Score.Against(other.Score);
        for (var i = 0; order == 0 && i < NodeIds.Count; i++)
            order = NodeIds[i].CompareTo(other.NodeIds[i]);
        return order;
    }
}
