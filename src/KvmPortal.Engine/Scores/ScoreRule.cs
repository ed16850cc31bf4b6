using System.Text.Json.Nodes;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Scores;

/// <summary>What a rule found.</summary>
/// <param name="Earned">0 to 1.</param>
internal sealed record Ruling(ScoreState State, double Earned, Sentence Text, IReadOnlyList<Evidence> Evidence)
{
    public ScoreChange? Change { get; init; }

    public static Ruling InForce(Sentence text, params IReadOnlyList<Evidence> evidence) => new(ScoreState.InForce, 1, text, evidence);

    public static Ruling Missing(Sentence text, ScoreChange? change, params IReadOnlyList<Evidence> evidence) => new(ScoreState.Missing, 0, text, evidence) { Change = change };

    public static Ruling Impossible(Sentence text, params IReadOnlyList<Evidence> evidence) => new(ScoreState.Impossible, 0, text, evidence);
}

/// <summary>One row of the table. Pure: the same input gives the same ruling.</summary>
/// <param name="Points">Its weight; docs/decisions/0016-bare-metal-score.md says how they were chosen.</param>
internal sealed record ScoreRule(string Id, ScoreArea Area, int Points, Sentence Title, Func<ScoreInput, Ruling> Look)
{
    public PublishedGain? Gain { get; init; }

    public ScoreRow Row(ScoreInput input)
    {
        var ruling = Look(input);
        // What is in force has no gain to give any more.
        return new ScoreRow(Id, Area, Title, ruling.State, Points, ruling.Earned, ruling.Text, ruling.Evidence, ruling.State == ScoreState.InForce ? null : Gain, ruling.Change);
    }

    /// <summary>An argument of the command line as evidence.</summary>
    public static Evidence Argument(ScoreInput input, string words) => new("QEMU", Check.Short(input.Argument(words) ?? $"(no {words})", 300));

    public static ScoreChange Patch(Sentence text, string json) => new(text) { Patch = JsonNode.Parse(json)!.AsObject() };

    public static ScoreChange Setting(Sentence text, HostSetting setting) => new(text) { Setting = setting };

    /// <summary>From an ordinary machine to one of the bare-metal class.</summary>
    public static ScoreChange Profile => Patch(Say.ScoreProfileChange, """{"profile":"hpc"}""");

    /// <summary>For a machine without a place of its own: the change, or why it cannot have one here.</summary>
    public static Ruling NoPlace(ScoreInput input, Sentence text, params IReadOnlyList<Evidence> evidence) =>
        input.Refused is { } why ? Ruling.Impossible(Say.ScoreRefused(why), evidence) : Ruling.Missing(text, Profile, evidence);
}
