using System.Text.Json;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Vms;

/// <summary>The verbs on VMs that both doors call. Each checks the caller, decides purely, and returns what happened or throws <see cref="PortalException"/>.</summary>
public sealed class VmOperations
{
    private readonly PortalStore store;
    private readonly VmReader reader;
    private readonly VmTracker tracker;
    private readonly JobQueue queue;
    private readonly VmOperationsContext context;

    internal VmOperations(PortalStore store, VmReader reader, VmTracker tracker, JobQueue queue, VmOperationsContext context)
    {
        this.store = store;
        this.reader = reader;
        this.tracker = tracker;
        this.queue = queue;
        this.context = context;
    }

    /// <summary>Resolves an id or a name. Throws NotFound.</summary>
    public async Task<VmId> ResolveAsync(Caller caller, string idOrName, CancellationToken ct)
    {
        if (VmId.TryParse(idOrName, null, out var id) && await tracker.FindAsync(id, ct) is not null)
            return id;
        foreach (var vm in await tracker.AllAsync(ct))
            if (string.Equals(vm.Name, idOrName, StringComparison.OrdinalIgnoreCase))
                return vm.Id;
        throw PortalException.NotFound("virtual machine", idOrName.Length > 64 ? idOrName[..64] : idOrName);
    }

    /// <summary>Sort: name (default), state, cpu, memory, created. Filter fields: name, state, tag, profile, accelerator, cpu, memory.</summary>
    public async Task<ListPage<VmSummary>> ListAsync(Caller caller, ListQuery query, CancellationToken ct) => VmListing.Page(await tracker.AllAsync(ct), query);

    public async Task<VmView> GetAsync(Caller caller, VmId id, CancellationToken ct)
    {
        var vm = await store.ReadAsync(db => db.Vms.Include(v => v.Disks).FirstOrDefaultAsync(v => v.Id == id, ct), ct) ?? throw PortalException.NotFound("virtual machine", id.ToString());
        return VmRows.View(vm, (await tracker.FindAsync(id, ct))?.Status ?? vm.Status);
    }

    /// <summary>Stores the VM and queues the job that makes its disks (and starts it). Throws Invalid with every problem, NameTaken.</summary>
    public async Task<VmWithJob> CreateAsync(Caller caller, VmDefinition definition, bool start, CancellationToken ct)
    {
        var inputs = await NewInputsAsync(caller, definition, ct);
        var plan = CreatePlanner.Plan(inputs, start);
        var vm = inputs.Vm;
        var job = await store.WriteAsync(async db =>
        {
            await RequireFreeNameAsync(db, vm.Name, vm.Id, ct);
            vm.Uid = await MachineUids.TakeAsync(db, vm.Id, context.Options, context.Time.GetUtcNow(), ct);
            db.Vms.Add(vm);
            return plan.Steps.Count == 0 ? null : await queue.AddAsync(db, caller, "create-vm", Target(vm), new CreateVmIntent(vm.Id, start), plan, ct);
        }, ct);
        tracker.Put(vm);
        await context.Events.AppendAsync("vm.created", Target(vm), caller.Name, $"{caller.Name} created {vm.Name}.", ct: ct);
        return new VmWithJob(VmRows.View(vm, vm.Status), await queue.CommittedAsync(job));
    }

    public async Task<Plan> PlanCreateAsync(Caller caller, VmDefinition definition, bool start, CancellationToken ct)
    {
        var inputs = await NewInputsAsync(caller, definition, ct);
        var taken = await store.ReadAsync(db => db.Vms.AnyAsync(v => v.Name == definition.Name, ct), ct);
        if (taken)
            throw NameTaken(definition.Name);
        var plan = CreatePlanner.Plan(inputs, start);
        return start ? await WithArgvAsync(plan, ct) : plan;
    }

