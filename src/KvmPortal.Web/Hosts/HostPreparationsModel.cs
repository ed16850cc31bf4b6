using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Hosts;

/// <summary>What a host is set to: the list, the jobs that change it, and the boot parameters.</summary>
public sealed class HostPreparationsModel(PreparationOperations preparations, BootParameterOperations parameters, JobOperations jobs)
{
    /// <summary>In force; null before they were read.</summary>
    public IReadOnlyList<PreparationView>? InForce { get; private set; }

    /// <summary>The newest that are no more.</summary>
    public IReadOnlyList<PreparationView> Past { get; private set; } = [];

    public BootParametersView? Boot { get; private set; }
    public ProblemInfo? Problem { get; private set; }

    /// <summary>The last job that was asked for here.</summary>
    public JobView? Job { get; private set; }

    public bool Busy => Job is { State: JobState.Queued or JobState.Running };

    public async Task ReadAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            var all = await preparations.ListAsync(caller, ct);
            (InForce, Past) = ([.. all.Where(p => p.State != PreparationState.Restored)], [.. all.Where(p => p.State == PreparationState.Restored)]);
            Boot = await parameters.GetAsync(caller, ct);
            Problem = null;
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    public Task<Plan> PlanAsync(Caller caller, HostSetting setting, bool persistent) => preparations.PlanPrepareAsync(caller, [setting], persistent, CancellationToken.None);

    public async Task<object?> PrepareAsync(Caller caller, HostSetting setting, bool persistent) => Job = await preparations.PrepareAsync(caller, [setting], persistent, CancellationToken.None);

    public Task<Plan> PlanUndoAsync(Caller caller, PreparationId id) => preparations.PlanUndoAsync(caller, id, CancellationToken.None);

    public async Task<object?> UndoAsync(Caller caller, PreparationId id) => Job = await preparations.UndoAsync(caller, id, CancellationToken.None);

    /// <summary>Follows the job that was asked for to its end, and reads anew.</summary>
    public async Task FollowAsync(Caller caller, Action changed, CancellationToken ct)
    {
        try
        {
            while (Busy)
            {
                changed();
                Job = await jobs.WaitAsync(caller, Job!.Id, TimeSpan.FromSeconds(10), ct);
            }
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }

        await ReadAsync(caller, ct);
        changed();
    }

    /// <summary>"I will do that": what is suggested, or nothing.</summary>
    public async Task ExpectAsync(Caller caller, IReadOnlyList<string> wanted, CancellationToken ct)
    {
        try
        {
            Boot = await parameters.ExpectAsync(caller, wanted, ct);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    public static (string Glyph, string Colour) Look(PreparationState state) => state switch
    {
        PreparationState.Applying => (Glyphs.Moving, "blue"),
        PreparationState.Applied => (Glyphs.Done, "green"),
        PreparationState.Partial => (Glyphs.Warning, "amber"),
        PreparationState.Drifted => (Glyphs.Error, "red"),
        PreparationState.Restored => (Glyphs.Wait, ""),
    };
}
