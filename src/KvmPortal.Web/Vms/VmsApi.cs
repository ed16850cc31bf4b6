using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine;
using KvmPortal.Host.Contract;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Vms;

/// <summary>VMs: definitions and actions. Parses and converts; the rules are VmOperations'.</summary>
internal static class VmsApi
{
    private const int MostAttempts = 20;

    public static void MapVmsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/vms", ListAsync).WithName("listVms");
        api.MapPost("/vms", CreateAsync).WithName("createVm").Accepts<VmDefinition>("application/json").Produces<VmResponse>(201).Produces<PlanResponse>();
        api.MapGet("/vms/{id}", GetAsync).WithName("getVm").Produces<VmResponse>();
        api.MapPut("/vms/{id}", ReplaceAsync).WithName("replaceVm").Accepts<VmDefinition>("application/json").Produces<VmResponse>();
        api.MapPatch("/vms/{id}", PatchAsync).WithName("patchVm").Accepts<JsonObject>("application/merge-patch+json", "application/json").Produces<VmResponse>();
        api.MapDelete("/vms/{id}", DeleteAsync).WithName("deleteVm").Produces<JobResponse>(202).Produces<PlanResponse>();
        api.MapPost("/vms/{id}/actions/revert", RevertAsync).WithName("revertVm").Produces<VmResponse>();
        api.MapPost("/vms/{id}/actions/{action}", ActAsync).WithName("actOnVm").Accepts<VmActionRequest>(true, "application/json").Produces<JobResponse>(202).Produces<PlanResponse>();
        api.MapPost("/vms/actions/{action}", ActOnManyAsync).WithName("actOnVms").Accepts<BulkActionRequest>("application/json").Produces<JobResponse>(202).Produces<PlanResponse>();
        api.MapGet("/vms/{id}/status", StatusAsync).WithName("getVmStatus");
        api.MapGet("/vms/{id}/pending", PendingAsync).WithName("getVmPending");
        api.MapGet("/vms/{id}/confinement", ConfinementAsync).WithName("getVmConfinement");
        api.MapGet("/vms/{id}/argv", ArgvAsync).WithName("getVmArgv");
    }

    /// <summary>VMs. `filter`: `state = running and (tag = qa or memory >= 4096)`; `q`: free text; `sort`: name, state, cpu, memory, created, since, with - for descending.</summary>
    private static async Task<ItemList<VmListItem>> ListAsync(HttpContext context, VmOperations vms, CancellationToken ct)
    {
        var page = await vms.ListAsync(context.Caller(), context.Request.ListQuery(), ct);
        return new ItemList<VmListItem>([.. page.Items.Select(VmListItem.From)], page.NextCursor);
    }

    /// <summary>Defines a VM; a job makes its disks. `"start": true` in the body starts it too. `?dryRun=true`: the plan only.</summary>
    private static async Task<IResult> CreateAsync(HttpContext context, VmOperations vms, JobOperations jobs, CancellationToken ct)
    {
        var body = await JsonBody.ReadObjectAsync(context.Request, ct);
        var start = body["start"] switch
        {
            null => false,
            JsonValue v when v.TryGetValue<bool>(out var yes) => yes,
            _ => throw new PortalException(ErrorCode.Malformed, "start is true or false.") { Problems = [new Problem("/start", "invalid-json", "start is true or false.")] },
        };
        body.Remove("start");
        var definition = JsonBody.Convert<VmDefinition>(body);
        if (context.Request.DryRun())
            return Plan(await vms.PlanCreateAsync(context.Caller(), definition, start, ct));
        var made = await vms.CreateAsync(context.Caller(), definition, start, ct);
        var job = made.Job;
        if (job is not null)
            job = await context.WaitedAsync(jobs, job);
        var vm = job is null ? made.Vm : await vms.GetAsync(context.Caller(), made.Vm.Id, ct);
        context.Response.Headers.Location = $"/api/v1/vms/{vm.Id}";
        return Answer(context, VmResponse.From(vm, job is null ? null : JobResponse.From(job)), 201);
    }

    /// <summary>One VM, by id or name.</summary>
    private static async Task<IResult> GetAsync(HttpContext context, VmOperations vms, string id, CancellationToken ct)
    {
        var caller = context.Caller();
        return Answer(context, VmResponse.From(await vms.GetAsync(caller, await vms.ResolveAsync(caller, id, ct), ct)), 200);
    }

    /// <summary>Replaces the definition. Needs If-Match. What a running machine cannot take now waits for its next boot.</summary>
    private static async Task<IResult> ReplaceAsync(HttpContext context, VmOperations vms, JobOperations jobs, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var version = context.Request.IfMatch();
        var definition = await JsonBody.ReadAsync<VmDefinition>(context.Request, ct);
        return await UncontestedAsync(version, () => ChangeAsync(context, vms, jobs, vm, definition, version, ct));
    }

    /// <summary>Changes members of the definition (JSON merge patch, RFC 7396): null removes, arrays are replaced whole. Needs If-Match.</summary>
    private static async Task<IResult> PatchAsync(HttpContext context, VmOperations vms, JobOperations jobs, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var version = context.Request.IfMatch();
        var patch = await JsonBody.ReadObjectAsync(context.Request, ct);
        return await UncontestedAsync(version, async () =>
        {
            var now = await vms.GetAsync(context.Caller(), vm, ct);
            var merged = MergePatch.Apply(JsonSerializer.SerializeToNode(now.Definition, PortalJson.Options)!.AsObject(), (JsonObject)patch.DeepClone());
            return await ChangeAsync(context, vms, jobs, vm, JsonBody.Convert<VmDefinition>(merged), version ?? now.Version, ct);
        });
    }

    /// <summary>With `If-Match: *` nobody is in the way: a change that came in between is read, and ours is made on top of it.</summary>
    private static async Task<IResult> UncontestedAsync(int? version, Func<Task<IResult>> change)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await change();
            }
            catch (PortalException e) when (e.Code == ErrorCode.Stale && version is null && attempt < MostAttempts)
            {
                // Read again and go on.
            }
        }
    }

    private static async Task<IResult> ChangeAsync(HttpContext context, VmOperations vms, JobOperations jobs, VmId id, VmDefinition definition, int? version, CancellationToken ct)
    {
        if (context.Request.DryRun())
            return Plan(await vms.PlanReplaceAsync(context.Caller(), id, definition, version, ct));
        var changed = await vms.ReplaceAsync(context.Caller(), id, definition, version, ct);
        var job = changed.Job;
        if (job is not null)
            job = await context.WaitedAsync(jobs, job);
        return Answer(context, VmResponse.From(job is null ? changed.Vm : await vms.GetAsync(context.Caller(), id, ct), job is null ? null : JobResponse.From(job)), 200);
    }

    /// <summary>Deletes the VM with its disks, as a job. Needs If-Match. `?dryRun=true` says what is lost.</summary>
    private static async Task<IResult> DeleteAsync(HttpContext context, VmOperations vms, JobOperations jobs, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var version = context.Request.IfMatch();
        if (context.Request.DryRun())
            return Plan(await vms.PlanDeleteAsync(context.Caller(), vm, version, ct));
        return await JobsApi.AnswerAsync(context, jobs, await vms.DeleteAsync(context.Caller(), vm, version, ct), ct);
    }

    /// <summary>Takes back the changes that wait for the next boot: the definition becomes what runs. Needs If-Match. `?dryRun=true`: the plan only.</summary>
    private static async Task<IResult> RevertAsync(HttpContext context, VmOperations vms, JobOperations jobs, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var version = context.Request.IfMatch();
        return await UncontestedAsync(version, async () => await ChangeAsync(context, vms, jobs, vm, await vms.RevertedAsync(context.Caller(), vm, ct), version, ct));
    }

    /// <summary>start, shutdown, stop, reset, pause, resume or suspend, as a job.</summary>
    private static async Task<IResult> ActAsync(HttpContext context, VmOperations vms, JobOperations jobs, string id, string action, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var wanted = ActionOf(action);
        var request = await JsonBody.ReadOptionalAsync<VmActionRequest>(context.Request, ct);
        var options = new VmActionOptions(request.DeadlineSeconds, request.Force);
        if (context.Request.DryRun())
            return Plan(await vms.PlanActionAsync(context.Caller(), vm, wanted, options, ct));
        return await JobsApi.AnswerAsync(context, jobs, await vms.ActAsync(context.Caller(), vm, wanted, options, ct), ct);
    }

    /// <summary>
    /// One action on many VMs, as a job with a child job for each (`/jobs?filter=parent = ID`): as many at once as `parallel` says; `onError` says whether a failure
    /// ends it. `?dryRun=true` names every VM and what will not be possible.
    /// </summary>
    private static async Task<IResult> ActOnManyAsync(HttpContext context, VmOperations vms, JobOperations jobs, string action, CancellationToken ct)
    {
        var (wanted, caller) = (ActionOf(action), context.Caller());
        var request = await JsonBody.ReadAsync<BulkActionRequest>(context.Request, ct);
        var ids = new List<VmId>();
        foreach (var vm in request.Vms.Take(1001))
            ids.Add(await vms.ResolveAsync(caller, vm, ct));
        if (request.Filter is { } filter)
            for (ListQuery? query = new(500) { Filter = filter }; query is not null;)
            {
                var page = await vms.ListAsync(caller, query, ct);
                ids.AddRange(page.Items.Select(v => v.Id));
                query = page.NextCursor is { } next ? query with { Cursor = next } : null;
            }

        var (options, bulk) = (new VmActionOptions(request.DeadlineSeconds, request.Force), new BulkOptions(request.Parallel, request.OnError == BulkErrorPolicy.Stop));
        if (context.Request.DryRun())
            return Plan(await vms.PlanActOnManyAsync(caller, ids, wanted, options, bulk, ct));
        return await JobsApi.AnswerAsync(context, jobs, await vms.ActOnManyAsync(caller, ids, wanted, options, bulk, ct), ct);
    }

    private static VmAction ActionOf(string action) => Enum.GetValues<VmAction>().Cast<VmAction?>().FirstOrDefault(a => PortalJson.Text(a!.Value) == action)
        ?? throw new PortalException(ErrorCode.NotFound, "There is no such action.") { Hint = $"There are: {string.Join(", ", Enum.GetValues<VmAction>().Select(PortalJson.Text))}." };

    /// <summary>What the VM is doing now.</summary>
    private static async Task<VmStatusResponse> StatusAsync(HttpContext context, VmOperations vms, string id, CancellationToken ct) =>
        VmStatusResponse.From((await vms.GetAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct)).Status);

    /// <summary>Changes that wait for the next boot.</summary>
    private static async Task<ItemList<FieldEffect>> PendingAsync(HttpContext context, VmOperations vms, string id, CancellationToken ct) =>
        new((await vms.GetAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct)).PendingChanges);

    /// <summary>What confines the machine's processes, read back from the kernel at its last start: each measure in force, skipped (with the reason) or failed.</summary>
    private static async Task<ConfinementReport> ConfinementAsync(string id, HttpContext context, VmOperations vms, CancellationToken ct) =>
        await vms.ConfinementAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct);

    /// <summary>The exact QEMU command line of a start.</summary>
    private static async Task<ItemList<string>> ArgvAsync(HttpContext context, VmOperations vms, string id, CancellationToken ct) =>
        new(await vms.ArgvAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct));

    private static IResult Plan(Plan plan) => Results.Json(PlanResponse.From(plan), PortalJson.Options);

    private static IResult Answer(HttpContext context, VmResponse vm, int status)
    {
        context.Response.Headers.ETag = vm.Etag;
        return Results.Json(vm, PortalJson.Options, statusCode: status);
    }
}
