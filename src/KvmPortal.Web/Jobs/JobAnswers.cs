using System.Globalization;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Web.Access;

namespace KvmPortal.Web.Jobs;

/// <summary>How everything that becomes a job is answered: 202 and where to look, or after <c>Prefer: wait=N</c> the ended job.</summary>
internal sealed class JobAnswers(JobOperations jobs)
{
    private const int MostWaitSeconds = 60;

    /// <summary>202 with the job; 200 when the client waited and it has ended.</summary>
    public async Task<IResult> SendAsync(HttpContext http, JobView job)
    {
        var (sent, waited) = await WaitAsync(http, job);
        http.Response.Headers.Location = $"/api/v1/jobs/{job.Id}";
        return waited && sent.State is not (JobState.Queued or JobState.Running) ? Results.Ok(JobAnswer.Of(sent)) : Results.Accepted(null, JobAnswer.Of(sent));
    }

    /// <summary>The job as it is after the wait that the client prefers; says so in <c>Preference-Applied</c>.</summary>
    public async Task<(JobView Job, bool Waited)> WaitAsync(HttpContext http, JobView job)
    {
        if (Preferred(http) is not { } seconds)
            return (job, false);
        http.Response.Headers["Preference-Applied"] = string.Create(CultureInfo.InvariantCulture, $"wait={seconds}");
        return (await jobs.WaitAsync(http.Caller(), job.Id, TimeSpan.FromSeconds(seconds), http.RequestAborted), true);
    }

    /// <summary>A dry run's answer.</summary>
    public static IResult Plan(Plan plan) => Results.Ok(PlanAnswer.Of(plan));

    /// <summary>A preference that cannot be read is ignored, as RFC 7240 wants it.</summary>
    private static int? Preferred(HttpContext http)
    {
        foreach (var preference in string.Join(',', http.Request.Headers["Prefer"].ToArray()).Split([',', ';'], StringSplitOptions.TrimEntries))
            if (preference.StartsWith("wait=", StringComparison.OrdinalIgnoreCase) && int.TryParse(preference.AsSpan(5).Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
                return Math.Min(seconds, MostWaitSeconds);
        return null;
    }
}
