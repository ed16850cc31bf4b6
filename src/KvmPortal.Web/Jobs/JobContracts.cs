using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;

namespace KvmPortal.Web.Jobs;

/// <summary>A job: what was asked, what is planned, how far it is.</summary>
public sealed record JobAnswer
{
    public required JobId Id { get; init; }
    /// <summary>start-vm, stop-vm, create-vm, change-vm, delete-vm, register-image …</summary>
    public required string Kind { get; init; }
    public required JobTarget Target { get; init; }
    public required JobState State { get; init; }
    public required JobProgress Progress { get; init; }
    public required PlanAnswer Plan { get; init; }
    public required string CreatedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }
    /// <summary>Why it failed.</summary>
    public ProblemInfo? Error { get; init; }
    public IReadOnlyList<string> Warnings { get; init; } = [];
    public bool CancelRequested { get; init; }

    internal static JobAnswer Of(JobView j) => new()
    {
        Id = j.Id, Kind = j.Kind, Target = j.Target, State = j.State, Progress = j.Progress, Plan = PlanAnswer.Of(j.Plan), CreatedBy = j.CreatedBy, CreatedAt = j.CreatedAt,
        StartedAt = j.StartedAt, EndedAt = j.EndedAt, Error = j.Error, Warnings = j.Warnings, CancelRequested = j.CancelRequested,
    };
}

/// <summary>What will happen, in order, and why.</summary>
public sealed record PlanAnswer
{
    public required IReadOnlyList<StepAnswer> Steps { get; init; }
    /// <summary>What each changed field of a definition will do.</summary>
    public required IReadOnlyList<EffectAnswer> Effects { get; init; }
    /// <summary>Choices made for you, with their reasons.</summary>
    public required IReadOnlyList<PlanReason> Reasons { get; init; }
    public required IReadOnlyList<string> Warnings { get; init; }
    /// <summary>The exact QEMU command line, one argument per element; dry run of a start only.</summary>
    public IReadOnlyList<string>? Argv { get; init; }

    internal static PlanAnswer Of(Plan p) => new()
    {
        Steps = [.. p.Steps.Select(s => new StepAnswer(s.Kind, s.Summary, s.State, s.Reason))], Effects = [.. p.Effects.Select(EffectAnswer.Of)], Reasons = p.Reasons, Warnings = p.Warnings, Argv = p.Argv,
    };
}

/// <param name="Summary">One sentence: what it does.</param>
/// <param name="Reason">One sentence: why.</param>
public sealed record StepAnswer(string Kind, string Summary, StepState State, string? Reason);

/// <param name="Pointer">JSON pointer into the definition.</param>
/// <param name="Before">Null when the field is new.</param>
/// <param name="After">Null when the field goes away.</param>
public sealed record EffectAnswer(string Pointer, Effect Effect, string Reason, JsonElement? Before, JsonElement? After)
{
    internal static EffectAnswer Of(FieldEffect e) => new(e.Pointer, e.Effect, e.Reason, Value(e.Before), Value(e.After));

    private static JsonElement? Value(string? json) => json is null ? null : JsonSerializer.Deserialize<JsonElement>(json, PortalJson.Options);
}

/// <param name="Items">At most 1000.</param>
/// <param name="Next">Ask with `after` this number for what comes next.</param>
public sealed record JobLogAnswer(IReadOnlyList<JobLogEntry> Items, int Next);
