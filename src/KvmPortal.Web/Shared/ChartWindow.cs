namespace KvmPortal.Web.Shared;

/// <summary>What a chart can span, with the distance of points that is kept for it.</summary>
/// <param name="Key">Name in the URL and of the resource `window.KEY`.</param>
public sealed record ChartWindow(string Key, TimeSpan Span, TimeSpan Step)
{
    public static IReadOnlyList<ChartWindow> All { get; } =
    [
        new("5m", TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1)),
        new("1h", TimeSpan.FromHours(1), TimeSpan.FromSeconds(5)),
        new("24h", TimeSpan.FromHours(24), TimeSpan.FromMinutes(1)),
        new("7d", TimeSpan.FromDays(7), TimeSpan.FromMinutes(10)),
        new("30d", TimeSpan.FromDays(30), TimeSpan.FromHours(1)),
        new("1y", TimeSpan.FromDays(365), TimeSpan.FromHours(12)),
    ];

    /// <summary>Follows the present point by point; the longer ones are read once.</summary>
    public bool Live => Span <= TimeSpan.FromMinutes(5);

    /// <summary>The window of a key; the shortest for an unknown one.</summary>
    public static ChartWindow Of(string? key) => All.FirstOrDefault(w => w.Key == key) ?? All[0];
}
