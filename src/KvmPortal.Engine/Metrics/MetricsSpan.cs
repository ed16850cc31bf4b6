namespace KvmPortal.Engine.Metrics;

/// <summary>What a range request comes to: where it is read and how far its points are apart.</summary>
/// <param name="SourceSeconds">1 = memory, 60 and 3600 = rows of the database.</param>
internal readonly record struct MetricsSpan(DateTimeOffset From, DateTimeOffset To, int SourceSeconds, int StepSeconds)
{
    public const int MostPoints = 5000;
    private static readonly TimeSpan Longest = TimeSpan.FromDays(366);

    /// <summary>
    /// Takes the finest source that still has the whole window, and coarser ones when nothing finer is asked; then rounds the step up to what is kept
    /// and to at most 5000 points. Throws Invalid for a window outside 1 s..366 days or a step below 1 s.
    /// </summary>
    public static MetricsSpan Choose(TimeSpan window, TimeSpan step, DateTimeOffset now)
    {
        var problems = new List<Problem>();
        if (window < TimeSpan.FromSeconds(1) || window > Longest)
            problems.Add(new Problem("?window", "out-of-range", Say.WindowRule));
        if (step < TimeSpan.FromSeconds(1) || step > Longest)
            problems.Add(new Problem("?step", "out-of-range", Say.StepRule));
        if (problems.Count > 0)
            throw PortalException.Invalid(problems);
        var wanted = Math.Max((long)Math.Ceiling(step.TotalSeconds), (long)Math.Ceiling(window.TotalSeconds / MostPoints));
        var source = window > RollupStore.MinutesKept || (wanted >= RollupStore.HourSeconds && window > TimeSpan.FromDays(2)) ? RollupStore.HourSeconds
            : window > RecentMetrics.Kept || wanted >= RollupStore.MinuteSeconds ? RollupStore.MinuteSeconds : 1;
        return new MetricsSpan(now - window, now, source, (int)((wanted + source - 1) / source * source));
    }

    /// <summary>Start of the step that a moment lies in.</summary>
    public DateTimeOffset StepOf(DateTimeOffset at) => RollupStore.Floor(at, TimeSpan.FromSeconds(StepSeconds));

    /// <summary>First step that the window touches: rows carry the start of their span.</summary>
    public DateTimeOffset FirstStep => SourceSeconds == 1 ? From : RollupStore.Floor(From, TimeSpan.FromSeconds(SourceSeconds));
}
