using System.Globalization;
using Microsoft.JSInterop;

namespace KvmPortal.Web.Shared;

/// <summary>The time as the person at the browser reads it: their time zone, and one slow tick per circuit that ages relative times.</summary>
public sealed class BrowserClock(TimeProvider time) : IDisposable
{
    private readonly Lock gate = new();
    private ITimer? timer;
    private TimeZoneInfo zone = TimeZoneInfo.Utc;
    private Action? ticked;

    /// <summary>Raised every five seconds while somebody listens; not on the renderer's thread.</summary>
    public event Action Ticked
    {
        add
        {
            lock (gate)
            {
                ticked += value;
                timer ??= time.CreateTimer(_ => ticked?.Invoke(), null, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(5));
            }
        }
        remove
        {
            lock (gate)
                ticked -= value;
        }
    }

    public DateTimeOffset Now => time.GetUtcNow();

    /// <summary>Asks the browser for its time zone; an unknown one leaves UTC.</summary>
    public async Task ReadZoneAsync(IJSRuntime js)
    {
        var name = await js.InvokeAsync<string?>("kvmportal.timeZone");
        if (name is { Length: < 64 } && TimeZoneInfo.TryFindSystemTimeZoneById(name, out var found))
            zone = found;
    }

    /// <summary>Date and time in the browser's zone, with the offset.</summary>
    public string Absolute(DateTimeOffset at)
    {
        var local = TimeZoneInfo.ConvertTime(at, zone);
        return local.ToString("yyyy-MM-dd HH:mm:ss 'UTC'zzz", CultureInfo.InvariantCulture);
    }

    /// <summary>Time of day in the browser's zone.</summary>
    public string TimeOfDay(DateTimeOffset at) => TimeZoneInfo.ConvertTime(at, zone).ToString("HH:mm:ss", CultureInfo.InvariantCulture);

    public void Dispose() => timer?.Dispose();
}
