using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Hosts;

namespace KvmPortal.Web.Placements;

/// <summary>Places of machines on the host. What a placement would be is told by the dry run of a create or a start.</summary>
internal static class PlacementsApi
{
    public static void MapPlacementsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/hosts/{id}/ledger", LedgerAsync).WithName("getHostLedger");
        api.MapGet("/vms/{id}/placement", PlacementAsync).WithName("getVmPlacement");
    }

    /// <summary>Who holds which CPUs, pages and devices, what is free on each node, and the largest machine of each profile that would fit.</summary>
    private static async Task<LedgerView> LedgerAsync(HttpContext context, HostOperations hosts, PlacementOperations placements, string id, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        return await placements.LedgerAsync(context.Caller(), ct);
    }

    /// <summary>Where a machine was put and why, as recorded; and while it runs where its threads and memory are, as the kernel says now.</summary>
    private static async Task<VmPlacementView> PlacementAsync(HttpContext context, VmOperations vms, PlacementOperations placements, string id, CancellationToken ct) =>
        await placements.GetAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct);
}
