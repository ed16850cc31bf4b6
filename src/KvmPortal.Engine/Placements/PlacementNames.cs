using KvmPortal.Engine.Plans.Placement;

namespace KvmPortal.Engine.Placements;

/// <summary>The planner knows machines by their ids; people know them by their names. Says the sentences of an outcome so. Pure.</summary>
internal static class PlacementNames
{
    /// <param name="names">By id.</param>
    public static PlacementOutcome Say(PlacementOutcome outcome, IReadOnlyDictionary<string, string> names)
    {
        return names.Count == 0 ? outcome : outcome switch
        {
            PlacementPlan plan => plan with
            {
                Reasons = [.. plan.Reasons.Select(r => r with { Because = [.. r.Because.Select(Say)], Rejected = [.. r.Rejected.Select(x => x with { Why = Say(x.Why) })] })],
                Warnings = [.. plan.Warnings.Select(Say)],
                Alternatives = [.. plan.Alternatives.Select(a => a with { Summary = Say(a.Summary) })],
            },
            PlacementRefusal refusal => refusal with { Message = Say(refusal.Message), Remedies = [.. refusal.Remedies.Select(r => r with { Advice = Say(r.Advice) })] },
            _ => outcome,
        };

        Sentence Say(Sentence sentence) => Named(sentence, names);
    }

    private static Sentence Named(Sentence sentence, IReadOnlyDictionary<string, string> names)
    {
        var text = sentence.Text;
        foreach (var (id, name) in names)
            text = text.Replace(id, name, StringComparison.Ordinal);
        return text == sentence.Text ? sentence : new Sentence(text, sentence.Code, sentence.Values.ToDictionary(v => v.Key, v => Named(v.Value, names)));
    }
}