    /// <param name="expectedVersion">From `If-Match`; null for `*`. Throws Stale.</param>
    public async Task<VmWithJob> ReplaceAsync(Caller caller, VmId id, VmDefinition definition, int? expectedVersion, CancellationToken ct)
    {
        var change = await PrepareChangeAsync(id, definition, expectedVersion, ct);
        if (JsonSerializer.Serialize(change.Inputs.Definition, PortalJson.Options) == JsonSerializer.Serialize(change.Before, PortalJson.Options))
            return new VmWithJob(await GetAsync(caller, id, ct), null);
        var vm = change.Inputs.Vm;
        var job = await store.WriteAsync(async db =>
        {
            await RequireFreeNameAsync(db, vm.Name, id, ct);
            var row = await db.Vms.Include(v => v.Disks).FirstOrDefaultAsync(v => v.Id == id, ct) ?? throw PortalException.NotFound("virtual machine", id.ToString());
            if (row.Version != change.Version)
                throw Stale(row.Version);
            db.Disks.AddRange(change.NewDisks);
            row.Definition = vm.Definition;
            (row.Name, row.TagIndex, row.CpuCount, row.MemoryMiB, row.Profile, row.ChangedAt) = (vm.Name, vm.TagIndex, vm.CpuCount, vm.MemoryMiB, vm.Profile, vm.ChangedAt);
            if (row.RunningDefinition is { } running && !change.Plan.Steps.Any(s => s.InPortal is RecordLive))
                row.RunningDefinition = ChangePlanner.WithLive(running, vm.Definition);
            row.Version++;
            vm.Version = row.Version;
            return change.Plan.Steps.Count == 0 ? null : await queue.AddAsync(db, caller, "change-vm", Target(row), new ChangeVmIntent(id, change.Version, row.Version, change.Before), change.Plan, ct);
        }, ct);
        tracker.Put(vm);
        await context.Events.AppendAsync("vm.changed", Target(vm), caller.Name, $"{caller.Name} changed {vm.Name}.", data: new { fields = change.Plan.Effects.Select(e => e.Pointer) }, ct: ct);
        return new VmWithJob(await GetAsync(caller, id, ct), await queue.CommittedAsync(job));
    }

    public async Task<Plan> PlanReplaceAsync(Caller caller, VmId id, VmDefinition definition, int? expectedVersion, CancellationToken ct)
    {
        var change = await PrepareChangeAsync(id, definition, expectedVersion, ct, refuse: false);
        if (await store.ReadAsync(db => db.Vms.AnyAsync(v => v.Name == definition.Name && v.Id != id, ct), ct))
            throw NameTaken(definition.Name);
        return await ChangePreview.ShowAsync(change.Plan, change.Inputs, context.Host, reader, ct);
    }

    /// <summary>The definition that takes back what waits for the next boot: the one that runs. Throws Conflict where nothing runs.</summary>
    public async Task<VmDefinition> RevertedAsync(Caller caller, VmId id, CancellationToken ct)
    {
        var vm = await store.ReadAsync(db => db.Vms.FirstOrDefaultAsync(v => v.Id == id, ct), ct) ?? throw PortalException.NotFound("virtual machine", id.ToString());
        return vm.RunningDefinition is { } running && await tracker.HasProcessAsync(id, ct) ? ChangePlanner.WithLive(running, vm.Definition) : throw new PortalException(ErrorCode.Conflict, Say.NothingToRevert);
    }

