using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Jobs;

/// <summary>/api/v1/jobs.</summary>
internal static class JobsApi
{
    public static void MapJobs(this IEndpointRouteBuilder routes)
    {
        var jobs = routes.MapApi("jobs");
        jobs.MapGet("", ListAsync).WithName("listJobs").Produces<ListPage<JobAnswer>>();
        jobs.MapGet("/{id}", GetAsync).WithName("getJob").Produces<JobAnswer>();
        jobs.MapGet("/{id}/log", LogAsync).WithName("getJobLog").Produces<JobLogAnswer>();
        jobs.MapPost("/{id}/actions/cancel", CancelAsync).WithName("cancelJob").Produces<JobAnswer>(202);
    }

    /// <summary>Jobs, newest first. Filter fields: state, kind, target.</summary>
    private static async Task<IResult> ListAsync(HttpContext http, [AsParameters] ListParameters list, JobOperations jobs, CancellationToken ct) =>
        Results.Ok((await jobs.ListAsync(http.Caller(), list.ToQuery(), ct)).Map(JobAnswer.Of));

    /// <summary>A job.</summary>
    /// <param name="wait">Seconds (at most 60) to wait for its end.</param>
    private static async Task<IResult> GetAsync(HttpContext http, string id, int? wait, JobOperations jobs, CancellationToken ct)
    {
        var patience = ApiRoutes.Seconds("wait", wait, 60);
        using var stopping = http.UntilStopping();
        return Results.Ok(JobAnswer.Of(patience > TimeSpan.Zero ? await jobs.WaitAsync(http.Caller(), Id(id), patience, stopping.Token) : await jobs.GetAsync(http.Caller(), Id(id), ct)));
    }

    /// <summary>Lines of a job's log.</summary>
    /// <param name="after">Only lines with a greater number.</param>
    private static async Task<IResult> LogAsync(HttpContext http, string id, int? after, JobOperations jobs, CancellationToken ct)
    {
        var lines = await jobs.LogAsync(http.Caller(), Id(id), after ?? 0, ct);
        return Results.Ok(new JobLogAnswer(lines, lines.Count > 0 ? lines[^1].Number : after ?? 0));
    }

    /// <summary>Asks a job to stop; the steps that are done are undone.</summary>
    private static async Task<IResult> CancelAsync(HttpContext http, string id, JobOperations jobs, JobAnswers answers, CancellationToken ct) =>
        await answers.SendAsync(http, await jobs.CancelAsync(http.Caller(), Id(id), ct));

    private static JobId Id(string text) => JobId.TryParse(text, null, out var id) ? id : throw PortalException.NotFound("job", text.Length > 64 ? text[..64] : text);
}
