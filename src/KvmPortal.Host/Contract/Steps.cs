using System.Text.Json.Serialization;

namespace KvmPortal.Host.Contract;

/// <summary>
/// The closed list of what a host can be asked to do. Each step names its aim, not its moves: it looks before it acts, may be repeated, and has an undo.
/// Steps are stored as JSON in the job row, so a change of shape must stay readable.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "step")]
[JsonDerivedType(typeof(ProveAccelerator), "prove-accelerator")]
[JsonDerivedType(typeof(CreateDisk), "create-disk")]
[JsonDerivedType(typeof(DeleteDisk), "delete-disk")]
[JsonDerivedType(typeof(PrepareMachine), "prepare-machine")]
[JsonDerivedType(typeof(LaunchMachine), "launch-machine")]
[JsonDerivedType(typeof(PinMachine), "pin-machine")]
[JsonDerivedType(typeof(RunMachine), "run-machine")]
[JsonDerivedType(typeof(PauseMachine), "pause-machine")]
[JsonDerivedType(typeof(ResetMachine), "reset-machine")]
[JsonDerivedType(typeof(PowerDownMachine), "power-down-machine")]
[JsonDerivedType(typeof(EndMachine), "end-machine")]
[JsonDerivedType(typeof(SaveMachine), "save-machine")]
[JsonDerivedType(typeof(SetDiskLimits), "set-disk-limits")]
[JsonDerivedType(typeof(SetVcpus), "set-vcpus")]
[JsonDerivedType(typeof(SetMemory), "set-memory")]
[JsonDerivedType(typeof(SetBalloon), "set-balloon")]
[JsonDerivedType(typeof(ChangeMedium), "change-medium")]
[JsonDerivedType(typeof(DiscardMachine), "discard-machine")]
[JsonDerivedType(typeof(RegisterImage), "register-image")]
[JsonDerivedType(typeof(DeleteImageFile), "delete-image-file")]
[JsonDerivedType(typeof(ApplyHostSetting), "apply-host-setting")]
[JsonDerivedType(typeof(RestoreHostSetting), "restore-host-setting")]
[JsonDerivedType(typeof(MeasureLoss), "measure-loss")]
public abstract record HostStep
{
    /// <summary>The step's stable name, as in the JSON.</summary>
    [JsonIgnore] public abstract string Kind { get; }

    /// <summary>False for a step that cannot see whether it has happened already: one that was cut is not simply done again.</summary>
    [JsonIgnore] public virtual bool Repeatable => true;
}

/// <summary>A step about one machine.</summary>
public abstract record MachineStep : HostStep
{
    public required Guid MachineId { get; init; }
}

/// <summary>Boots a tiny 64-bit guest on KVM with a deadline, once per host boot; the verdict is in <see cref="KvmFacts"/> afterwards. Never fails: Broken is a result.</summary>
public sealed record ProveAccelerator : HostStep
{
    public override string Kind => "prove-accelerator";
    /// <summary>Try although there is a verdict of this host boot.</summary>
    public bool Again { get; init; }
}

/// <summary>Makes a disk file: blank, linked (qcow2 overlay) or a full copy of an image. Undo deletes it if this step made it.</summary>
public sealed record CreateDisk : HostStep
{
    public override string Kind => "create-disk";
    public required Guid DiskId { get; init; }
    /// <summary>Absolute path below the host's disk folder.</summary>
    public required string Path { get; init; }
    public required DiskFormat Format { get; init; }
    public required long SizeBytes { get; init; }
    /// <summary>Image to start from; null makes a blank disk.</summary>
    public string? SourcePath { get; init; }
    public DiskFormat? SourceFormat { get; init; }
    /// <summary>True: qcow2 overlay on the image; false: full copy with progress in bytes.</summary>
    public bool Linked { get; init; }
}

/// <summary>Deletes a disk file. Has no undo.</summary>
public sealed record DeleteDisk : HostStep
{
    public override string Kind => "delete-disk";
    public required Guid DiskId { get; init; }
    public required string Path { get; init; }
}

