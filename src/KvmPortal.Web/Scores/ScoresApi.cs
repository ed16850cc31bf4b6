using KvmPortal.Engine.Benchmarks;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Scores;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Scores;

/// <summary>How near a machine is to bare metal.</summary>
internal static class ScoresApi
{
    public static void MapScoresApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/vms/{id}/score", ScoreAsync).WithName("getVmScore");
        api.MapGet("/vms/{id}/evidence", EvidenceAsync).WithName("getVmEvidence");
        api.MapGet("/vms/{id}/benchmarks", BenchmarksAsync).WithName("getVmBenchmarks");
        api.MapPost("/vms/{id}/actions/benchmark", BenchmarkAsync).WithName("benchmarkVm").Accepts<BenchmarkOptions>(true, "application/json").Produces<JobResponse>(202).Produces<PlanResponse>();
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

    /// <summary>The newest 20 benchmarks of the machine: what a guest in its place loses against the host, with 95 % confidence intervals.</summary>
    private static async Task<ItemList<LossReport>> BenchmarksAsync(HttpContext context, VmOperations vms, BenchmarkOperations benchmarks, string id, CancellationToken ct) =>
        new(await benchmarks.ListAsync(context.Caller(), await vms.ResolveAsync(context.Caller(), id, ct), ct));

    /// <summary>
    /// Runs the same small CPU, memory, timer and disk workloads on the host's CPUs that are planned for the machine and in a throw-away guest with its CPUs, memory and placement, in turns, as a job. The
    /// machine must not run; its disks are not touched. `?dryRun=true`: the plan only.
    /// </summary>
    private static async Task<IResult> BenchmarkAsync(HttpContext context, VmOperations vms, BenchmarkOperations benchmarks, JobOperations jobs, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var options = await JsonBody.ReadOptionalAsync<BenchmarkOptions>(context.Request, ct);
        if (context.Request.DryRun())
            return Results.Json(PlanResponse.From(await benchmarks.PlanAsync(context.Caller(), vm, options, ct)), PortalJson.Options);
        return await JobsApi.AnswerAsync(context, jobs, await benchmarks.StartAsync(context.Caller(), vm, options, ct), ct);
    }
}
