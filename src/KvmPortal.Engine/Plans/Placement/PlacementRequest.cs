using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What a machine asks of a host.</summary>
public sealed record PlacementRequest
{
    /// <summary>The machine's id; what it holds already is not in its own way.</summary>
    public required string Vm { get; init; }
    public required int Vcpus { get; init; }
    public required long MemoryMiB { get; init; }
    public required Profile Profile { get; init; }
    public ProfileOverrides Knobs { get; init; } = new();
    /// <summary>NUMA nodes of the guest, each on a node of the host; null: as few as the profile can do with.</summary>
    public int? VirtualNodes { get; init; }
    /// <summary>Only these nodes, all of them: what clicking an alternative asks for.</summary>
    public IReadOnlyList<int> OnNodes { get; init; } = [];
    public IReadOnlyList<DeviceNeed> Devices { get; init; } = [];
    /// <summary>Disks that deserve an I/O thread of their own.</summary>
    public int FastDisks { get; init; }
    /// <summary>I/O threads; null: by profile.</summary>
    public int? IoThreads { get; init; }
    public PlacementLeeway Allow { get; init; } = new();
    /// <summary>Exclusive CPUs must be enforced by the kernel (an isolated partition), not only kept by the portal.</summary>
    public bool RequirePartition { get; init; }
    public string? Tenant { get; init; }
    /// <summary>A label that the host must have.</summary>
    public string? Label { get; init; }
    /// <summary>CPU flags that the guest needs, as the kernel writes them.</summary>
    public IReadOnlyList<string> CpuFlags { get; init; } = [];
    /// <summary>The guest's, where it is not the host's.</summary>
    public string? Architecture { get; init; }
}

/// <summary>What the planner may do beyond the profile.</summary>
/// <param name="RemoteDevice">Devices of other nodes.</param>
/// <param name="SplitNodes">More nodes than the profile takes.</param>
/// <param name="HugeDowngrade">The next smaller pages of the profile.</param>
/// <param name="GrowPool">Make more huge pages while the host runs.</param>
/// <param name="Emulation">Run without KVM: pinned all the same, but slow.</param>
public sealed record PlacementLeeway(bool RemoteDevice = false, bool SplitNodes = false, bool HugeDowngrade = false, bool GrowPool = false, bool Emulation = false);

/// <summary>A number of devices of a kind. Exactly one of the members that name a kind is set.</summary>
public sealed record DeviceNeed
{
    /// <summary>This one.</summary>
    public string? Address { get; init; }
    /// <summary>A virtual function of this physical one.</summary>
    public string? FunctionOf { get; init; }
    /// <summary>Any of vendor:device, four hex digits each.</summary>
    public string? Model { get; init; }
    /// <summary>Any whose class begins so, e.g. 0302.</summary>
    public string? Class { get; init; }
    public int Count { get; init; } = 1;

    public override string ToString() => Address ?? (FunctionOf is null ? Model ?? Class ?? "" : $"{FunctionOf}/vf");
}
