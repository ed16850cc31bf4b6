using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;

namespace KvmPortal.Engine.Jobs;

public enum JobState { Queued, Running, Succeeded, Failed, Cancelled, Interrupted }

/// <summary>`Vms`: many at once; the name is their number.</summary>
public enum TargetType { Vm, Image, Host, Vms }

/// <summary>What a job is about; the name is kept so that history reads well after the target is gone.</summary>
public sealed record JobTarget(TargetType Type, Guid Id, string Name);

/// <summary>The row of a job. Written by the runner that holds the lease only (see JobRunner).</summary>
internal sealed class Job
{
    public JobId Id { get; set; }
    /// <summary>start-vm, stop-vm, create-vm, change-vm, delete-vm, register-image …</summary>
    public required string Kind { get; set; }
    public TargetType TargetType { get; set; }
    public Guid TargetId { get; set; }
    public required string TargetName { get; set; }
    /// <summary>Jobs of one key run one after another, in the order of <see cref="Seq"/>: `vm:UUID`, `image:UUID`.</summary>
    public required string SerialKey { get; set; }
    /// <summary>Unique within the key, allocated in the same transaction as the row: order survives a crash.</summary>
    public long Seq { get; set; }
    public JobState State { get; set; }
    /// <summary>What was asked; the plan is remade from it when the job's turn comes, because the VM may have changed since.</summary>
    public required JobIntent Intent { get; set; }
    public required Plan Plan { get; set; }
    /// <summary>True once the plan was remade at the job's turn: from then on it is what runs, also after a crash.</summary>
    public bool Planned { get; set; }
    public long BytesDone { get; set; }
    public long BytesTotal { get; set; }
    public required string CreatedBy { get; set; }
    public required string RequestId { get; set; }
    public DateTimeOffset CreatedAt { get; set; }
    public DateTimeOffset? StartedAt { get; set; }
    public DateTimeOffset? EndedAt { get; set; }
    public ProblemInfo? Error { get; set; }
    public List<Sentence> Warnings { get; set; } = [];
    public bool CancelRequested { get; set; }
    /// <summary>Runner that claimed the job; every checkpoint names it, so a runner that lost its lease changes nothing.</summary>
    public string? Owner { get; set; }
    public DateTimeOffset? LeaseUntil { get; set; }
    /// <summary>The bulk job that asked for this one.</summary>
    public JobId? ParentId { get; set; }
}

/// <summary>One line of a job's log.</summary>
internal sealed class JobLogLine
{
    public JobId JobId { get; set; }
    /// <summary>1, 2, 3 … within the job.</summary>
    public int Number { get; set; }
    public DateTimeOffset At { get; set; }
    public bool Warning { get; set; }
    public required Sentence Text { get; set; }
}

/// <summary>A job as pages and clients see it.</summary>
public sealed record JobView
{
    public required JobId Id { get; init; }
    public required string Kind { get; init; }
    public required JobTarget Target { get; init; }
    public required JobState State { get; init; }
    public required JobProgress Progress { get; init; }
    public required Plan Plan { get; init; }
    public required string CreatedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }
    public ProblemInfo? Error { get; init; }
    public IReadOnlyList<Sentence> Warnings { get; init; } = [];
    public bool CancelRequested { get; init; }
    /// <summary>The bulk job that asked for this one.</summary>
    public JobId? ParentId { get; init; }
}

/// <param name="Step">Summary of the step that runs; null before and after.</param>
public sealed record JobProgress(int Percent, Sentence? Step, long BytesDone, long BytesTotal);

public sealed record JobLogEntry(int Number, DateTimeOffset At, bool Warning, Sentence Text)
{
    /// <summary>Stable code of the line's sentence; null for words of QEMU and the host.</summary>
    public string? TextCode => Text.Code;
}
