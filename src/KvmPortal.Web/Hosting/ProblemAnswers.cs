using System.Text.Json;
using System.Text.Json.Serialization;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Storage;
using KvmPortal.Host.Contract;
using Microsoft.AspNetCore.Diagnostics;

namespace KvmPortal.Web.Hosting;

/// <summary>RFC 9457 problem details as clients get them.</summary>
public sealed record ProblemResponse
{
    public string Type { get; init; } = "about:blank";
    /// <summary>Stable kebab-case code.</summary>
    public required string Code { get; init; }
    public required Sentence Title { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public Sentence? Detail { get; init; }
    public required int Status { get; init; }
    /// <summary>Everything that is wrong, each with its JSON pointer.</summary>
    public IReadOnlyList<Problem> Errors { get; init; } = [];
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? RequestId { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? JobId { get; init; }
    /// <summary>What to do about it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public Sentence? Hint { get; init; }
    /// <summary>Of `placement-refused`: evidence, remedies, and the nearest request that fits.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public KvmPortal.Engine.Plans.Placement.PlacementRefusal? Placement { get; init; }
    /// <summary>QEMU's own error class, when it refused.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? QmpClass { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public int? ExitCode { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public IReadOnlyList<string>? StderrTail { get; init; }
}

/// <summary>The one place where what went wrong becomes an HTTP answer. Only expected failures speak; a bug says nothing but the request's id.</summary>
internal static class ProblemAnswers
{
    public const string ContentType = "application/problem+json";

    public static IApplicationBuilder UseProblemAnswers(this IApplicationBuilder app) => app
        .UseExceptionHandler(new ExceptionHandlerOptions
        {
            SuppressDiagnosticsCallback = context => StatusOf(context.Exception) < 500 || StorageRoom.IsWant(context.Exception),
            ExceptionHandler = context => context.Features.Get<IExceptionHandlerFeature>() is { Error: { } error }
                ? WriteAsync(context, From(context.RequestServices.GetRequiredService<StorageRoom>().Refusal(error) ?? error)) : Task.CompletedTask,
        })
        .UseStatusCodePages(context => context.HttpContext.Request.Path.StartsWithSegments("/api") || context.HttpContext.Response.StatusCode is 401 or 429
            ? WriteAsync(context.HttpContext, Bare(context.HttpContext.Response.StatusCode)) : Task.CompletedTask);

    public static Task WriteAsync(HttpContext context, ProblemResponse problem)
    {
        context.Response.StatusCode = problem.Status;
        return context.Response.WriteAsJsonAsync(problem with { RequestId = context.TraceIdentifier }, PortalJson.Options, ContentType, context.RequestAborted);
    }

    private static ProblemResponse From(Exception error)
    {
        if (error is BadHttpRequestException bad)
            return Bare(bad.StatusCode) with { Detail = bad.StatusCode == 413 ? "The body is larger than this address takes." : "The request cannot be read." };
        var info = Problems.From(error);
        return new ProblemResponse
        {
            Code = info.Code,
            Title = info.Title,
            Detail = info.Detail,
            Status = StatusOf(error),
            Errors = info.Errors,
            Placement = info.Placement,
            Hint = info.Hint,
            QmpClass = info.QmpClass,
            ExitCode = info.ExitCode,
            StderrTail = info.StderrTail.Count > 0 ? info.StderrTail : null,
        };
    }

    private static ProblemResponse Bare(int status)
    {
        var (code, title) = status switch
        {
            400 => ("malformed", "The request cannot be read"),
            401 => ("not-signed-in", "Sign-in is needed"),
            403 => ("forbidden", "Not allowed"),
            404 => ("not-found", "There is nothing at this address"),
            405 => ("method-not-allowed", "This address does not take this method"),
            413 => ("too-large", "The body is too large"),
            415 => ("unsupported-media-type", "The body's content type is not understood"),
            429 => ("too-many", "Too many requests"),
            _ => ("http-" + status, "The request failed"),
        };
        return new ProblemResponse { Code = code, Title = title, Status = status };
    }

    public static int StatusOf(Exception error) => error switch
    {
        PortalException e => e.Code switch
        {
            ErrorCode.Malformed => 400,
            ErrorCode.NotSignedIn => 401,
            ErrorCode.Forbidden => 403,
            ErrorCode.NotFound => 404,
            ErrorCode.Conflict or ErrorCode.NameTaken or ErrorCode.PlacementRefused => 409,
            ErrorCode.Stale => 412,
            ErrorCode.TooLarge => 413,
            ErrorCode.Invalid or ErrorCode.ImageRefused => 422,
            ErrorCode.VersionRequired => 428,
            ErrorCode.TooMany => 429,
            ErrorCode.HostFailed => 500,
            ErrorCode.HostUnreachable => 503,
            ErrorCode.NoRoom or ErrorCode.DiskFull => 507,
        },
        HostException e => e.Error switch
        {
            HostError.NotRunning or HostError.WrongState or HostError.InUse => 409,
            HostError.NotFound => 404,
            HostError.NotAllowed => 403,
            HostError.ImageRefused => 422,
            HostError.DigestMismatch => 400,
            HostError.NoRoom => 507,
            HostError.Missing or HostError.Timeout => 503,
            HostError.LaunchFailed or HostError.QmpFailed => 500,
        },
        BadHttpRequestException e => e.StatusCode,
        JsonException => 400,
        _ => 500,
    };
}
