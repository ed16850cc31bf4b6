namespace KvmPortal.Web.Shared;

/// <summary>One line of a chart. <paramref name="Colour"/> is 1..4: the same number for the same quantity on every page.</summary>
public sealed record ChartSeries(string Name, int Colour, bool Fill = false);

/// <summary>One x with a value per series; null is a gap.</summary>
public sealed record ChartPoint(DateTimeOffset At, params double?[] Values);
