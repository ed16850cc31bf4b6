using System.Text.Json.Serialization;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Jobs;

public sealed record PlanStepResponse(string Kind, Sentence Summary, StepState State, Sentence? Reason)
{
    /// <summary>Stable code of the summary's sentence.</summary>
    public string? SummaryCode => Summary.Code;

    /// <summary>Stable code of the reason's sentence.</summary>
    public string? ReasonCode => Reason?.Code;

    /// <summary>Of a step that sets the host up: each file, what it says now and what it will say.</summary>
    public IReadOnlyList<HostWrite> Writes { get; init; } = [];
    /// <summary>The QMP commands that it sends, as JSON; only in the dry run of a change of a running machine.</summary>
    public IReadOnlyList<string> Commands { get; init; } = [];
}

/// <summary>What will happen (dry run) or happened (job).</summary>
public sealed record PlanResponse
{
    public required IReadOnlyList<PlanStepResponse> Steps { get; init; }
    /// <summary>Effect of each changed field: live, hot-plug, next-boot or refused.</summary>
    public IReadOnlyList<FieldEffect> Effects { get; init; } = [];
    public IReadOnlyList<PlanReason> Reasons { get; init; } = [];
    public IReadOnlyList<Sentence> Warnings { get; init; } = [];
    /// <summary>Where a machine of the bare-metal class goes: CPUs, memory, reasons, alternatives.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public PlacementPlan? Placement { get; init; }
    /// <summary>The exact QEMU command line of a start; only in a dry run.</summary>
    public IReadOnlyList<string>? Argv { get; init; }
    /// <summary>How the command line of the next start differs from the one that runs; only in the dry run of a change.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public ArgvDifference? NextBoot { get; init; }

    public static PlanResponse From(Plan plan) => new()
    {
        Steps = [.. plan.Steps.Select(s => new PlanStepResponse(s.Kind, s.Summary, s.State, s.Reason) { Writes = s.Writes, Commands = s.Commands })],
        Effects = plan.Effects,
        Reasons = plan.Reasons,
        Warnings = plan.Warnings,
        Placement = plan.Placement,
        Argv = plan.Argv,
        NextBoot = plan.NextBoot,
    };
}

/// <summary>A job on the wire.</summary>
public sealed record JobResponse
{
    public required JobId Id { get; init; }
    public required string Kind { get; init; }
    public required JobTarget Target { get; init; }
    public required JobState State { get; init; }
    public required JobProgress Progress { get; init; }
    public required PlanResponse Plan { get; init; }
    public required string CreatedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }
    public ProblemInfo? Error { get; init; }
    public IReadOnlyList<Sentence> Warnings { get; init; } = [];
    public bool CancelRequested { get; init; }
    /// <summary>The bulk job that asked for this one.</summary>
    public JobId? ParentId { get; init; }

    public static JobResponse From(JobView job) => new()
    {
        Id = job.Id,
        Kind = job.Kind,
        Target = job.Target,
        State = job.State,
        Progress = job.Progress,
        Plan = PlanResponse.From(job.Plan),
        CreatedBy = job.CreatedBy,
        CreatedAt = job.CreatedAt,
        ParentId = job.ParentId,
        StartedAt = job.StartedAt,
        EndedAt = job.EndedAt,
        Error = job.Error,
        Warnings = job.Warnings,
        CancelRequested = job.CancelRequested,
    };
}
