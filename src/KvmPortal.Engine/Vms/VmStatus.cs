using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Vms;

/// <summary>What a VM is doing, as people say it.</summary>
public enum VmState { Stopped, Starting, Running, Paused, Stopping, Suspended, Migrating, Crashed, Unknown }

/// <summary>What is true now.</summary>
/// <param name="Reason">One sentence when the state does not say it all ("The guest powered itself off.", "Disk disk0: no space left on the host").</param>
/// <param name="Generation">Grows with every change of any member: "newer than N" can be waited for.</param>
public sealed record VmStatus(VmState State, DateTimeOffset Since, Sentence? Reason, Accelerator? Accelerator, int? Pid, long Generation);

/// <summary>What a caller can ask of a VM's life.</summary>
public enum VmAction { Start, Shutdown, Stop, Reset, Pause, Resume, Suspend }
