using System.Globalization;

namespace KvmPortal.Engine;

/// <summary>A cursor into a list that is sorted by time, newest first: the last item's time, and how many of that very time were seen.</summary>
internal readonly record struct TimeCursor(DateTimeOffset At, int Skip)
{
    /// <summary>Null for null. Throws Malformed.</summary>
    public static TimeCursor? Parse(string? text)
    {
        if (text is null)
            return null;
        var parts = text.Split('.');
        if (parts.Length == 2 && long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var ticks) && ticks <= DateTimeOffset.MaxValue.UtcTicks
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var skip))
            return new TimeCursor(new DateTimeOffset(ticks, TimeSpan.Zero), skip);
        throw Invalid();
    }

    /// <summary>The cursor behind a page.</summary>
    public static string After<T>(IReadOnlyList<T> page, Func<T, DateTimeOffset> at, TimeCursor? before)
    {
        var last = at(page[^1]);
        var skip = page.Count(i => at(i) == last) + (before is { } b && b.At == last ? b.Skip : 0);
        return string.Create(CultureInfo.InvariantCulture, $"{last.UtcTicks}.{skip}");
    }

    public static PortalException Invalid() =>
        new(ErrorCode.Malformed, Say.BadCursor) { Problems = [new Problem("?cursor", "invalid-cursor", Say.BadCursorHint)] };
}
