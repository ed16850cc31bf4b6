using KvmPortal.Engine;
using KvmPortal.Engine.Data;

namespace KvmPortal.Web.Shared;

/// <summary>Turns what an operation throws into what <c>ProblemView</c> shows.</summary>
public static class Failures
{
    /// <summary>Code of a failure that nobody expected.</summary>
    public const string Unexpected = "unexpected";

    /// <summary>An expected failure with all its members; anything else without its inside, which belongs in the log only.</summary>
    public static ProblemInfo From(Exception exception) => exception switch
    {
        PortalException e => new ProblemInfo { Code = PortalJson.Text(e.Code), Title = e.Said, Hint = e.Hint, Errors = e.Problems, Placement = e.Placement },
        _ => new ProblemInfo { Code = Unexpected, Title = "" },
    };
}
