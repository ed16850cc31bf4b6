using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Jobs;

/// <summary>Jobs, and how every endpoint that makes one answers.</summary>
internal static class JobsApi
{
    public static void MapJobsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/jobs", ListAsync).WithName("listJobs");
        api.MapGet("/jobs/{id}", GetAsync).WithName("getJob");
        api.MapGet("/jobs/{id}/log", LogAsync).WithName("getJobLog");
        api.MapPost("/jobs/{id}/actions/cancel", CancelAsync).WithName("cancelJob");
    }

    /// <summary>202 with the job and its address; with `Prefer: wait=N`, 200 once it has ended, or 202 still.</summary>
    public static async Task<IResult> AnswerAsync(HttpContext context, JobOperations jobs, JobView job, CancellationToken ct)
    {
        context.Response.Headers.Location = $"/api/v1/jobs/{job.Id}";
        job = await context.WaitedAsync(jobs, job);
        var ended = context.Request.PreferWait() is not null && job.State is not (JobState.Queued or JobState.Running);
        return Results.Json(JobResponse.From(job), PortalJson.Options, statusCode: ended ? 200 : 202);
    }

    /// <summary>Waits, but not longer than the portal lives: a stop then answers with the job as it is.</summary>
    public static async Task<JobView> WaitAsync(HttpContext context, JobOperations jobs, JobId id, TimeSpan wait)
    {
        using var ends = context.UntilStopping();
        try
        {
            return await jobs.WaitAsync(context.Caller(), id, wait, ends.Token);
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            return await jobs.GetAsync(context.Caller(), id, context.RequestAborted);
        }
    }

    /// <summary>Jobs, newest first. `filter`: `state = failed and kind = start-vm and target = web-1`; `state = active` for queued and running.</summary>
    private static async Task<ItemList<JobResponse>> ListAsync(HttpContext context, JobOperations jobs, CancellationToken ct)
    {
        var page = await jobs.ListAsync(context.Caller(), context.Request.ListQuery(), ct);
        return new ItemList<JobResponse>([.. page.Items.Select(JobResponse.From)], page.NextCursor);
    }

    /// <summary>One job. `?wait=30` answers when it has ended, or after that many seconds.</summary>
    private static async Task<JobResponse> GetAsync(HttpContext context, JobOperations jobs, string id, CancellationToken ct)
    {
        var wait = context.Request.Seconds("wait", 0, 300);
        return JobResponse.From(wait > 0 ? await WaitAsync(context, jobs, Parse(id), TimeSpan.FromSeconds(wait)) : await jobs.GetAsync(context.Caller(), Parse(id), ct));
    }

    /// <summary>Log lines after line `after`.</summary>
    private static async Task<ItemList<JobLogEntry>> LogAsync(HttpContext context, JobOperations jobs, string id, CancellationToken ct) =>
        new(await jobs.LogAsync(context.Caller(), Parse(id), (int)Math.Min(int.MaxValue, context.Request.Offset("after")), ct));

    /// <summary>Asks a job to stop; what it did is undone.</summary>
    private static async Task<IResult> CancelAsync(HttpContext context, JobOperations jobs, string id, CancellationToken ct)
    {
        if (context.Request.DryRun())
            throw Requests.Invalid("dryRun", "A cancel cannot be tried: what is undone depends on the step that it meets.");
        return await AnswerAsync(context, jobs, await jobs.CancelAsync(context.Caller(), Parse(id), ct), ct);
    }

    private static JobId Parse(string id) => JobId.TryParse(id, null, out var job) ? job : throw PortalException.NotFound("job", id.Length > 64 ? id[..64] : id);
}
