using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Vms;

/// <summary>A VM on the wire: the definition's members, and what is true now.</summary>
public sealed record VmResponse : VmDefinition
{
    [SetsRequiredMembers]
    private VmResponse(VmDefinition definition, VmStatusResponse status) : base(definition) => Status = status;

    public VmId Id { get; init; }
    public VmStatusResponse Status { get; init; }
    /// <summary>Changes that wait for the next boot.</summary>
    public IReadOnlyList<FieldEffect> PendingChanges { get; init; } = [];
    /// <summary>Versioned machine type, recorded at the first start.</summary>
    public string? MachineType { get; init; }
    public DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset ChangedAt { get; init; }
    /// <summary>Strong entity tag, for If-Match.</summary>
    public string Etag { get; init; } = "";
    /// <summary>The job that carries the request out; only in answers to changes.</summary>
    public JobResponse? Job { get; init; }

    public static VmResponse From(VmView vm, JobResponse? job = null) => new(vm.Definition, VmStatusResponse.From(vm.Status))
    {
        Id = vm.Id,
        PendingChanges = vm.PendingChanges,
        MachineType = vm.MachineType,
        CreatedAt = vm.CreatedAt,
        ChangedAt = vm.ChangedAt,
        Etag = ETagOf(vm.Version),
        Job = job,
    };

    public static string ETagOf(int version) => string.Create(CultureInfo.InvariantCulture, $"\"{version}\"");
}

/// <param name="Isolation">hardware on KVM; none on TCG, where the guest is emulated; null when it does not run.</param>
public sealed record VmStatusResponse(VmState State, DateTimeOffset Since, Sentence? Reason, string? Accelerator, string? Isolation, int? Pid, long Generation)
{
    /// <summary>Stable code of the reason's sentence; null when it is in the host's own words.</summary>
    public string? ReasonCode => Reason?.Code;

    public static VmStatusResponse From(VmStatus s) => new(s.State, s.Since, s.Reason, s.Accelerator is { } a ? PortalJson.Text(a) : null,
        s.Accelerator switch { Host.Contract.Accelerator.Kvm => "hardware", Host.Contract.Accelerator.Tcg => "none", _ => null }, s.Pid, s.Generation);
}

/// <summary>A VM in a list.</summary>
public sealed record VmListItem(VmId Id, string Name, IReadOnlyList<string> Tags, string Profile, int CpuCount, int MemoryMiB, VmStatusResponse Status, DateTimeOffset CreatedAt)
{
    public static VmListItem From(VmSummary v) => new(v.Id, v.Name, v.Tags, v.Profile, v.CpuCount, v.MemoryMiB, VmStatusResponse.From(v.Status), v.CreatedAt);
}

/// <summary>One action on many VMs.</summary>
public sealed record BulkActionRequest
{
    /// <summary>Ids or names, at most 1000; or give <see cref="Filter"/>.</summary>
    public IReadOnlyList<string> Vms { get; init; } = [];
    /// <summary>All VMs that match, in the grammar of the list: `tag = qa and state = stopped`.</summary>
    public string? Filter { get; init; }
    /// <summary>1 to 100 machines under way at once.</summary>
    public int Parallel { get; init; } = 8;
    /// <summary>`continue`, or `stop`: after a failure no further machine is asked.</summary>
    public BulkErrorPolicy OnError { get; init; } = BulkErrorPolicy.Continue;
    /// <summary>shutdown: seconds the guest may take.</summary>
    public int DeadlineSeconds { get; init; } = 60;
    /// <summary>shutdown: end the machine after the deadline.</summary>
    public bool Force { get; init; }
}

public enum BulkErrorPolicy { Continue, Stop }

/// <param name="DeadlineSeconds">shutdown: seconds the guest may take.</param>
/// <param name="Force">shutdown: end the machine after the deadline.</param>
public sealed record VmActionRequest(int DeadlineSeconds = 60, bool Force = false)
{
    public VmActionRequest() : this(60)
    {
    }
}
