using System.Text.Json.Serialization;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Where a machine goes, or why nowhere.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "outcome")]
[JsonDerivedType(typeof(PlacementPlan), "plan")]
[JsonDerivedType(typeof(PlacementRefusal), "refusal")]
public abstract record PlacementOutcome;

/// <summary>Why a request cannot be met. The wire name is the upper-case one of the documentation.</summary>
public enum PlacementCode
{
    KvmUnavailable, KvmSmokeFailed, TcgNotAllowed, InventoryStale, NotEnoughFreeCores, CoresFragmentedAcrossNodes, SharedPoolFloor, HugepagesShort, HugepageSizeUnsupported,
    NodeMemoryShort, MemOvercommitDenied, DeviceRemote, DevicesSplitNodes, DeviceNodeUnknown, DeviceNotFound, IommuOff, IommuGroupShared, NoSafeReset, DeviceInUse, SriovVfsExhausted,
    SriovUnsupported, MemlockLimit, CgroupV2Required, PartitionInvalid, RtKernelRequired, CpuModelMismatch, LabelMismatch, TenantSmtConflict, HybridCoresMixed, ArchUnsupported,
}

/// <param name="Evidence">Names and figures that the decision rests on.</param>
/// <param name="Remedies">At least one. Those with a request were planned: it fits.</param>
/// <param name="Nearest">The request nearest to the one asked that fits, as it was planned; null where nothing fits.</param>
public sealed record PlacementRefusal(PlacementCode Code, Sentence Message, IReadOnlyDictionary<string, string> Evidence, IReadOnlyList<PlacementRemedy> Remedies, PlacementRequest? Nearest)
    : PlacementOutcome
{
    /// <summary>NOT_ENOUGH_FREE_CORES …</summary>
    public string CodeName => System.Text.Json.JsonNamingPolicy.SnakeCaseUpper.ConvertName(Code.ToString());

    public string? MessageCode => Message.Code;
}

/// <param name="Request">What to ask for instead; null where something has to be done to the host.</param>
public sealed record PlacementRemedy(Sentence Advice, PlacementRequest? Request = null)
{
    public string? AdviceCode => Advice.Code;
}

/// <summary>One choice and why. Subject and choice are names (vcpu0-7, node0, 1-8), not sentences.</summary>
public sealed record PlacementReason(string Subject, string Choice, IReadOnlyList<Sentence> Because, IReadOnlyList<PlacementRejection> Rejected)
{
    public IReadOnlyList<string?> BecauseCodes => [.. Because.Select(b => b.Code)];
}

public sealed record PlacementRejection(string Choice, Sentence Why)
{
    public string? WhyCode => Why.Code;
}

/// <param name="Request">Planned again it gives just this.</param>
public sealed record PlacementAlternative(Sentence Summary, PlacementRequest Request, PlacementScore Score)
{
    public string? SummaryCode => Summary.Code;
}

/// <summary>What sets of nodes are compared by, in this order; less is better. Without any id, so that equal hosts give equal scores.</summary>
/// <param name="RemoteDevices">Devices that are on none of the nodes.</param>
/// <param name="Nodes">How many nodes.</param>
/// <param name="Distance">Sum over pairs of nodes, the longer way of each.</param>
/// <param name="Packages">Sockets touched.</param>
/// <param name="ExtraCaches">L3 domains beyond what so many cores need.</param>
/// <param name="ExtraClusters">Clusters within them beyond what so many cores need.</param>
/// <param name="DeviceRich">A machine without devices on a node that has some to give.</param>
/// <param name="Leftover">Free cores that stay in L3 domains which are used only in part.</param>
/// <param name="PagesLeft">Huge pages that stay free on the nodes.</param>
public sealed record PlacementScore(int RemoteDevices, int Nodes, int Distance, int Packages, int ExtraCaches, int ExtraClusters, int DeviceRich, int Leftover, long PagesLeft)
{
    /// <summary>Negative where this one is better.</summary>
    public int Against(PlacementScore other)
    {
        var mine = Criteria();
        var others = other.Criteria();
        for (var i = 0; i < mine.Length; i++)
            if (mine[i] != others[i])
                return mine[i].CompareTo(others[i]);
        return 0;
    }

    internal long[] Criteria() => [RemoteDevices, Nodes, Distance, Packages, ExtraCaches, ExtraClusters, DeviceRich, Leftover, PagesLeft];
}
