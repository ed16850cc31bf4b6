using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Hosting;

/// <summary>The one place where what went wrong becomes an answer: every exception, and every bare status of the framework.</summary>
internal static partial class Faults
{
    /// <summary>Wraps everything behind it.</summary>
    public static void UseFaults(this WebApplication app) => app.Use(async (http, next) =>
    {
        http.Response.Headers["X-Request-Id"] = http.RequestId();
        try
        {
            await next(http);
            if (http.Response is { HasStarted: false, StatusCode: >= 400, ContentLength: null, ContentType: null } && http.IsProgram())
                await WriteAsync(http, http.Response.StatusCode, OfStatus(http.Response.StatusCode));
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // Nobody waits for the answer any more.
            http.Response.StatusCode = StatusCodes.Status499ClientClosedRequest;
        }
        catch (Exception e) when (!http.Response.HasStarted)
        {
            await RefuseAsync(http, e);
        }
    });

    /// <summary>Answers with a problem; a page gets one line of text instead.</summary>
    public static async Task RefuseAsync(HttpContext http, Exception failure)
    {
        var (status, info) = Of(failure);
        if (status == 500 && failure is not (PortalException or HostException))
            http.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("KvmPortal.Web").LogError(failure, "Request {RequestId} {Method} {Path} failed.", http.RequestId(), http.Request.Method, http.Request.Path);
        http.Response.Clear();
        Headers.Secure(http);
        http.Response.Headers["X-Request-Id"] = http.RequestId();
        if (http.IsProgram())
        {
            await WriteAsync(http, status, info);
            return;
        }

        http.Response.StatusCode = status;
        http.Response.ContentType = "text/plain; charset=utf-8";
        await http.Response.WriteAsync($"{info.Title}. {info.Detail} (request {http.RequestId()})");
    }

    /// <summary>Writes a problem that was decided without an exception (sign-in, rate limit).</summary>
    public static Task WriteAsync(HttpContext http, int status, ProblemInfo info)
    {
        http.Response.StatusCode = status;
        var answer = new ProblemAnswer
        {
            Title = info.Title, Status = status, Detail = info.Detail, Code = info.Code, Errors = info.Errors, RequestId = http.RequestId(), Hint = info.Hint,
            QmpClass = info.QmpClass, ExitCode = info.ExitCode, StderrTail = info.StderrTail,
        };
        return http.Response.WriteAsJsonAsync(answer, PortalJson.Options, "application/problem+json", CancellationToken.None);
    }

    /// <summary>Status and problem of an exception. Only expected failures speak for themselves.</summary>
    internal static (int Status, ProblemInfo Info) Of(Exception failure) => failure switch
    {
        PortalException e => (StatusOf(e.Code), Problems.From(e)),
        HostException e => (StatusOf(e.Error), Problems.From(e)),
        BadHttpRequestException { InnerException: JsonException e } => (400, JsonFault.Of(e)),
        BadHttpRequestException e => (e.StatusCode, OfBadRequest(e)),
        JsonException e => (400, JsonFault.Of(e)),
        TimeoutException => (503, new ProblemInfo { Code = "timeout", Title = "It took too long", Detail = "The host did not answer in time." }),
        _ => (500, Problems.From(failure) with { Detail = "This is a bug; the portal's log has the details under the request's id." }),
    };

    /// <summary>The id of a request: of the trace it belongs to, so that logs elsewhere can be found with it.</summary>
    public static string RequestId(this HttpContext http) => Activity.Current?.TraceId.ToHexString() ?? http.TraceIdentifier;

    /// <summary>Whether a program asks (problem details, 401) rather than a person (pages, redirects).</summary>
    public static bool IsProgram(this HttpContext http) =>
        http.Request.Path.StartsWithSegments("/api") || http.Request.Path.StartsWithSegments("/hubs") || http.Request.Path.StartsWithSegments("/consoles")
        || http.Request.Path.StartsWithSegments("/openapi") || http.Request.Path == "/metrics" || http.Request.Path == "/readyz" || http.Request.Path == "/healthz";

    private static ProblemInfo OfBadRequest(BadHttpRequestException e)
    {
        if (e.StatusCode != 400)
            return OfStatus(e.StatusCode);
        // The framework says which parameter it could not read only in words.
        var parameter = Parameter().Match(e.Message);
        var named = parameter.Success ? parameter.Groups["name"].Value : null;
        var text = named is null ? "The request is incomplete or its syntax is wrong." : $"The parameter {named} is missing or not of its type.";
        return OfStatus(400) with { Detail = text, Errors = named is null ? [] : [new Problem("?" + named, "wrong-type", text)] };
    }

    internal static ProblemInfo OfStatus(int status) => status switch
    {
        400 => new ProblemInfo { Code = "malformed", Title = "The request cannot be read" },
        401 => new ProblemInfo { Code = "not-signed-in", Title = "Sign-in is needed", Detail = "Send a personal access token as \"Authorization: Bearer kvp_…\", or sign in." },
        403 => new ProblemInfo { Code = "forbidden", Title = "Not allowed" },
        404 => new ProblemInfo { Code = "not-found", Title = "Not found", Detail = "There is nothing at this address." },
        405 => new ProblemInfo { Code = "method-not-allowed", Title = "This address does not take that method", Detail = "The header Allow names the methods that it takes." },
        411 => new ProblemInfo { Code = "length-required", Title = "The length is missing" },
        413 => new ProblemInfo { Code = "too-large", Title = "Too large", Detail = $"A JSON body has at most {Startup.MostJsonBytes >> 20} MiB." },
        415 => new ProblemInfo { Code = "unsupported-media-type", Title = "The body's type is not understood", Detail = "Send JSON with \"Content-Type: application/json\"." },
        429 => new ProblemInfo { Code = "too-many", Title = "Too many requests", Detail = "Wait a minute, then try again." },
        _ => new ProblemInfo { Code = $"status-{status}", Title = "The request failed" },
    };

    private static int StatusOf(ErrorCode code) => code switch
    {
        ErrorCode.Malformed => 400,
        ErrorCode.NotSignedIn => 401,
        ErrorCode.Forbidden => 403,
        ErrorCode.NotFound => 404,
        ErrorCode.Conflict or ErrorCode.NameTaken => 409,
        ErrorCode.Stale => 412,
        ErrorCode.TooLarge => 413,
        ErrorCode.Invalid or ErrorCode.ImageRefused => 422,
        ErrorCode.VersionRequired => 428,
        ErrorCode.TooMany => 429,
        ErrorCode.HostFailed => 500,
        ErrorCode.HostUnreachable => 503,
        ErrorCode.NoRoom => 507,
    };

    private static int StatusOf(HostError error) => error switch
    {
        HostError.NotFound => 404,
        HostError.NotRunning or HostError.WrongState or HostError.InUse => 409,
        HostError.DigestMismatch => 400,
        HostError.NotAllowed or HostError.ImageRefused => 422,
        HostError.Missing or HostError.LaunchFailed or HostError.QmpFailed => 500,
        HostError.Timeout => 503,
        HostError.NoRoom => 507,
    };

    [GeneratedRegex("""(?:Failed to bind parameter|Required parameter|Failed to read parameter) "[^" ]+ (?<name>\w+)" """)]
    private static partial Regex Parameter();
}
