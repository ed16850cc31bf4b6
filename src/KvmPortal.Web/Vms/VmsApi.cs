using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Vms;

/// <summary>/api/v1/vms: definitions and life. {id} is an id or a name.</summary>
internal static class VmsApi
{
    private const string PatchType = "application/merge-patch+json";

    public static void MapVms(this IEndpointRouteBuilder routes)
    {
        var vms = routes.MapApi("vms");
        vms.MapGet("", ListAsync).WithName("listVms").Produces<ListPage<VmSummary>>();
        vms.MapPost("", CreateAsync).WithName("createVm").TakesDryRun().Produces<VmAnswer>(201);
        vms.MapGet("/{id}", GetAsync).WithName("getVm").Produces<VmAnswer>();
        vms.MapPut("/{id}", ReplaceAsync).WithName("replaceVm").TakesDryRun().TakesIfMatch().Produces<VmAnswer>();
        vms.MapPatch("/{id}", PatchAsync).WithName("patchVm").TakesDryRun().TakesIfMatch().Accepts<VmDefinition>(PatchType, "application/json").Produces<VmAnswer>();
        vms.MapDelete("/{id}", DeleteAsync).WithName("deleteVm").TakesDryRun().TakesIfMatch().Produces<JobAnswer>(202);
        vms.MapPost("/{id}/actions/{action}", ActAsync).WithName("actOnVm").TakesDryRun().Accepts<ActionRequest>(true, "application/json").Produces<JobAnswer>(202);
        vms.MapGet("/{id}/status", StatusAsync).WithName("getVmStatus").Produces<VmStatus>();
        vms.MapGet("/{id}/pending", PendingAsync).WithName("getVmPending").Produces<PendingAnswer>();
        vms.MapGet("/{id}/argv", ArgvAsync).WithName("getVmArgv").Produces<ArgvAnswer>();
        vms.MapGet("/{id}/events", EventsAsync).WithName("listVmEvents").Produces<ListPage<PortalEvent>>();
    }

    /// <summary>VMs. Sort: name (default), state, cpu, memory, created. Filter fields: name, state, tag, profile, accelerator, cpu, memory.</summary>
    private static async Task<IResult> ListAsync(HttpContext http, [AsParameters] ListParameters list, VmOperations vms, CancellationToken ct) =>
        Results.Ok(await vms.ListAsync(http.Caller(), list.ToQuery(), ct));

    /// <summary>Makes a VM; a job makes its disks, and starts it when asked to.</summary>
    private static async Task<IResult> CreateAsync(HttpContext http, NewVm body, VmOperations vms, JobAnswers answers, CancellationToken ct)
    {
        if (http.IsDryRun())
            return JobAnswers.Plan(await vms.PlanCreateAsync(http.Caller(), body.ToDefinition(), body.Start, ct));
        var made = await vms.CreateAsync(http.Caller(), body.ToDefinition(), body.Start, ct);
        http.Response.Headers.Location = $"/api/v1/vms/{made.Vm.Id}";
        return await SendAsync(http, made, vms, answers, 201);
    }

    /// <summary>A VM.</summary>
    private static async Task<IResult> GetAsync(HttpContext http, string id, VmOperations vms, CancellationToken ct)
    {
        var vm = await vms.GetAsync(http.Caller(), await vms.ResolveAsync(http.Caller(), id, ct), ct);
        http.Response.Headers.ETag = ApiRoutes.ETag(vm.Version);
        return Results.Ok(VmAnswer.Of(vm));
    }

    /// <summary>Replaces the definition; a job does what can be done now, the rest waits for the next boot.</summary>
    private static async Task<IResult> ReplaceAsync(HttpContext http, string id, VmDefinition body, VmOperations vms, JobAnswers answers, CancellationToken ct)
    {
        var version = http.IfMatch();
        var vm = await vms.ResolveAsync(http.Caller(), id, ct);
        if (http.IsDryRun())
            return JobAnswers.Plan(await vms.PlanReplaceAsync(http.Caller(), vm, body, version, ct));
        return await SendAsync(http, await vms.ReplaceAsync(http.Caller(), vm, body, version, ct), vms, answers, 200);
    }

