using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Vms;

/// <summary>The answer to "may this be done now?".</summary>
internal abstract record LifecycleDecision
{
    public sealed record Accept : LifecycleDecision;

    public sealed record AlreadySo : LifecycleDecision;

    public sealed record Denied(Sentence Reason) : LifecycleDecision;
}

/// <summary>What the portal itself is doing to a machine now.</summary>
internal enum VmActivity { None, Starting, Stopping, Suspending }

/// <summary>What the host last said about a machine.</summary>
/// <param name="Run">Null: no process.</param>
/// <param name="End">How the last run ended, when there is no process.</param>
internal sealed record MachineTruth(MachineRunState? Run, MachineEnd? End, Sentence? Reason);

/// <summary>
/// The pure rules of a VM's life.
/// <code>
///  stopped ─start► starting ─► running ◄─resume─ paused
///     ▲               │fail      │  └──pause──────► ▲
///     │◄──────────────┘          ├─shutdown/stop─► stopping ─► stopped
///     │                          ├─suspend──────────────────► suspended ─start► starting
///     │                          └─guest powers off ────────► stopped
///     └──start── crashed ◄── QEMU dies, guest panics, internal-error
/// </code>
/// </summary>
internal static class VmLifecycle
{
    private static readonly LifecycleDecision Accept = new LifecycleDecision.Accept();
    private static readonly LifecycleDecision AlreadySo = new LifecycleDecision.AlreadySo();

    /// <summary>Whether an action is possible in a state. Total: a new state or action breaks the build.</summary>
    public static LifecycleDecision Decide(VmAction action, VmState state, bool hasProcess) => action switch
    {
        VmAction.Start => state switch
        {
            VmState.Stopped or VmState.Suspended or VmState.Crashed => Accept,
            VmState.Running or VmState.Starting => AlreadySo,
            VmState.Paused => Deny(Say.PausedResume),
            VmState.Stopping => Deny(Say.StillStopping),
            VmState.Migrating => Deny(Say.BeingMoved),
            VmState.Unknown => Deny(Say.StateUnknown),
        },
        VmAction.Shutdown => state switch
        {
            VmState.Running => Accept,
            VmState.Stopped or VmState.Suspended => AlreadySo,
            VmState.Crashed => hasProcess ? Deny(Say.CrashedCannotShutDown) : AlreadySo,
            VmState.Paused => Deny(Say.PausedCannotShutDown),
            VmState.Starting => Deny(Say.StillStarting),
            VmState.Stopping => AlreadySo,
            VmState.Migrating => Deny(Say.BeingMoved),
            VmState.Unknown => Deny(Say.StateUnknownStop),
        },
        VmAction.Stop => state switch
        {
            VmState.Running or VmState.Paused or VmState.Starting or VmState.Stopping or VmState.Unknown => Accept,
            VmState.Migrating => Deny(Say.BeingMoved),
            VmState.Stopped or VmState.Suspended => AlreadySo,
            VmState.Crashed => hasProcess ? Accept : AlreadySo,
        },
        VmAction.Reset => state switch
        {
            VmState.Running or VmState.Paused => Accept,
            VmState.Crashed => hasProcess ? Accept : Deny(Say.CrashedStart),
            VmState.Stopped or VmState.Suspended => Deny(Say.NotRunning),
            VmState.Starting or VmState.Stopping => Deny(Say.StartingOrStopping),
            VmState.Migrating => Deny(Say.BeingMoved),
            VmState.Unknown => Deny(Say.StateUnknown),
        },
        VmAction.Pause => state switch
        {
            VmState.Running => Accept,
            VmState.Paused => AlreadySo,
            VmState.Stopped or VmState.Suspended or VmState.Crashed => Deny(Say.NotRunning),
            VmState.Starting or VmState.Stopping => Deny(Say.StartingOrStopping),
            VmState.Migrating => Deny(Say.BeingMoved),
            VmState.Unknown => Deny(Say.StateUnknown),
        },
        VmAction.Resume => state switch
        {
            VmState.Paused => Accept,
            VmState.Running => AlreadySo,
            VmState.Suspended => Deny(Say.SuspendedStart),
            VmState.Stopped => Deny(Say.NotRunning),
            VmState.Crashed => Deny(Say.CrashedResetOrStop),
            VmState.Starting or VmState.Stopping => Deny(Say.StartingOrStopping),
            VmState.Migrating => Deny(Say.BeingMoved),
            VmState.Unknown => Deny(Say.StateUnknown),
        },
        VmAction.Suspend => state switch
        {
            VmState.Running or VmState.Paused => Accept,
            VmState.Suspended => AlreadySo,
            VmState.Stopped or VmState.Crashed => Deny(Say.NotRunning),
            VmState.Starting or VmState.Stopping => Deny(Say.StartingOrStopping),
            VmState.Migrating => Deny(Say.BeingMoved),
            VmState.Unknown => Deny(Say.StateUnknown),
        },
    };

    /// <summary>The state that people see, from what the host says and what the portal is doing.</summary>
    public static VmState Derive(MachineTruth truth, VmActivity activity, bool suspended) =>
        truth.Run is { } run ? WithProcess(run, activity)
        : activity == VmActivity.Starting ? VmState.Starting
        : truth.End == MachineEnd.Crashed ? VmState.Crashed
        : suspended ? VmState.Suspended
        : VmState.Stopped;

    private static VmState WithProcess(MachineRunState run, VmActivity activity) => run switch
    {
        MachineRunState.Prelaunch => activity == VmActivity.Starting ? VmState.Starting : VmState.Paused,
        MachineRunState.Running => Ending(activity) ? VmState.Stopping : VmState.Running,
        MachineRunState.Paused or MachineRunState.IoError => Ending(activity) ? VmState.Stopping : VmState.Paused,
        MachineRunState.Panicked or MachineRunState.InternalError => activity == VmActivity.Stopping ? VmState.Stopping : VmState.Crashed,
        MachineRunState.Migrating => Ending(activity) ? VmState.Stopping : activity == VmActivity.Starting ? VmState.Starting : VmState.Migrating,
        MachineRunState.ShutDown => VmState.Stopping,
        MachineRunState.Unresponsive => VmState.Unknown,
    };

    private static bool Ending(VmActivity activity) => activity is VmActivity.Stopping or VmActivity.Suspending;

    /// <summary>States that prove that an action had its effect; the job waits for one of them before it calls itself succeeded.</summary>
    public static bool Proves(VmAction action, VmState state) => action switch
    {
        // Never a state that the machine may still be seen in from before: the host's news travel behind its answers.
        VmAction.Start or VmAction.Resume => state is VmState.Running or VmState.Crashed or VmState.Stopped,
        VmAction.Reset => state is VmState.Running or VmState.Stopped,
        VmAction.Shutdown or VmAction.Stop => state is VmState.Stopped or VmState.Crashed,
        VmAction.Pause => state is VmState.Paused or VmState.Stopped or VmState.Crashed,
        VmAction.Suspend => state is VmState.Suspended or VmState.Stopped or VmState.Crashed,
    };

    /// <summary>What the portal is doing while a job of this action runs.</summary>
    public static VmActivity ActivityOf(VmAction action) => action switch
    {
        VmAction.Start => VmActivity.Starting,
        VmAction.Shutdown or VmAction.Stop => VmActivity.Stopping,
        VmAction.Suspend => VmActivity.Suspending,
        VmAction.Reset or VmAction.Pause or VmAction.Resume => VmActivity.None,
    };

    private static LifecycleDecision.Denied Deny(Sentence reason) => new(reason);
}
