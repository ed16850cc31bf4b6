using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Jobs;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Hosts;

/// <summary>What a host is set to for machines, and its boot parameters.</summary>
internal static class PreparationsApi
{
    public static void MapPreparationsApi(this IEndpointRouteBuilder api)
    {
        api.MapPost("/hosts/{id}/actions/prepare", PrepareAsync).WithName("prepareHost").Accepts<PrepareRequest>("application/json").Produces<JobResponse>(202).Produces<PlanResponse>();
        api.MapGet("/hosts/{id}/preparations", ListAsync).WithName("getPreparations");
        api.MapDelete("/hosts/{id}/preparations/{preparationId}", UndoAsync).WithName("undoPreparation").Produces<JobResponse>(202).Produces<PlanResponse>();
        api.MapGet("/hosts/{id}/boot-parameters", GetBootParametersAsync).WithName("getBootParameters");
        api.MapPut("/hosts/{id}/boot-parameters", ExpectAsync).WithName("expectBootParameters").Accepts<BootParametersRequest>("application/json");
    }

    /// <summary>Sets the host up: huge pages, frequency governor, interrupts and more, as a job. `?dryRun=true`: the plan only, with each file, what it says now and what it will say.</summary>
    private static async Task<IResult> PrepareAsync(HttpContext context, HostOperations hosts, PreparationOperations preparations, JobOperations jobs, string id, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        var request = await JsonBody.ReadAsync<PrepareRequest>(context.Request, ct);
        if (context.Request.DryRun())
            return Results.Json(PlanResponse.From(await preparations.PlanPrepareAsync(context.Caller(), request.Settings, request.Persistent, ct)), PortalJson.Options);
        return await JobsApi.AnswerAsync(context, jobs, await preparations.PrepareAsync(context.Caller(), request.Settings, request.Persistent, ct), ct);
    }

    /// <summary>What the portal has set on this host, compared with what it says now; then what was undone, newest first.</summary>
    private static async Task<ItemList<PreparationView>> ListAsync(HttpContext context, HostOperations hosts, PreparationOperations preparations, string id, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        return new(await preparations.ListAsync(context.Caller(), ct));
    }

    /// <summary>Writes back what was there before, as a job; what somebody else has changed since stays. `?dryRun=true`: the plan only.</summary>
    private static async Task<IResult> UndoAsync(HttpContext context, HostOperations hosts, PreparationOperations preparations, JobOperations jobs, string id, string preparationId, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        var preparation = PreparationId.TryParse(preparationId, null, out var parsed) ? parsed : throw PortalException.NotFound("preparation", preparationId.Length > 64 ? preparationId[..64] : preparationId);
        if (context.Request.DryRun())
            return Results.Json(PlanResponse.From(await preparations.PlanUndoAsync(context.Caller(), preparation, ct)), PortalJson.Options);
        return await JobsApi.AnswerAsync(context, jobs, await preparations.UndoAsync(context.Caller(), preparation, ct), ct);
    }

    /// <summary>The kernel's command line, what is expected of it after the next boot, and the exact lines that bring it about.</summary>
    private static async Task<BootParametersView> GetBootParametersAsync(HttpContext context, HostOperations hosts, BootParameterOperations parameters, string id, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        return await parameters.GetAsync(context.Caller(), ct);
    }

    /// <summary>"I will do that": says what the command line will have. The portal writes nothing, and looks after the next boot.</summary>
    private static async Task<BootParametersView> ExpectAsync(HttpContext context, HostOperations hosts, BootParameterOperations parameters, string id, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        var request = await JsonBody.ReadAsync<BootParametersRequest>(context.Request, ct);
        return await parameters.ExpectAsync(context.Caller(), request.Parameters, ct);
    }
}
