using KvmPortal.Engine;

namespace KvmPortal.Web.Hosting;

/// <summary>A failure (RFC 9457, application/problem+json).</summary>
public sealed record ProblemAnswer
{
    /// <summary>Always about:blank: <see cref="Code"/> tells kinds of failure apart.</summary>
    public string Type { get; init; } = "about:blank";
    public required string Title { get; init; }
    /// <summary>The HTTP status.</summary>
    public required int Status { get; init; }
    /// <summary>What is wrong, for people.</summary>
    public string? Detail { get; init; }
    /// <summary>Stable kebab-case code.</summary>
    public required string Code { get; init; }
    /// <summary>Everything that is wrong with the request at once. Pointers starting with `?` name query parameters.</summary>
    public IReadOnlyList<Problem> Errors { get; init; } = [];
    /// <summary>Finds the request in the portal's log; also in the header X-Request-Id.</summary>
    public required string RequestId { get; init; }
    /// <summary>The job that failed.</summary>
    public string? JobId { get; init; }
    /// <summary>What can be done about it.</summary>
    public string? Hint { get; init; }
    /// <summary>QEMU's error class, when QEMU refused.</summary>
    public string? QmpClass { get; init; }
    /// <summary>Exit code of the program that failed.</summary>
    public int? ExitCode { get; init; }
    /// <summary>The last lines that the failed program wrote.</summary>
    public IReadOnlyList<string> StderrTail { get; init; } = [];
}
