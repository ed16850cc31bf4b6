using KvmPortal.Engine.Scores;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Scores;

/// <summary>How near a machine is to bare metal.</summary>
internal static class ScoresApi
{
    public static void MapScoresApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/vms/{id}/score", ScoreAsync).WithName("getVmScore");
        api.MapGet("/vms/{id}/evidence", EvidenceAsync).WithName("getVmEvidence");
    }

    /// <summary>Everything that separates the machine from bare metal: in force, missing or impossible on this host, with evidence, published gain and the change that would get it; and their sum.</summary>
    private static async Task<ScoreResponse> ScoreAsync(HttpContext context, VmOperations vms, ScoreOperations scores, string id, CancellationToken ct) =>
        ScoreResponse.From(await scores.ScoreAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct));

    /// <summary>
    /// Measures the running machine for `window` (1s to 30s; 1s when left out): how long its vCPUs waited for a CPU and how often they were preempted, page faults, pressure, NUMA misses, and KVM's own
    /// counters of exits and halt polling.
    /// </summary>
    private static async Task<EvidenceReport> EvidenceAsync(HttpContext context, VmOperations vms, EvidenceOperations evidence, string id, CancellationToken ct) =>
        await evidence.MeasureAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), context.Request.Duration("window", TimeSpan.FromSeconds(1)), ct);
}
