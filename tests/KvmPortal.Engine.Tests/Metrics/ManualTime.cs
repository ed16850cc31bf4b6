namespace KvmPortal.Engine.Tests.Metrics;

/// <summary>A clock that moves when a test says so; what the wall shows and what passes can be moved apart.</summary>
internal sealed class ManualTime(DateTimeOffset start) : TimeProvider
{
    private DateTimeOffset wall = start;
    private TimeSpan passed;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;
    public override DateTimeOffset GetUtcNow() => wall;
    public override long GetTimestamp() => passed.Ticks;

    public void Advance(TimeSpan by) => (wall, passed) = (wall + by, passed + by);
    public void SetWall(DateTimeOffset to) => wall = to;
}
