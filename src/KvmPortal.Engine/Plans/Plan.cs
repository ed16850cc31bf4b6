using System.Text.Json.Serialization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>What will happen, in order, and why: made by a pure planner, read by people before it runs, run by a job.</summary>
public sealed record Plan
{
    public IReadOnlyList<PlanStep> Steps { get; init; } = [];
    /// <summary>What each changed field of a definition will do.</summary>
    public IReadOnlyList<FieldEffect> Effects { get; init; } = [];
    /// <summary>Choices that were made for the user, with their reasons (accelerator, CPU model, disk cache …).</summary>
    public IReadOnlyList<PlanReason> Reasons { get; init; } = [];
    public IReadOnlyList<Sentence> Warnings { get; init; } = [];
    /// <summary>Where a machine of the bare-metal class goes; null for others.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public Placement.PlacementPlan? Placement { get; init; }
    /// <summary>The exact QEMU command line of a start; null for other plans.</summary>
    public IReadOnlyList<string>? Argv { get; init; }

    /// <summary>How the command line of the next start differs from the one that runs; null for other plans.</summary>
    [JsonIgnore] public ArgvDifference? NextBoot { get; init; }

    /// <summary>The aim is already so.</summary>
    public static Plan Nothing { get; } = new();
}

/// <summary>Options with their values, one a line, each list in the order of its command line.</summary>
public sealed record ArgvDifference(IReadOnlyList<string> Removed, IReadOnlyList<string> Added)
{
    /// <summary>Options that only one of the two has.</summary>
    public static ArgvDifference Of(IReadOnlyList<string> before, IReadOnlyList<string> after)
    {
        var (old, now) = (Options(before), Options(after));
        return new ArgvDifference(Without(old, now), Without(now, old));
    }

    private static List<string> Without(List<string> all, List<string> but)
    {
        var left = but.GroupBy(o => o).ToDictionary(g => g.Key, g => g.Count());
        return [.. all.Where(o => left.GetValueOrDefault(o) is var n && (left[o] = n - 1) < 0)];
    }

    private static List<string> Options(IReadOnlyList<string> argv)
    {
        var options = new List<string>();
        foreach (var argument in argv.Skip(1))
            if (options.Count > 0 && !argument.StartsWith('-') && !options[^1].Contains(' ', StringComparison.Ordinal))
                options[^1] += $" {argument}";
            else
                options.Add(argument);
        return options;
    }
}

public enum StepState { Pending, Running, Done, Skipped, Failed, Undone }

/// <summary>One step of a plan. Exactly one of <see cref="OnHost"/> and <see cref="InPortal"/> is set.</summary>
public sealed record PlanStep
{
    public required string Kind { get; init; }
    /// <summary>One sentence: what it does.</summary>
    public required Sentence Summary { get; init; }
    /// <summary>One sentence: why.</summary>
    public Sentence? Reason { get; init; }
    public StepState State { get; init; } = StepState.Pending;
    public HostStep? OnHost { get; init; }
    public PortalStep? InPortal { get; init; }
    /// <summary>Exactly what a step that sets the host up writes: file, what it says now, what it will say.</summary>
    public IReadOnlyList<HostWrite> Writes { get; init; } = [];

    /// <summary>The QMP commands that it sends to a running machine, as JSON; only in the preview of a change.</summary>
    [JsonIgnore] public IReadOnlyList<string> Commands { get; init; } = [];

    public static PlanStep Host(HostStep step, Sentence summary, Sentence? reason = null) =>
        new() { Kind = step.Kind, Summary = summary, Reason = reason, OnHost = step };

    public static PlanStep Portal(PortalStep step, Sentence summary, Sentence? reason = null) =>
        new() { Kind = step.Kind, Summary = summary, Reason = reason, InPortal = step };
}

