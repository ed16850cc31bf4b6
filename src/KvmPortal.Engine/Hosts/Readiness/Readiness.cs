using System.Text.Json.Serialization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>Whether something is as machines need it.</summary>
public enum Verdict
{
    Ready,
    /// <summary>It works, with a cost that the finding tells.</summary>
    WorksBut,
    Missing,
    /// <summary>What was read does not tell.</summary>
    Unknown,
}

/// <summary>What a host may be used for.</summary>
public enum Purpose { OrdinaryVms, BareMetal, GpuPassthrough, SriovNetworking, Dpdk, EncryptedMigration, ConfidentialVms, KataContainers }

/// <summary>Whom a check matters for.</summary>
public enum Audience
{
    EveryVm,
    BareMetalClass,
    Gpu,
    LowLatency,
    Migration,
    Isolation,
    /// <summary>等保2.0 (GB/T 22239-2019).</summary>
    Mlps,
}

/// <summary>What a file said.</summary>
/// <param name="Source">The file, or what else was asked.</param>
/// <param name="Content">At most a few lines; "(absent)" where there is no such file.</param>
public sealed record Evidence(string Source, string Content);

public enum FixKind
{
    /// <summary>The portal can do it now, as a plan and a job, with undo: <see cref="Fix.Setting"/>.</summary>
    Now,
    /// <summary>Parameters of the kernel's command line; the portal writes none itself, and looks after the reboot whether they are there.</summary>
    BootParameter,
    /// <summary>Something to look for in the firmware's set-up.</summary>
    Firmware,
    /// <summary>A command that the operator runs.</summary>
    Command,
    Purchase,
}

/// <summary>One way to mend it.</summary>
public sealed record Fix(FixKind Kind, Sentence Text)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public HostSetting? Setting { get; init; }
    /// <summary>Exactly what to add to the kernel's command line.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? BootLine { get; init; }
}

/// <summary>What a check found.</summary>
public sealed record Finding(Verdict Verdict, Sentence Text, IReadOnlyList<Evidence> Evidence, IReadOnlyList<Fix> Fixes);

/// <summary>A check with what it found.</summary>
/// <param name="Id">Stable, kebab-case.</param>
/// <param name="Meaning">In plain words, why one wants it.</param>
/// <param name="RequiredFor">Purposes that do not work without it.</param>
/// <param name="HelpsFor">Purposes that work worse without it.</param>
public sealed record CheckResult(string Id, Sentence Title, Sentence Meaning, Verdict Verdict, Sentence Text, IReadOnlyList<Evidence> Evidence, IReadOnlyList<Fix> Fixes,
    IReadOnlyList<Audience> MattersFor, IReadOnlyList<Purpose> RequiredFor, IReadOnlyList<Purpose> HelpsFor);

/// <summary>Whether the host is ready for a purpose.</summary>
/// <param name="Next">Ids of the checks to mend, the most important first.</param>
public sealed record PurposeVerdict(Purpose Purpose, Verdict Verdict, IReadOnlyList<string> Next);

/// <summary>The whole report.</summary>
public sealed record ReadinessReport(IReadOnlyList<PurposeVerdict> Purposes, IReadOnlyList<CheckResult> Checks);

/// <summary>What checks look at.</summary>
/// <param name="Facts">Null for a captured tree: what only the running host can tell is unknown then.</param>
/// <param name="RunsAsRoot">Of the portal; null for a captured tree.</param>
/// <param name="MachineUids">The range that the portal is set to.</param>
public sealed record ReadinessInput(HostInventory Inventory, HostFacts? Facts, bool? RunsAsRoot, (int First, int Last)? MachineUids);
