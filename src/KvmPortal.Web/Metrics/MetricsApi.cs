using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Hosts;

namespace KvmPortal.Web.Metrics;

/// <summary>Metrics by range, and for Prometheus.</summary>
internal static class MetricsApi
{
    public static void MapMetricsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/vms/{id}/metrics", VmAsync).WithName("getVmMetrics");
        api.MapGet("/hosts/{id}/metrics", HostAsync).WithName("getHostMetrics");
    }

    public static void MapPrometheus(this IEndpointRouteBuilder app) => app.MapGet("/metrics", PrometheusAsync).ExcludeFromDescription();

    /// <summary>`window` and `step` as 30s, 10m, 6h, 7d: a second's resolution for an hour, a minute's for 30 days, an hour's for a year.</summary>
    private static async Task<MetricsRange<VmPoint>> VmAsync(HttpContext context, VmOperations vms, MetricsQueries metrics, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        return await metrics.VmRangeAsync(vm, Window(context), Step(context), ct);
    }

    /// <summary>The same for the host.</summary>
    private static async Task<MetricsRange<HostPoint>> HostAsync(HttpContext context, HostOperations hosts, MetricsQueries metrics, string id, CancellationToken ct)
    {
        await HostsApi.FindAsync(context, hosts, id, ct);
        return await metrics.HostRangeAsync(Window(context), Step(context), ct);
    }

    private static async Task PrometheusAsync(HttpContext context, MetricsQueries metrics, CancellationToken ct)
    {
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        await metrics.WritePrometheusAsync(context.Response.Body, ct);
    }

    private static TimeSpan Window(HttpContext context) => context.Request.Duration("window", TimeSpan.FromMinutes(5));

    private static TimeSpan Step(HttpContext context) => context.Request.Duration("step", TimeSpan.FromSeconds(1));
}
