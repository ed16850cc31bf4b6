using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Hosts;

namespace KvmPortal.Web.Metrics;

/// <summary>Charts of VMs and hosts.</summary>
internal static class MetricsApi
{
    public static void MapMetrics(this IEndpointRouteBuilder routes)
    {
        routes.MapApi("vms").MapGet("/{id}/metrics", VmAsync).WithName("getVmMetrics").Produces<MetricsRange<VmPoint>>();
        routes.MapApi("hosts").MapGet("/{id}/metrics", HostAsync).WithName("getHostMetrics").Produces<MetricsRange<HostPoint>>();
    }

    /// <summary>What a VM used.</summary>
    /// <param name="window">How far back: 90s, 10m, 1h (default), 7d …</param>
    /// <param name="step">Distance of the points; default: about 360 of them.</param>
    private static async Task<IResult> VmAsync(HttpContext http, string id, string? window, string? step, VmOperations vms, MetricsQueries metrics, CancellationToken ct)
    {
        var (back, apart) = Range(window, step);
        return Results.Ok(await metrics.VmRangeAsync(await vms.ResolveAsync(http.Caller(), id, ct), back, apart, ct));
    }

    /// <summary>How busy a host was.</summary>
    /// <param name="window">How far back: 90s, 10m, 1h (default), 7d …</param>
    /// <param name="step">Distance of the points; default: about 360 of them.</param>
    private static async Task<IResult> HostAsync(string id, string? window, string? step, MetricsQueries metrics, CancellationToken ct)
    {
        HostsApi.Require(id);
        var (back, apart) = Range(window, step);
        return Results.Ok(await metrics.HostRangeAsync(back, apart, ct));
    }

    private static (TimeSpan Window, TimeSpan Step) Range(string? window, string? step)
    {
        var back = ApiRoutes.Duration("window", window, TimeSpan.FromHours(1));
        return (back, ApiRoutes.Duration("step", step, TimeSpan.FromSeconds(Math.Max(1, (int)back.TotalSeconds / 360))));
    }
}
