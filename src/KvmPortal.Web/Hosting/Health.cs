using KvmPortal.Engine.Access;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Metrics;

namespace KvmPortal.Web.Hosting;

/// <summary>/healthz, /readyz and /metrics.</summary>
internal static class Health
{
    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/healthz", () => Results.Text("ok\n")).AllowAnonymous().ExcludeFromDescription();
        routes.MapGet("/readyz", ReadyAsync).AllowAnonymous().ExcludeFromDescription();
        routes.MapGet("/metrics", MetricsAsync).RequireAuthorization().ExcludeFromDescription();
    }

    /// <summary>Ready when the database answers and the host is connected. Says nothing more: anybody may ask.</summary>
    private static async Task<IResult> ReadyAsync(AccessOperations access, HostOperations hosts, CancellationToken ct)
    {
        try
        {
            await access.ListUsersAsync(Caller.System("readyz"), ct);
            if ((await hosts.GetAsync(Caller.System("readyz"), ct)).Connected)
                return Results.Text("ready\n");
        }
        catch (Exception) when (!ct.IsCancellationRequested)
        {
            // What is wrong stands in the log and on the host's page.
        }

        return Results.Text("not ready\n", statusCode: 503);
    }

    private static async Task MetricsAsync(HttpContext http, MetricsQueries metrics, CancellationToken ct)
    {
        http.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        await metrics.WritePrometheusAsync(http.Response.Body, ct);
    }
}