/// <summary>The closed list of steps that change only the portal's own records.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "step")]
[JsonDerivedType(typeof(ForgetVm), "forget-vm")]
[JsonDerivedType(typeof(ForgetDisk), "forget-disk")]
[JsonDerivedType(typeof(ForgetImage), "forget-image")]
[JsonDerivedType(typeof(RecordRun), "record-run")]
[JsonDerivedType(typeof(RecordSuspend), "record-suspend")]
[JsonDerivedType(typeof(RecordLive), "record-live")]
[JsonDerivedType(typeof(RecordPlace), "record-place")]
[JsonDerivedType(typeof(RecordDiskReady), "record-disk-ready")]
[JsonDerivedType(typeof(RecordImage), "record-image")]
[JsonDerivedType(typeof(RunChild), "run-child")]
[JsonDerivedType(typeof(RecordPreparation), "record-preparation")]
public abstract record PortalStep
{
    [JsonIgnore] public abstract string Kind { get; }
}

/// <summary>Removes the VM's row after everything on the host is gone.</summary>
public sealed record ForgetVm(VmId VmId) : PortalStep { public override string Kind => "forget-vm"; }

public sealed record ForgetDisk(DiskId DiskId) : PortalStep { public override string Kind => "forget-disk"; }

public sealed record ForgetImage(ImageId ImageId) : PortalStep { public override string Kind => "forget-image"; }

/// <summary>Records the definition version, machine type and accelerator that a start uses. Undo clears it.</summary>
public sealed record RecordRun(VmId VmId, int DefinitionVersion, string MachineType, Accelerator Accelerator, string CpuModel) : PortalStep
{
    public override string Kind => "record-run";
    public StartedRoom? Room { get; init; }
}

/// <summary>Records (or with null forgets) where the saved state of a suspended VM is.</summary>
public sealed record RecordSuspend(VmId VmId, string? StatePath) : PortalStep { public override string Kind => "record-suspend"; }

/// <summary>Records what the running machine has after a live change, so that what still waits for the next boot is known.</summary>
public sealed record RecordLive(VmId VmId, VmDefinition Running) : PortalStep { public override string Kind => "record-live"; }

/// <summary>Records in the ledger where a running machine is to be. Undo gives back <see cref="Before"/>.</summary>
/// <param name="Generation">Only on this generation of the ledger; null: on any, for a machine that gives something free.</param>
public sealed record RecordPlace(VmId VmId, Placement.PlacementPlan Plan, long? Generation) : PortalStep
{
    public override string Kind => "record-place";
    /// <summary>CPUs that it holds besides, until it has left them.</summary>
    public CpuSet Also { get; init; }
    public Placement.PlacementPlan? Before { get; init; }
}

public sealed record RecordDiskReady(DiskId DiskId) : PortalStep { public override string Kind => "record-disk-ready"; }

/// <summary>Publishes an image with what the host found in it (taken from the job's last <see cref="StepDone.Image"/>).</summary>
public sealed record RecordImage(ImageId ImageId) : PortalStep { public override string Kind => "record-image"; }

/// <summary>One VM of a bulk job: a job of its own that the bulk job waits for (see BulkExecution).</summary>
public sealed record RunChild(VmId VmId, string Name) : PortalStep { public override string Kind => "run-child"; }

/// <summary>Records that the host is about to be set so; what came of it is kept when it is done (<see cref="StepDone.Setting"/>). Undo forgets it.</summary>
public sealed record RecordPreparation(PreparationId PreparationId, Guid HostId, HostSetting Setting, bool Persistent, string BootId) : PortalStep { public override string Kind => "record-preparation"; }

public enum Effect { Live, HotPlug, NextBoot, Refused }

/// <param name="Pointer">JSON pointer into the definition.</param>
/// <param name="Before">Old value as JSON text; null when added.</param>
/// <param name="After">New value as JSON text; null when removed.</param>
public sealed record FieldEffect(string Pointer, Effect Effect, Sentence Reason, string? Before, string? After)
{
    /// <summary>Stable code of the reason's sentence.</summary>
    public string? ReasonCode => Reason.Code;
}

/// <param name="Topic">accelerator, cpu-model, machine-type, disk, memory …</param>
public sealed record PlanReason(string Topic, string Choice, Sentence Reason)
{
    /// <summary>Stable code of the reason's sentence; null when it is in the host's own words.</summary>
    public string? ReasonCode => Reason.Code;
}
