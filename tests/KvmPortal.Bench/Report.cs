namespace KvmPortal.Bench;

/// <summary>Prints what was measured, and whether each target was met.</summary>
internal sealed class Report
{
    private readonly List<(string What, bool Met, string Text)> targets = [];

#pragma warning disable CA1822 // members for reading: a report is an object, whatever it keeps
    public void Title(string name) => Console.WriteLine($"\n== {name}");

    public void Line(string text) => Console.WriteLine($"   {text}");

#pragma warning restore CA1822

    public void Series(string what, IReadOnlyList<double> values, string unit) =>
        Line($"{what,-44} median {Median(values),9:0.0} {unit}   min {values.Min():0.0}   max {values.Max():0.0}   n {values.Count}");

    /// <summary>A target of the form value op limit.</summary>
    public void Target(string what, double value, double limit, bool atMost, string unit = "")
    {
        var met = atMost ? value <= limit : value >= limit;
        var text = $"{what}: {value:0.###}{unit} (target {(atMost ? "at most" : "at least")} {limit:0.###}{unit})";
        targets.Add((what, met, text));
        Line($"{(met ? "met   " : "MISSED")} {text}");
    }

    public void Summary()
    {
        Console.WriteLine($"\n== targets: {targets.Count(t => t.Met)} met, {targets.Count(t => !t.Met)} missed");
        foreach (var (_, met, text) in targets)
            Console.WriteLine($"   {(met ? "met   " : "MISSED")} {text}");
    }

    public static double Median(IReadOnlyList<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