    /// <summary>Changes members of the definition (JSON merge patch, RFC 7396).</summary>
    private static async Task<IResult> PatchAsync(HttpContext http, string id, JsonElement body, VmOperations vms, JobAnswers answers, CancellationToken ct)
    {
        var version = http.IfMatch();
        var vm = await vms.ResolveAsync(http.Caller(), id, ct);
        for (var tries = 1; ; tries++)
        {
            var current = await vms.GetAsync(http.Caller(), vm, ct);
            var wanted = MergePatch.Apply(current.Definition, body);
            try
            {
                if (http.IsDryRun())
                    return JobAnswers.Plan(await vms.PlanReplaceAsync(http.Caller(), vm, wanted, version ?? current.Version, ct));
                return await SendAsync(http, await vms.ReplaceAsync(http.Caller(), vm, wanted, version ?? current.Version, ct), vms, answers, 200);
            }
            catch (PortalException e) when (e.Code == ErrorCode.Stale && version is null && tries < 5)
            {
                // If-Match: * means "on top of whatever is there": what came in between is kept.
            }
        }
    }

    /// <summary>Deletes a VM and its disks.</summary>
    private static async Task<IResult> DeleteAsync(HttpContext http, string id, VmOperations vms, JobAnswers answers, CancellationToken ct)
    {
        var version = http.IfMatch();
        var vm = await vms.ResolveAsync(http.Caller(), id, ct);
        return http.IsDryRun() ? JobAnswers.Plan(await vms.PlanDeleteAsync(http.Caller(), vm, version, ct)) : await answers.SendAsync(http, await vms.DeleteAsync(http.Caller(), vm, version, ct));
    }

    /// <summary>start, shutdown, stop, reset, pause, resume or suspend.</summary>
    private static async Task<IResult> ActAsync(HttpContext http, string id, string action, VmOperations vms, JobAnswers answers, CancellationToken ct)
    {
        var verb = Enum.GetValues<VmAction>().Where(a => PortalJson.Text(a) == action).Select(a => (VmAction?)a).FirstOrDefault() ?? throw PortalException.NotFound("action", action.Length > 64 ? action[..64] : action);
        var body = await OptionalAsync(http, ct);
        var options = new VmActionOptions(body.DeadlineSeconds, body.Force);
        var vm = await vms.ResolveAsync(http.Caller(), id, ct);
        return http.IsDryRun() ? JobAnswers.Plan(await vms.PlanActionAsync(http.Caller(), vm, verb, options, ct)) : await answers.SendAsync(http, await vms.ActAsync(http.Caller(), vm, verb, options, ct));
    }

    /// <summary>What is true now.</summary>
    private static async Task<IResult> StatusAsync(HttpContext http, string id, VmOperations vms, CancellationToken ct) =>
        Results.Ok((await vms.GetAsync(http.Caller(), await vms.ResolveAsync(http.Caller(), id, ct), ct)).Status);

    /// <summary>Changes that wait for the next boot.</summary>
    private static async Task<IResult> PendingAsync(HttpContext http, string id, VmOperations vms, CancellationToken ct) =>
        Results.Ok(new PendingAnswer([.. (await vms.GetAsync(http.Caller(), await vms.ResolveAsync(http.Caller(), id, ct), ct)).PendingChanges.Select(EffectAnswer.Of)]));

    /// <summary>The exact command line of a start now.</summary>
    private static async Task<IResult> ArgvAsync(HttpContext http, string id, VmOperations vms, CancellationToken ct) =>
        Results.Ok(new ArgvAnswer(await vms.ArgvAsync(http.Caller(), await vms.ResolveAsync(http.Caller(), id, ct), ct)));

    /// <summary>What happened to a VM, newest first.</summary>
    private static async Task<IResult> EventsAsync(HttpContext http, string id, [AsParameters] ListParameters list, VmOperations vms, PortalEvents events, CancellationToken ct) =>
        Results.Ok(await events.ListAsync(http.Caller(), list.ToQuery(), (await vms.ResolveAsync(http.Caller(), id, ct)).Value, ct));

    private static async Task<IResult> SendAsync(HttpContext http, VmWithJob done, VmOperations vms, JobAnswers answers, int status)
    {
        var (view, job) = (done.Vm, done.Job);
        if (job is not null)
        {
            (job, var waited) = await answers.WaitAsync(http, job);
            if (waited)
                view = await vms.GetAsync(http.Caller(), view.Id, http.RequestAborted);
        }

        http.Response.Headers.ETag = ApiRoutes.ETag(view.Version);
        return Results.Json(VmAnswer.Of(view, job is null ? null : JobAnswer.Of(job)), statusCode: status);
    }

    private static async Task<ActionRequest> OptionalAsync(HttpContext http, CancellationToken ct)
    {
        if (http.Request.ContentLength is 0 || (http.Request.ContentLength is null && !http.Request.Headers.ContainsKey("Transfer-Encoding")))
            return new ActionRequest();
        if (!http.Request.HasJsonContentType())
            throw new BadHttpRequestException("type", 415);
        return await http.Request.ReadFromJsonAsync<ActionRequest>(WireJson.Options, ct) ?? new ActionRequest();
    }
}