/// <summary>Makes the machine's private copy of the UEFI firmware's variables, where it has none yet. Has no undo: the copy is the machine's own.</summary>
public sealed record PrepareMachine : MachineStep
{
    public override string Kind => "prepare-machine";
    public required FirmwareSpec Firmware { get; init; }
}

/// <summary>
/// Starts swtpm if needed and QEMU with its CPUs stopped (`-S`), attaches the supervisor and the serial reader. Undo ends the process and removes its sockets.
/// A machine of this id that already runs is success.
/// </summary>
public sealed record LaunchMachine : MachineStep
{
    public override string Kind => "launch-machine";
    public required MachineSpec Spec { get; init; }
}

/// <summary>
/// Puts every thread of a launched or running machine on its CPUs, reads that back, and keeps it so: after a restart of the portal, too. What is moved by somebody else is told
/// (<see cref="MachineNotice.Kind"/> `placement-drift`). Undo gives back <see cref="Before"/>, or all CPUs.
/// </summary>
public sealed record PinMachine : MachineStep
{
    public override string Kind => "pin-machine";
    public required MachinePlacement Placement { get; init; }
    /// <summary>What was pinned before, when a running machine is pinned anew; null: nothing.</summary>
    public MachinePlacement? Before { get; init; }
}

/// <summary>QMP `cont`: from launched or paused to running. Undo pauses only if this step resumed a paused machine.</summary>
public sealed record RunMachine : MachineStep
{
    public override string Kind => "run-machine";
}

/// <summary>QMP `stop`.</summary>
public sealed record PauseMachine : MachineStep
{
    public override string Kind => "pause-machine";
}

/// <summary>QMP `system_reset`.</summary>
public sealed record ResetMachine : MachineStep
{
    public override string Kind => "reset-machine";
    [JsonIgnore] public override bool Repeatable => false;
}

/// <summary>What to do when a guest has not powered itself off before the deadline.</summary>
public enum PowerDownFallback { Fail, End }

/// <summary>Asks the guest to power off: guest agent when it answers, else ACPI. Waits until the machine is gone or the deadline has passed.</summary>
public sealed record PowerDownMachine : MachineStep
{
    public override string Kind => "power-down-machine";
    public required int DeadlineSeconds { get; init; }
    public required PowerDownFallback Fallback { get; init; }
}

/// <summary>Ends the machine at once: QMP `quit`, then SIGTERM, then SIGKILL; removes sockets and waits until the process is gone.</summary>
public sealed record EndMachine : MachineStep
{
    public override string Kind => "end-machine";
}

/// <summary>
/// Saves CPU, device and memory state to <see cref="Path"/> and ends the machine (suspend to disk). Undo (or failure) lets it run on if it ran. One that was cut
/// is finished when it is applied again.
/// </summary>
public sealed record SaveMachine : MachineStep
{
    public override string Kind => "save-machine";
    public required string Path { get; init; }
    /// <summary>False for a machine that was paused before: it stays so when the saving fails.</summary>
    public bool RunOn { get; init; } = true;
}

/// <summary>Sets the limits of one disk on the running machine (`qom-set` of its throttle group).</summary>
public sealed record SetDiskLimits : MachineStep
{
    public override string Kind => "set-disk-limits";
    public required string Disk { get; init; }
    public required DiskLimitsSpec Limits { get; init; }
    public required DiskLimitsSpec Before { get; init; }
}

/// <summary>
/// Plugs vCPUs into the running machine, or asks its guest to let go of some, up to what it was started with room for; those of a placed machine are put in their places at once.
/// Waits for the guest; one that does not let go keeps all that it had, and the step fails.
/// </summary>
public sealed record SetVcpus : MachineStep
{
    public override string Kind => "set-vcpus";
    public required int Count { get; init; }
    public required int Before { get; init; }
}

