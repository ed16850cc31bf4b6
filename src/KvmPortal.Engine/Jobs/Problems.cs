using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Jobs;

/// <summary>Turns an exception into what a job keeps and shows. Only expected failures speak; a bug says that it is one, without its text.</summary>
public static class Problems
{
    public static ProblemInfo From(Exception failure) => failure switch
    {
        PortalException e => new ProblemInfo { Code = PortalJson.Text(e.Code), Title = Title(e.Code), Detail = e.Message, Hint = e.Hint, Errors = e.Problems },
        HostException e => new ProblemInfo
        {
            Code = PortalJson.Text(e.Error),
            Title = "The host could not do it",
            Detail = e.Message,
            Hint = e.Hint,
            QmpClass = e.QmpClass,
            ExitCode = e.ExitCode,
            StderrTail = e.StderrTail,
        },
        _ => new ProblemInfo { Code = "internal", Title = "Something went wrong inside the portal", Detail = "This is a bug; the portal's log has the details under the job's id." },
    };

    private static string Title(ErrorCode code) => code switch
    {
        ErrorCode.Malformed => "The request cannot be read",
        ErrorCode.NotSignedIn => "Sign-in is needed",
        ErrorCode.Forbidden => "Not allowed",
        ErrorCode.NotFound => "Not found",
        ErrorCode.Conflict => "Not possible now",
        ErrorCode.NameTaken => "The name is taken",
        ErrorCode.Stale => "Somebody else changed it meanwhile",
        ErrorCode.TooLarge => "Too large",
        ErrorCode.Invalid => "The request is not valid",
        ErrorCode.ImageRefused => "The image is refused",
        ErrorCode.VersionRequired => "The version is missing",
        ErrorCode.TooMany => "Too many requests",
        ErrorCode.HostFailed => "The host could not do it",
        ErrorCode.HostUnreachable => "The host does not answer",
        ErrorCode.NoRoom => "There is no room",
    };
}
