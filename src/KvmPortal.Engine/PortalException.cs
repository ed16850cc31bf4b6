using System.Text.Json;
using System.Text.Json.Serialization;
using KvmPortal.Engine.Data;

namespace KvmPortal.Engine;

/// <summary>Stable codes of what can go wrong; the Web room maps each to one HTTP status.</summary>
public enum ErrorCode
{
    /// <summary>400: the request cannot be read.</summary>
    Malformed,
    /// <summary>401.</summary>
    NotSignedIn,
    /// <summary>403: the message names the permission.</summary>
    Forbidden,
    /// <summary>404: not there, or not for this caller.</summary>
    NotFound,
    /// <summary>409: impossible in this state.</summary>
    Conflict,
    /// <summary>409: the name is taken.</summary>
    NameTaken,
    /// <summary>412: `If-Match` names an older version.</summary>
    Stale,
    /// <summary>413: larger than allowed.</summary>
    TooLarge,
    /// <summary>422: understood, but wrong; see the problems.</summary>
    Invalid,
    /// <summary>422: an image or file is refused.</summary>
    ImageRefused,
    /// <summary>428: `If-Match` is missing.</summary>
    VersionRequired,
    /// <summary>429.</summary>
    TooMany,
    /// <summary>500: a step on the host failed; the message and the details carry the peer's words.</summary>
    HostFailed,
    /// <summary>503: the host does not answer.</summary>
    HostUnreachable,
    /// <summary>409: the host has no place for it; the refusal says what would help.</summary>
    PlacementRefused,
    /// <summary>507: no room.</summary>
    NoRoom,
    /// <summary>507: the data directory's file system is full or read-only.</summary>
    DiskFull,
}

/// <summary>One thing that is wrong with a request. <paramref name="Pointer"/> is a JSON pointer into the body (RFC 6901), "" for the whole.</summary>
/// <param name="Code">Stable kebab-case code, e.g. `required`, `out-of-range`, `unknown-image`.</param>
/// <param name="Message">A sentence for people that says what would be right.</param>
public sealed record Problem(string Pointer, string Code, Sentence Message)
{
    /// <summary>The nearest value that would fit at <see cref="Pointer"/>; absent when there is none to offer.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public JsonElement? Fit { get; init; }

    /// <summary>The same with a value that would fit.</summary>
    public Problem WithFit(object? fit) => fit is null ? this : this with { Fit = JsonSerializer.SerializeToElement(fit, PortalJson.Options) };
}

/// <summary>An expected failure with a message that may be shown as it is. Anything else that is thrown is a bug.</summary>
public sealed class PortalException : Exception
{
    public PortalException(ErrorCode code, Sentence message, Exception? inner = null) : base(message.Text, inner) => (Code, Said) = (code, message);

    public ErrorCode Code { get; }

    /// <summary>The message, with its code.</summary>
    public Sentence Said { get; }

    public IReadOnlyList<Problem> Problems { get; init; } = [];
    public Sentence? Hint { get; init; }
    /// <summary>Of <see cref="ErrorCode.PlacementRefused"/>: evidence, remedies, and the nearest request that fits.</summary>
    public Plans.Placement.PlacementRefusal? Placement { get; init; }

    /// <summary>The planner's refusal.</summary>
    public static PortalException Refused(Plans.Placement.PlacementRefusal refusal) => new(ErrorCode.PlacementRefused, refusal.Message)
    {
        Hint = refusal.Remedies.Count > 0 ? refusal.Remedies[0].Advice : null,
        Problems = [new Problem("/profile", JsonNamingPolicy.KebabCaseLower.ConvertName($"{refusal.Code}"), refusal.Message)],
        Placement = refusal,
    };

    /// <summary>All problems at once.</summary>
    public static PortalException Invalid(IReadOnlyList<Problem> problems) =>
        new(ErrorCode.Invalid, problems.Count == 1 ? problems[0].Message : Say.ThingsWrong(problems.Count)) { Problems = problems };

    /// <summary>The same answer for what is not there and what the caller may not see.</summary>
    public static PortalException NotFound(string noun, string key) => new(ErrorCode.NotFound, noun switch
    {
        "virtual machine" => Say.NoSuchMachine(key),
        "image" => Say.NoSuchImage(key),
        "job" => Say.NoSuchJob(key),
        "token" => Say.NoSuchToken(key),
        "user" => Say.NoSuchUser(key),
        "host" => Say.NoSuchHost(key),
        "profile" => Say.NoSuchProfile(key),
        "preparation" => Say.NoSuchPreparation(key),
        _ => Say.NoSuchThing(noun, key),
    });
}

/// <summary>A problem as stored with a job: the same members as the REST answer.</summary>
public sealed record ProblemInfo
{
    public required string Code { get; init; }
    public required Sentence Title { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public Sentence? Detail { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public Sentence? Hint { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? QmpClass { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public int? ExitCode { get; init; }
    public IReadOnlyList<string> StderrTail { get; init; } = [];
    public IReadOnlyList<Problem> Errors { get; init; } = [];
    /// <summary>Why the host has no place for the machine, and what would help.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public Plans.Placement.PlacementRefusal? Placement { get; init; }
}
