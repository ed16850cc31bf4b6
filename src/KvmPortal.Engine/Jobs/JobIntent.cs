using System.Text.Json.Serialization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Jobs;

/// <summary>The closed list of what a job can be for. Each has one planner.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "intent")]
[JsonDerivedType(typeof(CreateVmIntent), "create-vm")]
[JsonDerivedType(typeof(VmActionIntent), "vm-action")]
[JsonDerivedType(typeof(ChangeVmIntent), "change-vm")]
[JsonDerivedType(typeof(ReplanVmIntent), "replan-vm")]
[JsonDerivedType(typeof(DeleteVmIntent), "delete-vm")]
[JsonDerivedType(typeof(RegisterImageIntent), "register-image")]
[JsonDerivedType(typeof(DeleteImageIntent), "delete-image")]
[JsonDerivedType(typeof(ProveAcceleratorIntent), "prove-accelerator")]
[JsonDerivedType(typeof(BulkVmsIntent), "bulk-vms")]
[JsonDerivedType(typeof(PrepareHostIntent), "prepare-host")]
[JsonDerivedType(typeof(RestoreHostIntent), "restore-host")]
[JsonDerivedType(typeof(BenchmarkVmIntent), "benchmark-vm")]
public abstract record JobIntent;

/// <summary>Make the disks of a new VM, and start it when asked.</summary>
public sealed record CreateVmIntent(VmId VmId, bool Start) : JobIntent;

/// <param name="DeadlineSeconds">Shutdown: how long the guest may take.</param>
/// <param name="Force">Shutdown: end the machine after the deadline instead of failing.</param>
public sealed record VmActionIntent(VmId VmId, VmAction Action, int DeadlineSeconds = 60, bool Force = false) : JobIntent;

/// <summary>Carry a changed definition to disks and to the running machine as far as it goes live.</summary>
public sealed record ChangeVmIntent(VmId VmId, int FromVersion, int ToVersion, VmDefinition Before) : JobIntent;

/// <summary>Move a running machine to better CPUs.</summary>
public sealed record ReplanVmIntent(VmId VmId) : JobIntent;

public sealed record DeleteVmIntent(VmId VmId) : JobIntent;

public sealed record RegisterImageIntent(ImageId ImageId, string SourcePath) : JobIntent;

public sealed record DeleteImageIntent(ImageId ImageId) : JobIntent;

/// <summary>Try again whether KVM can run a guest.</summary>
public sealed record ProveAcceleratorIntent : JobIntent;

/// <summary>Set a host up.</summary>
/// <param name="Persistent">Again after each boot of the host.</param>
/// <param name="Again">They are recorded already and a boot has undone them.</param>
public sealed record PrepareHostIntent(Guid HostId, IReadOnlyList<WantedPreparation> Wanted, bool Persistent, bool Again = false) : JobIntent;

public sealed record WantedPreparation(PreparationId Id, HostSetting Setting);

/// <summary>Give back what a preparation has changed.</summary>
public sealed record RestoreHostIntent(PreparationId PreparationId) : JobIntent;

/// <summary>One action on many VMs; its plan has a <see cref="Plans.RunChild"/> for each.</summary>
/// <param name="Parallel">Children that may be under way at once.</param>
/// <param name="StopOnError">After a failure no further child is asked for.</param>
public sealed record BulkVmsIntent(VmAction Action, int DeadlineSeconds, bool Force, int Parallel, bool StopOnError) : JobIntent;

/// <summary>Measure what a guest in the machine's place loses against the host.</summary>
/// <param name="Kernel">Image id or name; null: the machine's own of a direct boot, else the host's.</param>
/// <param name="Initrd">Image id or name.</param>
public sealed record BenchmarkVmIntent(VmId VmId, int Rounds, string? Kernel, string? Initrd) : JobIntent;
