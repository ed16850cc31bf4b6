using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Faults.Tests;

/// <summary>One job of one kind, from a start state that it prepares.</summary>
internal sealed record Scenario
{
    public required string Name { get; init; }
    /// <summary>As <see cref="JobKinds"/> names it.</summary>
    public required string Kind { get; init; }
    public Func<FaultPortal, Task> Prepare { get; init; } = _ => Task.CompletedTask;
    /// <summary>Asks for the job (or jobs, in order); returns when the portal has taken them.</summary>
    public required Func<FaultPortal, Task<JobId[]>> Ask { get; init; }
    /// <summary>The call to the host at whose begin the job is cancelled; null for never.</summary>
    public int? CancelAtCall { get; init; }
    /// <summary>The state of the machine <see cref="Scenarios.Machine"/> after success; null: there is none.</summary>
    public VmState? After { get; init; }
    /// <summary>The same after each of several jobs: the portal may be killed before the last was asked for.</summary>
    public IReadOnlyList<VmState> Each { get; init; } = [];
    /// <summary>How many settings of the host are in force after success.</summary>
    public int Prepared { get; init; }
    /// <summary>The job may end so when nobody kills the portal.</summary>
    public JobState Undisturbed { get; init; } = JobState.Succeeded;
    /// <summary>How the job may end after a kill; anything else is a defect.</summary>
    public IReadOnlyList<JobState> Ends { get; init; } = [JobState.Succeeded];

    public override string ToString() => Name;
}
