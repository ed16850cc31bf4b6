using KvmPortal.Engine.Images;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>All that a planner needs to know about one VM and its host, read beforehand: planners are pure.</summary>
internal sealed record VmInputs
{
    public required Vm Vm { get; init; }
    public required VmStatus Status { get; init; }
    public required bool HasProcess { get; init; }
    /// <summary>By the reference that the definition uses.</summary>
    public required IReadOnlyDictionary<string, Image> Images { get; init; }
    /// <summary>Images that disks were made from, by id.</summary>
    public required IReadOnlyDictionary<Data.ImageId, Image> DiskImages { get; init; }
    public required HostFacts Facts { get; init; }
    /// <summary>CPU models that this host can give with KVM; empty where KVM does not work.</summary>
    public IReadOnlyList<CpuModelFacts> CpuModels { get; init; } = [];
    /// <summary>What its profile means, an operator's own included.</summary>
    public Placement.Profile Profile { get; init; } = Plans.Placement.Profiles.General;
    /// <summary>Where it would go now, or why nowhere; null for ordinary machines, which float.</summary>
    public Placement.PlacementOutcome? Placement { get; init; }

    public VmDefinition Definition => Vm.Definition;
}
