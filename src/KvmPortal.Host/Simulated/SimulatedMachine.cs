using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>One machine that runs. Its state changes only under the fleet's lock; it owns no timer and no thread.</summary>
internal sealed class SimulatedMachine(MachineSpec spec, int pid, DateTimeOffset startedAt)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TimeSpan _ranBefore;
    private DateTimeOffset _runningSince;

    /// <summary>With what was plugged since its start.</summary>
    public MachineSpec Spec { get; set; } = spec;
    public Guid Id => Spec.Id;
    public int Pid { get; } = pid;
    public DateTimeOffset StartedAt { get; } = startedAt;
    public NameScript Script { get; } = NameScript.Of(spec.Name);
    public SerialConsole Serial { get; } = new(spec);
    public Screen Screen { get; } = new(spec.Id);
    public MachineRunState State { get; private set; } = MachineRunState.Prelaunch;
    public bool HasRun { get; set; }
    /// <summary>A step resumed it from a pause, so undoing that step pauses it again.</summary>
    public bool Resumed { get; set; }
    /// <summary>Where its threads were pinned; null: anywhere.</summary>
    public MachinePlacement? Placement { get; set; }
    public int BalloonMiB { get; set; } = spec.Memory.SizeMiB;
    public Dictionary<string, DiskLimitsSpec>? Limits { get; set; }
    public Dictionary<string, string?>? Media { get; set; }
    /// <summary>Completes when the machine is gone.</summary>
    public Task Ended => _ended.Task;

    public void MarkEnded(DateTimeOffset now)
    {
        Enter(MachineRunState.ShutDown, now);
        Serial.End();
        _ended.TrySetResult();
    }

    public void Enter(MachineRunState state, DateTimeOffset now)
    {
        if (State == MachineRunState.Running)
            _ranBefore = Uptime(now);
        _runningSince = now;
        State = state;
    }

    /// <summary>How long the guest's CPUs have run in all; stands still while the machine is paused.</summary>
    public TimeSpan Uptime(DateTimeOffset now) =>
        State == MachineRunState.Running && now > _runningSince ? _ranBefore + (now - _runningSince) : _ranBefore;

    public MachineObserved Observe(DateTimeOffset now) => new()
    {
        At = now,
        MachineId = Id,
        State = State,
        Pid = Pid,
        Accelerator = Spec.Accelerator,
        StartedAt = StartedAt,
    };
}