    public async Task<JobView> DeleteAsync(Caller caller, VmId id, int? expectedVersion, CancellationToken ct)
    {
        var inputs = await reader.InputsAsync(id, ct);
        RequireVersion(inputs.Vm, expectedVersion);
        var plan = DeletePlanner.Plan(inputs);
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, "delete-vm", Target(inputs.Vm), new DeleteVmIntent(id), plan, ct), ct);
        return (await queue.CommittedAsync(job))!;
    }

    public async Task<Plan> PlanDeleteAsync(Caller caller, VmId id, int? expectedVersion, CancellationToken ct)
    {
        var inputs = await reader.InputsAsync(id, ct);
        RequireVersion(inputs.Vm, expectedVersion);
        return DeletePlanner.Plan(inputs);
    }

    /// <summary>Queues the action. Already so and nothing queued: a job that has succeeded with no steps. Impossible: Conflict.</summary>
    public async Task<JobView> ActAsync(Caller caller, VmId id, VmAction action, VmActionOptions options, CancellationToken ct)
    {
        var inputs = await ActionInputsAsync(id, options, ct);
        var busy = await store.ReadAsync(db => JobStore.IsBusyAsync(db, Target(inputs.Vm), ct), ct);
        // Behind other jobs the state at this job's turn is not known yet: it is decided and planned then.
        var plan = busy ? Plan.Nothing : Decide(inputs, action, options);
        var state = busy || plan.Steps.Count > 0 ? JobState.Queued : JobState.Succeeded;
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, KindOf(action), Target(inputs.Vm), new VmActionIntent(id, action, options.DeadlineSeconds, options.Force), plan, ct, state), ct);
        return (await queue.CommittedAsync(job))!;
    }

    /// <summary>Queues one action on many VMs as a job with a child job for each. Throws NotFound for an id that is none.</summary>
    public async Task<JobView> ActOnManyAsync(Caller caller, IReadOnlyCollection<VmId> ids, VmAction action, VmActionOptions options, BulkOptions bulk, CancellationToken ct)
    {
        var vms = await ManyAsync(ids, options, bulk, ct);
        var target = new JobTarget(TargetType.Vms, Guid.CreateVersion7(), $"{vms.Count}");
        var intent = new BulkVmsIntent(action, options.DeadlineSeconds, options.Force, bulk.Parallel, bulk.StopOnError);
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, $"{PortalJson.Text(action)}-vms", target, intent, BulkPlanner.Plan(vms, action), ct), ct);
        return (await queue.CommittedAsync(job))!;
    }

    /// <summary>Names every VM, and says what will not be possible.</summary>
    public async Task<Plan> PlanActOnManyAsync(Caller caller, IReadOnlyCollection<VmId> ids, VmAction action, VmActionOptions options, BulkOptions bulk, CancellationToken ct) =>
        BulkPlanner.Plan(await ManyAsync(ids, options, bulk, ct), action);

    private async Task<IReadOnlyList<VmSummary>> ManyAsync(IReadOnlyCollection<VmId> ids, VmActionOptions options, BulkOptions bulk, CancellationToken ct)
    {
        List<Problem> problems = [];
        if (ids.Count is < 1 or > 1000)
            problems.Add(new Problem("/vms", "out-of-range", Say.NoVmsGiven));
        if (bulk.Parallel is < 1 or > 100)
            problems.Add(new Problem("/parallel", "out-of-range", Say.NumberFromTo(1, 100)));
        if (options.DeadlineSeconds is < 1 or > 3600)
            problems.Add(new Problem("/deadlineSeconds", "out-of-range", Say.NumberFromTo(1, 3600)));
        Require(problems);
        var found = new List<VmSummary>();
        foreach (var id in ids.Distinct())
            found.Add(await tracker.FindAsync(id, ct) ?? throw PortalException.NotFound("virtual machine", id.ToString()));
        return found;
    }

    public async Task<Plan> PlanActionAsync(Caller caller, VmId id, VmAction action, VmActionOptions options, CancellationToken ct)
    {
        var plan = Decide(await ActionInputsAsync(id, options, ct), action, options);
        return action == VmAction.Start ? await WithArgvAsync(plan, ct) : plan;
    }

    /// <summary>Machines that start with the host, in their order.</summary>
    internal async Task<IReadOnlyList<(VmId Id, VmDefinition Definition)>> AutostartAsync(CancellationToken ct) =>
        [.. (await store.ReadAsync(db => db.Vms.Select(v => new { v.Id, v.Definition }).ToListAsync(ct), ct)).Where(v => v.Definition.Autostart.Enabled)
            .OrderBy(v => v.Definition.Autostart.Order).ThenBy(v => v.Definition.Name, StringComparer.OrdinalIgnoreCase).Select(v => (v.Id, v.Definition))];

    internal Task<VmDefinition?> DefinitionAsync(VmId id, CancellationToken ct) => store.ReadAsync(db => db.Vms.Where(v => v.Id == id).Select(v => v.Definition).FirstOrDefaultAsync(ct), ct);

    /// <summary>What confined the machine at its last start. Throws NotFound for a VM that has not been started.</summary>
    public async Task<ConfinementReport> ConfinementAsync(Caller caller, VmId id, CancellationToken ct) =>
        (await store.ReadAsync(db => db.Vms.FirstOrDefaultAsync(v => v.Id == id, ct), ct) ?? throw PortalException.NotFound("virtual machine", id.ToString())).Confinement
            ?? throw new PortalException(ErrorCode.NotFound, Say.NeverStarted);

    /// <summary>The command line of a start now.</summary>
    public async Task<IReadOnlyList<string>> ArgvAsync(Caller caller, VmId id, CancellationToken ct) =>
        await context.Host.ComposeAsync(SpecResolver.Resolve(await reader.InputsAsync(id, ct)).Spec, ct);

    /// <summary>What an action means now; empty when the aim is already so. Throws Conflict.</summary>
    internal static Plan Decide(VmInputs inputs, VmAction action, VmActionOptions options) => VmLifecycle.Decide(action, inputs.Status.State, inputs.HasProcess) switch
    {
        LifecycleDecision.AlreadySo => Plan.Nothing,
        LifecycleDecision.Denied denied => throw new PortalException(ErrorCode.Conflict, denied.Reason),
        _ => ActionPlanner.Plan(inputs, action, options),
    };

    internal static JobTarget Target(Vm vm) => new(TargetType.Vm, vm.Id.Value, vm.Name);

    private static string KindOf(VmAction action) => $"{PortalJson.Text(action)}-vm";

    private async Task<VmInputs> ActionInputsAsync(VmId id, VmActionOptions options, CancellationToken ct)
    {
        if (options.DeadlineSeconds is < 1 or > 3600)
            throw PortalException.Invalid([new Problem("/deadlineSeconds", "out-of-range", Say.AmountFromTo(1, 3600, Say.UnitSeconds))]);
        return await reader.InputsAsync(id, ct);
    }

    private async Task<VmInputs> NewInputsAsync(Caller caller, VmDefinition definition, CancellationToken ct)
    {
        var images = await reader.ValidAsync(definition, ct);
        var facts = await context.Host.GetFactsAsync(ct);
        var vm = VmRows.New(VmId.New(context.Time), definition, caller.Name, context.Time.GetUtcNow(), facts.Folders, images, context.Time);
        return await reader.InputsAsync(vm, ct);
    }

    private sealed record Change(VmInputs Inputs, VmDefinition Before, int Version, IReadOnlyList<Disk> NewDisks, Plan Plan);

    private async Task<Change> PrepareChangeAsync(VmId id, VmDefinition definition, int? expectedVersion, CancellationToken ct, bool refuse = true)
    {
        var inputs = await reader.InputsAsync(id, ct);
        RequireVersion(inputs.Vm, expectedVersion);
        var images = await reader.ValidAsync(definition, ct);
        var (vm, before, version) = (inputs.Vm, inputs.Vm.Definition, inputs.Vm.Version);
        var added = VmRows.Apply(vm, definition, context.Time.GetUtcNow(), inputs.Facts.Folders, images, context.Time);
        inputs = await reader.InputsAsync(vm, ct);
        var plan = ChangePlanner.Plan(inputs, before, inputs.HasProcess ? vm.RunningDefinition : null);
        var refused = plan.Effects.Where(e => e.Effect == Effect.Refused).Select(e => new Problem(e.Pointer, "refused", e.Reason)).ToList();
        if (refuse)
            Require(refused);
        return new Change(inputs, before, version, added, plan);
    }

    private async Task<Plan> WithArgvAsync(Plan plan, CancellationToken ct) =>
        plan.Steps.Select(s => s.OnHost).OfType<LaunchMachine>().FirstOrDefault() is { } launch ? plan with { Argv = await context.Host.ComposeAsync(launch.Spec, ct) } : plan;

    private static void Require(IReadOnlyList<Problem> problems)
    {
        if (problems.Count > 0)
            throw PortalException.Invalid(problems);
    }

    private static void RequireVersion(Vm vm, int? expected)
    {
        if (expected is { } version && version != vm.Version)
            throw Stale(vm.Version);
    }

    private static PortalException Stale(int version) => new(ErrorCode.Stale, Say.Stale(version)) { Hint = Say.StaleHint };

    private static PortalException NameTaken(string name) => new(ErrorCode.NameTaken, Say.MachineNameTaken(name)) { Problems = [new Problem("/name", "taken", Say.ChooseAnother)] };

    private static async Task RequireFreeNameAsync(PortalDb db, string name, VmId self, CancellationToken ct)
    {
        if (await db.Vms.AnyAsync(v => v.Name == name && v.Id != self, ct))
            throw NameTaken(name);
    }
}

/// <summary>What operations on VMs need besides the stores.</summary>
internal sealed record VmOperationsContext(IMachineHost Host, PortalEvents Events, EngineOptions Options, TimeProvider Time);
