using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Benchmarks;

/// <summary>How a benchmark is run.</summary>
public sealed record BenchmarkOptions
{
    /// <summary>Pairs of a round on the host and one in the guest, 3 to 30.</summary>
    public int Rounds { get; init; } = 9;
    /// <summary>Image id or name of a Linux kernel for the throw-away guest; null: the machine's own of a direct boot, else the newest of the host's /boot.</summary>
    public string? Kernel { get; init; }
    /// <summary>Image id or name; drivers in its /mods are loaded.</summary>
    public string? Initrd { get; init; }
}

/// <summary>Measured loss: the verbs that both doors call.</summary>
public sealed class BenchmarkOperations
{
    private readonly PortalStore store;
    private readonly BenchmarkReader reader;
    private readonly JobQueue queue;

    internal BenchmarkOperations(PortalStore store, BenchmarkReader reader, JobQueue queue) => (this.store, this.reader, this.queue) = (store, reader, queue);

    /// <summary>Newest first.</summary>
    public async Task<IReadOnlyList<LossReport>> ListAsync(Caller caller, VmId id, CancellationToken ct) =>
        [.. (await store.ReadAsync(db => db.Benchmarks.Where(b => b.VmId == id).OrderByDescending(b => b.At).Take(BenchmarkRow.Most).ToListAsync(ct), ct)).Select(LossReport.Of)];

    public Task<Plan> PlanAsync(Caller caller, VmId id, BenchmarkOptions options, CancellationToken ct) => reader.PlanAsync(Intent(id, options), ct);

    /// <summary>Queues the benchmark. Throws Conflict while the machine runs, PlacementRefused where it has no place, Invalid.</summary>
    public async Task<JobView> StartAsync(Caller caller, VmId id, BenchmarkOptions options, CancellationToken ct)
    {
        var intent = Intent(id, options);
        var plan = await reader.PlanAsync(intent, ct);
        var name = await store.ReadAsync(db => db.Vms.Where(v => v.Id == id).Select(v => v.Name).FirstOrDefaultAsync(ct), ct) ?? throw PortalException.NotFound("virtual machine", id.ToString());
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, "benchmark-vm", new JobTarget(TargetType.Vm, id.Value, name), intent, plan, ct), ct);
        return (await queue.CommittedAsync(job))!;
    }

    private static BenchmarkVmIntent Intent(VmId id, BenchmarkOptions options) => options.Rounds is >= 3 and <= 30 ? new BenchmarkVmIntent(id, options.Rounds, options.Kernel, options.Initrd)
        : throw PortalException.Invalid([new Problem("/rounds", "out-of-range", Say.NumberFromTo(3, 30))]);
}

/// <summary>Reads what a benchmark is planned from.</summary>
internal sealed class BenchmarkReader(VmReader vms)
{
    public async Task<Plan> PlanAsync(BenchmarkVmIntent intent, CancellationToken ct) => await PlanAsync(intent, await vms.InputsAsync(intent.VmId, ct), ct);

    public async Task<Plan> PlanAsync(BenchmarkVmIntent intent, VmInputs inputs, CancellationToken ct)
    {
        var direct = intent.Kernel is null ? inputs.Definition.Boot.Direct : new DirectBootDefinition(intent.Kernel, intent.Initrd);
        var images = direct is null ? new Dictionary<string, Images.Image>() : await vms.ImagesAsync([.. ((string?[])[direct.Kernel, direct.Initrd]).OfType<string>()], ct);
        return BenchmarkPlanner.Plan(inputs, intent.Rounds, new BenchmarkFiles(PathOf(direct?.Kernel, "/kernel"), PathOf(direct?.Initrd, "/initrd")));

        string? PathOf(string? reference, string pointer) => reference is null ? null
            : images.GetValueOrDefault(reference) is { State: Images.ImageState.Ready, Path: { } path } ? path
            : throw PortalException.Invalid([new Problem(pointer, "no-such-image", Say.NoSuchImage(reference.Length > 64 ? reference[..64] : reference))]);
    }
}
