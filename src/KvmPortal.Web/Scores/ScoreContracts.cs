using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Engine.Scores;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Scores;

/// <summary>How near a machine is to bare metal: a number, and everything that it is made of.</summary>
/// <param name="Score">0 to 100; at most 10 for an emulated machine.</param>
/// <param name="Running">True: read from the running machine; false: as it would start now.</param>
public sealed record ScoreResponse(int Score, Accelerator Accelerator, bool Running, int InForce, int Missing, int Impossible, IReadOnlyList<ScoreRowResponse> Rows)
{
    public static ScoreResponse From(ScoreReport report) =>
        new(report.Score, report.Accelerator, report.Running, report.InForce, report.Missing, report.Impossible, [.. report.Rows.Select(ScoreRowResponse.From)]);
}

/// <param name="Points">Its weight in the sum.</param>
/// <param name="Earned">0 to 1: how much of the points the machine has.</param>
/// <param name="TextCode">Stable code of the sentence in <paramref name="Text"/>.</param>
/// <param name="Gain">What was published about the gain; null where nobody did.</param>
public sealed record ScoreRowResponse(string Id, ScoreArea Area, string Title, ScoreState State, int Points, double Earned, string Text, string? TextCode, IReadOnlyList<Evidence> Evidence,
    GainResponse? Gain, ChangeResponse? Change)
{
    public static ScoreRowResponse From(ScoreRow row) => new(row.Id, row.Area, row.Title, row.State, row.Points, row.Earned, row.Text, row.Text.Code, row.Evidence,
        row.Gain is { } gain ? new(gain.Least, gain.Most, gain.Of, gain.Of.Code) : null, row.Change is { } change ? new(change.Text, change.Text.Code, change.Patch, change.Setting, change.BootLine) : null);
}

/// <param name="LeastPercent">Of the range.</param>
/// <param name="MostPercent">Of the range.</param>
/// <param name="Of">Of what, and who says so.</param>
public sealed record GainResponse(double LeastPercent, double MostPercent, string Of, string? OfCode);

/// <param name="Patch">Merge patch for `PATCH /vms/{id}`; in force at the next boot.</param>
/// <param name="Setting">Give it to `POST /hosts/{id}/actions/prepare`.</param>
/// <param name="BootLine">What to add to the kernel's command line.</param>
public sealed record ChangeResponse(string Text, string? TextCode, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] JsonObject? Patch,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] HostSetting? Setting, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? BootLine);
