using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Jobs;

/// <summary>Turns an exception into what a job keeps and shows. Only expected failures speak; a bug says that it is one, without its text.</summary>
public static class Problems
{
    public static ProblemInfo From(Exception failure) => failure switch
    {
        PortalException e => new ProblemInfo { Code = PortalJson.Text(e.Code), Title = Title(e.Code), Detail = e.Said, Hint = e.Hint, Errors = e.Problems, Placement = e.Placement },
        HostException e => new ProblemInfo
        {
            Code = PortalJson.Text(e.Error),
            Title = Say.TitleHostFailed,
            Detail = HostSentences.Read(e.Message),
            Hint = e.Hint is { } hint ? HostSentences.Read(hint) : null,
            QmpClass = e.QmpClass,
            ExitCode = e.ExitCode,
            StderrTail = e.StderrTail,
        },
        _ => new ProblemInfo { Code = "internal", Title = Say.TitleInternal, Detail = Say.InternalDetail },
    };

    private static Sentence Title(ErrorCode code) => code switch
    {
        ErrorCode.Malformed => Say.TitleMalformed,
        ErrorCode.NotSignedIn => Say.TitleNotSignedIn,
        ErrorCode.Forbidden => Say.TitleForbidden,
        ErrorCode.NotFound => Say.TitleNotFound,
        ErrorCode.Conflict => Say.TitleConflict,
        ErrorCode.NameTaken => Say.TitleNameTaken,
        ErrorCode.Stale => Say.TitleStale,
        ErrorCode.TooLarge => Say.TitleTooLarge,
        ErrorCode.Invalid => Say.TitleInvalid,
        ErrorCode.ImageRefused => Say.TitleImageRefused,
        ErrorCode.VersionRequired => Say.TitleVersionRequired,
        ErrorCode.TooMany => Say.TitleTooMany,
        ErrorCode.HostFailed => Say.TitleHostFailed,
        ErrorCode.HostUnreachable => Say.TitleHostUnreachable,
        ErrorCode.PlacementRefused => Say.TitlePlacementRefused,
        ErrorCode.NoRoom => Say.TitleNoRoom,
        ErrorCode.DiskFull => Say.TitleDiskFull,
    };
}
