using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Hosts.Preparations;

public enum PreparationState
{
    /// <summary>Its job is at it.</summary>
    Applying,
    Applied,
    /// <summary>Less was had than asked for, or not all could be given back yet.</summary>
    Partial,
    /// <summary>Something else has changed it since.</summary>
    Drifted,
    /// <summary>Undone, or forgotten by the kernel at a boot.</summary>
    Restored,
}

/// <summary>Something that a host was set to. What there was before is in the host's own journal of the same id.</summary>
internal sealed class HostPreparation
{
    public PreparationId Id { get; set; }
    public Guid HostId { get; set; }
    public required HostSetting Setting { get; set; }
    /// <summary>Of the setting; no two that are in force share one.</summary>
    public required string Key { get; set; }
    /// <summary>Set again after each boot of the host.</summary>
    public bool Persistent { get; set; }
    public DateTimeOffset AppliedAt { get; set; }
    /// <summary>The boot of the host on which it was set last.</summary>
    public required string BootId { get; set; }
    /// <summary>The job that set it, or gave it back, last.</summary>
    public JobId? JobId { get; set; }
    public PreparationState State { get; set; }
    /// <summary>Seen to be different from what was set.</summary>
    public bool Drifted { get; set; }
    /// <summary>What is not as it was asked for, or why it is no more.</summary>
    public Sentence? Reason { get; set; }
    /// <summary>The files, before and after.</summary>
    public List<SettingValue> Values { get; set; } = [];
}

/// <summary>A preparation as pages and clients see it.</summary>
public sealed record PreparationView
{
    public required PreparationId Id { get; init; }
    public required HostSetting Setting { get; init; }
    /// <summary>What it overwrites; no two in force share it.</summary>
    public required string Key { get; init; }
    /// <summary>What it does, in one sentence.</summary>
    public required Sentence Summary { get; init; }
    /// <summary>Set again after each boot of the host.</summary>
    public required bool Persistent { get; init; }
    public required DateTimeOffset AppliedAt { get; init; }
    public required PreparationState State { get; init; }
    public Sentence? Reason { get; init; }
    /// <summary>Stable code of the reason's sentence.</summary>
    public string? ReasonCode => Reason?.Code;
    public JobId? JobId { get; init; }
    /// <summary>The files, before and after, as read back.</summary>
    public IReadOnlyList<SettingValue> Values { get; init; } = [];
}

/// <summary>Changes of the rows, inside the transactions of job checkpoints.</summary>
internal static class PreparationRecords
{
    private static readonly TimeSpan Kept = TimeSpan.FromDays(400);

    public static async Task AddAsync(PortalDb db, RecordPreparation step, DateTimeOffset now, CancellationToken ct)
    {
        await db.HostPreparations.Where(p => p.State == PreparationState.Restored && p.AppliedAt < now - Kept).ExecuteDeleteAsync(ct);
        if (await db.HostPreparations.AnyAsync(p => p.Id == step.PreparationId, ct))
            return;
        db.HostPreparations.Add(new HostPreparation
        {
            Id = step.PreparationId,
            HostId = step.HostId,
            Setting = step.Setting,
            Key = step.Setting.Key,
            Persistent = step.Persistent,
            AppliedAt = now,
            BootId = step.BootId,
            State = PreparationState.Applying,
        });
    }

    /// <summary>What the host did goes into the row together with the mark that its step is done.</summary>
    public static async Task KeepAsync(PortalDb db, JobId job, SettingOutcome outcome, DateTimeOffset now, CancellationToken ct)
    {
        var id = new PreparationId(outcome.PreparationId);
        if (await db.HostPreparations.FirstOrDefaultAsync(p => p.Id == id, ct) is not { } row)
            return;
        if (outcome.Restored)
            // What could not be given back yet must not come back after a boot.
            row.Persistent = false;
        else
            row.AppliedAt = now;
        (row.BootId, row.JobId, row.Drifted, row.Values) = (outcome.BootId, job, false, [.. outcome.Values]);
        row.Reason = outcome.Note is { } note ? HostSentences.Read(note) : null;
        row.State = !outcome.Complete ? PreparationState.Partial : outcome.Restored ? PreparationState.Restored : PreparationState.Applied;
    }
}
