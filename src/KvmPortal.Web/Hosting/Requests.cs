using System.Globalization;
using System.Security.Claims;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Hosting;

/// <summary>What every endpoint reads from a request in the same way.</summary>
internal static class Requests
{
    /// <summary>Who asks.</summary>
    public static Caller Caller(this HttpContext context)
    {
        var user = context.User;
        UserId? id = UserId.TryParse(user.FindFirstValue(ClaimTypes.NameIdentifier), null, out var parsed) ? parsed : null;
        var door = user.Identity?.AuthenticationType == Access.BearerHandler.Scheme ? Door.Token : Door.Browser;
        return new Caller(id, user.Identity?.Name ?? "", door, context.TraceIdentifier);
    }

    /// <summary>`?dryRun=true`. Anything but true or false is refused: who asks for a dry run must never get the real one.</summary>
    public static bool DryRun(this HttpRequest request) => request.Query["dryRun"].FirstOrDefault() switch
    {
        null or "false" => false,
        "true" when request.Query["dryRun"].Count == 1 => true,
        _ => throw Invalid("dryRun", "Give true or false."),
    };

    public static ListQuery ListQuery(this HttpRequest request)
    {
        var limit = 100;
        if (request.Query["limit"].FirstOrDefault() is { } text && (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out limit) || limit is < 1 or > 500))
            throw Invalid("limit", "Give 1 to 500.");
        return new ListQuery(limit, One(request, "cursor", 512), One(request, "sort", 64), One(request, "q", 256), One(request, "filter", 2048));
    }

    /// <summary>`Prefer: wait=N` (RFC 7240), at most 300 s; null when it is not asked for.</summary>
    public static TimeSpan? PreferWait(this HttpRequest request)
    {
        foreach (var part in request.Headers["Prefer"].SelectMany(h => (h ?? "").Split(',', StringSplitOptions.TrimEntries)))
            if (part.StartsWith("wait=", StringComparison.OrdinalIgnoreCase) && int.TryParse(part.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
                return TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 300));
        return null;
    }

    /// <summary>The ended job, or the running one after as long as the request prefers to wait; says in the answer that the preference was honoured.</summary>
    public static async Task<JobView> WaitedAsync(this HttpContext context, JobOperations jobs, JobView job)
    {
        if (context.Request.PreferWait() is not { } wait)
            return job;
        context.Response.Headers["Preference-Applied"] = string.Create(CultureInfo.InvariantCulture, $"wait={(int)wait.TotalSeconds}");
        return await JobsApi.WaitAsync(context, jobs, job.Id, wait);
    }

    /// <summary>`If-Match`: the version, or null for `*`. Missing: 428.</summary>
    public static int? IfMatch(this HttpRequest request)
    {
        var text = request.Headers.IfMatch.ToString().Trim();
        if (text.Length == 0)
            throw new PortalException(ErrorCode.VersionRequired, "Say with If-Match which version you change: the etag of your last read, or * for any.");
        if (text == "*")
            return null;
        return int.TryParse(text.Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version
            : throw new PortalException(ErrorCode.Stale, "If-Match does not name a version of this object.");
    }

    /// <summary>Ends with the request and with the portal: who waits must not hold up its stop.</summary>
    public static CancellationTokenSource UntilStopping(this HttpContext context) =>
        CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, context.RequestServices.GetRequiredService<Goodbye>().Token);

    public static int Seconds(this HttpRequest request, string name, int fallback, int most)
    {
        if (request.Query[name].FirstOrDefault() is not { } text)
            return fallback;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds <= most ? seconds : throw Invalid(name, $"Give 0 to {most} seconds.");
    }

    public static long Offset(this HttpRequest request, string name)
    {
        if (request.Query[name].FirstOrDefault() is not { } text)
            return 0;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var offset) ? offset : throw Invalid(name, "Give a number of 0 or more.");
    }

    /// <summary>`30`, `30s`, `10m`, `6h`, `7d`.</summary>
    public static TimeSpan Duration(this HttpRequest request, string name, TimeSpan fallback)
    {
        if (request.Query[name].FirstOrDefault() is not { Length: > 0 } text)
            return fallback;
        var unit = char.IsAsciiDigit(text[^1]) ? 's' : text[^1];
        var digits = char.IsAsciiDigit(text[^1]) ? text : text[..^1];
        if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var count))
            throw Invalid(name, "Give a duration such as 30s, 10m, 6h or 7d.");
        return unit switch
        {
            's' => TimeSpan.FromSeconds(count),
            'm' => TimeSpan.FromMinutes(count),
            'h' => TimeSpan.FromHours(Math.Min(count, 240_000)),
            'd' => TimeSpan.FromDays(Math.Min(count, 10_000)),
            _ => throw Invalid(name, "Give a duration such as 30s, 10m, 6h or 7d."),
        };
    }

    public static PortalException Invalid(string query, string message) => new(ErrorCode.Malformed, message) { Problems = [new Problem($"?{query}", "invalid", message)] };

    private static string? One(HttpRequest request, string name, int most)
    {
        var value = request.Query[name].FirstOrDefault();
        return value?.Length > most ? throw Invalid(name, $"At most {most} characters.") : string.IsNullOrEmpty(value) ? null : value;
    }
}
