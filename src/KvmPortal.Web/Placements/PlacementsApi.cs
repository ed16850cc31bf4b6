using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Hosts;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Placements;

/// <summary>Places of machines on the host. What a placement would be is told by the dry run of a create or a start.</summary>
internal static class PlacementsApi
{
    public static void MapPlacementsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/hosts/{id}/ledger", LedgerAsync).WithName("getHostLedger");
        api.MapGet("/vms/{id}/placement", PlacementAsync).WithName("getVmPlacement");
        api.MapPost("/vms/{id}/actions/replan", ReplanAsync).WithName("replanVm").Produces<JobResponse>(202).Produces<PlanResponse>();
    }

    /// <summary>Who holds which CPUs, pages and devices, what is free on each node, and the largest machine of each profile that would fit.</summary>
    private static async Task<LedgerView> LedgerAsync(HttpContext context, HostOperations hosts, PlacementOperations placements, string id, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        return await placements.LedgerAsync(context.Caller(), ct);
    }

    /// <summary>Moves the threads of a running machine with CPUs of its own to better ones, when there are any now, as a job; its memory stays. `?dryRun=true`: the plan only.</summary>
    private static async Task<IResult> ReplanAsync(HttpContext context, VmOperations vms, ReplanOperations replans, JobOperations jobs, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        if (context.Request.DryRun())
            return Results.Json(PlanResponse.From(await replans.PlanAsync(context.Caller(), vm, ct)), PortalJson.Options);
        return await JobsApi.AnswerAsync(context, jobs, await replans.ReplanAsync(context.Caller(), vm, ct), ct);
    }

    /// <summary>Where a machine was put and why, as recorded; and while it runs where its threads and memory are, as the kernel says now.</summary>
    private static async Task<VmPlacementView> PlacementAsync(HttpContext context, VmOperations vms, PlacementOperations placements, string id, CancellationToken ct) =>
        await placements.GetAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct);
}
