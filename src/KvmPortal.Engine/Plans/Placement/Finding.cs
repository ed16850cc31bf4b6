using System.Globalization;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>How far an attempt came before it failed; the attempt that came farthest tells the refusal.</summary>
internal enum Stage { Cores, Devices, Memory, SharedPool }

/// <summary>Why something does not fit.</summary>
/// <param name="Deficit">How much is missing; of equal findings the one that misses least is told.</param>
internal sealed record Finding(PlacementCode Code, Sentence Message, long Deficit = 0)
{
    /// <summary>For whoever asks only whether something fits.</summary>
    public static Finding Unsaid { get; } = new(PlacementCode.NotEnoughFreeCores, new Sentence(""));

    public Stage Stage { get; init; }
    public IReadOnlyDictionary<string, string> Evidence { get; init; } = new Dictionary<string, string>();

    public Finding With(params (string Name, object? Value)[] evidence) =>
        this with { Evidence = evidence.ToDictionary(e => e.Name, e => Convert.ToString(e.Value, CultureInfo.InvariantCulture) ?? "") };
}
