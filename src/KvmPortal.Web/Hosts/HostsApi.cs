using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Inventories;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Engine.Jobs;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Hosts;

/// <summary>The host that the portal runs on.</summary>
internal static class HostsApi
{
    public static void MapHostsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/hosts", ListAsync).WithName("listHosts");
        api.MapGet("/hosts/{id}", GetAsync).WithName("getHost");
        api.MapGet("/hosts/{id}/cpu-models", CpuModelsAsync).WithName("getHostCpuModels");
        api.MapGet("/hosts/{id}/readiness", ReadinessAsync).WithName("getHostReadiness");
        api.MapPost("/hosts/{id}/actions/prove-accelerator", ProveAsync).WithName("proveAccelerator").Produces<JobResponse>(202).Produces<PlanResponse>();
        api.MapGet("/hosts/{id}/inventory", InventoryAsync).WithName("getHostInventory");
        api.MapGet("/hosts/{id}/inventory/versions", InventoryVersionsAsync).WithName("listHostInventoryVersions");
        api.MapPost("/hosts/{id}/inventory/refresh", RefreshInventoryAsync).WithName("refreshHostInventory");
        api.MapPreparationsApi();
    }

    /// <summary>All hosts.</summary>
    private static async Task<ItemList<HostView>> ListAsync(HttpContext context, HostOperations hosts, CancellationToken ct) => new([await hosts.GetAsync(context.Caller(), ct)]);

    /// <summary>One host, by id, name, or `local`.</summary>
    private static Task<HostView> GetAsync(HttpContext context, HostOperations hosts, string id, CancellationToken ct) => FindAsync(context, hosts, id, ct);

    /// <summary>The host of this id or name. Throws NotFound.</summary>
    public static async Task<HostView> FindAsync(HttpContext context, HostOperations hosts, string id, CancellationToken ct)
    {
        var host = await hosts.GetAsync(context.Caller(), ct);
        return id == "local" || id == host.Id.ToString() || string.Equals(id, host.Facts.HostName, StringComparison.OrdinalIgnoreCase) ? host : throw PortalException.NotFound("host", id.Length > 64 ? id[..64] : id);
    }

    /// <summary>Which CPU models machines can have here, what each costs, and which to take for machines that stay and for those that may move.</summary>
    private static async Task<CpuAdvice> CpuModelsAsync(HttpContext context, HostOperations hosts, string id, CancellationToken ct)
    {
        await FindAsync(context, hosts, id, ct);
        return await hosts.AdviseCpuAsync(context.Caller(), ct);
    }

    /// <summary>Whether the host is ready, per purpose, with every check's evidence and what would mend it.</summary>
    private static async Task<ReadinessResponse> ReadinessAsync(HttpContext context, HostOperations hosts, HostReadiness readiness, string id, CancellationToken ct)
    {
        await FindAsync(context, hosts, id, ct);
        return ReadinessResponse.From((await readiness.LookAsync(context.Caller(), ct)).Report);
    }

    /// <summary>What the host is made of and how its kernel is set, as of the last look. `?version=N`: as it was then.</summary>
    private static async Task<HostSnapshot> InventoryAsync(HttpContext context, HostOperations hosts, HostInventories inventories, string id, CancellationToken ct)
    {
        await FindAsync(context, hosts, id, ct);
        return await inventories.GetAsync(context.Caller(), Version(context.Request), ct);
    }

    /// <summary>Versions of the inventory, newest first, each with what was different from the one before.</summary>
    private static async Task<ListPage<HostSnapshotSummary>> InventoryVersionsAsync(HttpContext context, HostOperations hosts, HostInventories inventories, string id, CancellationToken ct)
    {
        await FindAsync(context, hosts, id, ct);
        return await inventories.ListAsync(context.Caller(), context.Request.ListQuery(), ct);
    }

    /// <summary>Looks at the host now. A new version begins when something that matters has changed.</summary>
    private static async Task<HostSnapshot> RefreshInventoryAsync(HttpContext context, HostOperations hosts, HostInventories inventories, string id, CancellationToken ct)
    {
        await FindAsync(context, hosts, id, ct);
        return await inventories.RefreshAsync(context.Caller(), ct);
    }

    private static long? Version(HttpRequest request) => request.Query["version"].FirstOrDefault() is not { } text ? null
        : long.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var version) ? version : throw Requests.Invalid("version", "Give the number of a version.");

    /// <summary>Tries (again) whether KVM can run a guest, as a job. `?dryRun=true`: the plan only.</summary>
    private static async Task<IResult> ProveAsync(HttpContext context, HostOperations hosts, JobOperations jobs, string id, CancellationToken ct)
    {
        await FindAsync(context, hosts, id, ct);
        if (context.Request.DryRun())
            return Results.Json(PlanResponse.From(HostOperations.PlanProveAccelerator(context.Caller())), PortalJson.Options);
        return await JobsApi.AnswerAsync(context, jobs, await hosts.ProveAcceleratorAsync(context.Caller(), ct), ct);
    }
}