/// <summary>
/// Lets the running machine's memory grow or shrink (virtio-mem), between what it was started with and what it was started with room for. Waits for the guest; one that takes or
/// gives less keeps what it had, and the step fails saying how much it was.
/// </summary>
public sealed record SetMemory : MachineStep
{
    public override string Kind => "set-memory";
    /// <summary>All of the guest's memory.</summary>
    public required int SizeMiB { get; init; }
    public required int BeforeMiB { get; init; }
}

/// <summary>Sets the balloon's target: so much of all its memory the guest is to keep.</summary>
public sealed record SetBalloon : MachineStep
{
    public override string Kind => "set-balloon";
    public required int TargetMiB { get; init; }
    public required int BeforeMiB { get; init; }
}

/// <summary>Changes or ejects (null <see cref="Path"/>) the medium of a CD-ROM drive on the running machine.</summary>
public sealed record ChangeMedium : MachineStep
{
    public override string Kind => "change-medium";
    public required string Disk { get; init; }
    public string? Path { get; init; }
    public string? BeforePath { get; init; }
}

/// <summary>Removes everything the host keeps for a machine except its disks: directories, firmware variables, TPM state, saved state, logs.</summary>
public sealed record DiscardMachine : MachineStep
{
    public override string Kind => "discard-machine";
}

/// <summary>Copies a file of an allowed host folder into the image store, hashing and inspecting it. Result: <see cref="StepDone.Image"/>.</summary>
public sealed record RegisterImage : HostStep
{
    public override string Kind => "register-image";
    public required Guid ImageId { get; init; }
    public required string SourcePath { get; init; }
}

/// <summary>Deletes an image's file from the store. Has no undo.</summary>
public sealed record DeleteImageFile : HostStep
{
    public override string Kind => "delete-image-file";
    public required Guid ImageId { get; init; }
    public required string Path { get; init; }
}

/// <summary>
/// Sets the host up for machines. What was there before is kept in a journal of this preparation before anything is written; undo writes it back. Everything is read back.
/// </summary>
public sealed record ApplyHostSetting : HostStep
{
    public override string Kind => "apply-host-setting";
    public required Guid PreparationId { get; init; }
    public required HostSetting Setting { get; init; }
    /// <summary>What this host cannot do is left out, with the reason in the log; else it is a failure.</summary>
    public bool Optional { get; init; }
}

/// <summary>Writes back what was there before this preparation, where what is there now is still ours. Undo applies the setting again.</summary>
public sealed record RestoreHostSetting : HostStep
{
    public override string Kind => "restore-host-setting";
    public required Guid PreparationId { get; init; }
    public required HostSetting Setting { get; init; }
}

/// <summary>What a step says while and after it runs.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "report")]
[JsonDerivedType(typeof(StepProgress), "progress")]
[JsonDerivedType(typeof(StepLog), "log")]
[JsonDerivedType(typeof(StepDone), "done")]
public abstract record StepReport;

public sealed record StepProgress(long BytesDone, long BytesTotal) : StepReport;

/// <summary>One line for the job's log.</summary>
public sealed record StepLog(string Text, bool Warning = false) : StepReport;

/// <param name="Changed">False when the aim was already so.</param>
public sealed record StepDone(bool Changed) : StepReport
{
    /// <summary>Process id after a launch.</summary>
    public int? Pid { get; init; }
    /// <summary>What confines the machine, after a launch.</summary>
    public ConfinementReport? Confinement { get; init; }
    /// <summary>The verdict after <see cref="ProveAccelerator"/>.</summary>
    public KvmFacts? Kvm { get; init; }
    /// <summary>After <see cref="RegisterImage"/>.</summary>
    public ReceivedImage? Image { get; init; }
    /// <summary>After <see cref="ApplyHostSetting"/> and <see cref="RestoreHostSetting"/>.</summary>
    public SettingOutcome? Setting { get; init; }
    /// <summary>After <see cref="MeasureLoss"/>.</summary>
    public LossMeasurement? Loss { get; init; }
}
