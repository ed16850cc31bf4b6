using System.Text.Json.Serialization;
using KvmPortal.Engine;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Hosts;

/// <summary>Whether the host is ready, per purpose, and every check with evidence and fixes.</summary>
public sealed record ReadinessResponse(IReadOnlyList<PurposeVerdict> Purposes, IReadOnlyList<CheckResponse> Checks)
{
    public static ReadinessResponse From(ReadinessReport report) => new(report.Purposes, [.. report.Checks.Select(CheckResponse.From)]);
}

/// <param name="TextCode">Stable code of the sentence in <paramref name="Text"/>.</param>
public sealed record CheckResponse(string Id, string Title, string Meaning, Verdict Verdict, string Text, string? TextCode, IReadOnlyList<Evidence> Evidence, IReadOnlyList<FixResponse> Fixes,
    IReadOnlyList<Audience> MattersFor, IReadOnlyList<Purpose> RequiredFor, IReadOnlyList<Purpose> HelpsFor)
{
    public static CheckResponse From(CheckResult check) => new(check.Id, check.Title, check.Meaning, check.Verdict, check.Text, check.Text.Code, check.Evidence,
        [.. check.Fixes.Select(f => new FixResponse(f.Kind, f.Text, f.Text.Code, f.Setting, f.BootLine))], check.MattersFor, check.RequiredFor, check.HelpsFor);
}

/// <param name="Setting">What the portal can do now: give it to `actions/prepare`.</param>
/// <param name="BootLine">What to add to the kernel's command line.</param>
public sealed record FixResponse(FixKind Kind, string Text, string? TextCode, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] HostSetting? Setting,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? BootLine);
