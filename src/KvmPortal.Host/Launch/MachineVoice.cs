using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>
/// What one machine says to the watchers: in order, and nothing after its end. A guest can change its state, and cause notices, as fast as it likes, and every word costs the
/// listeners of all machines time and space; so beyond a burst only the latest state is told, a little later, and of each kind of notice one per second.
/// </summary>
internal sealed class MachineVoice(Guid machine, TimeProvider time, Action<HostEvent> tell)
{
    /// <summary>Changes of state that are told at once, and the time after which one more is.</summary>
    public const int Burst = 32;
    public static readonly TimeSpan Refill = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan BetweenNotices = TimeSpan.FromSeconds(1);
    private readonly Lock saying = new();
    private readonly Dictionary<string, long> lastNotices = [];
    private (MachineRunState State, string? Reason)? late;
    private long refilled = time.GetTimestamp();
    private int spent;
    private bool over;

    public void Changed(MachineRunState state, string? reason)
    {
        lock (saying)
        {
            if (over)
                return;
            if (late is null && MaySpeak())
            {
                Say(state, reason);
                return;
            }

            if (late is null)
                _ = SayLateAsync();
            late = (state, reason);
        }
    }

    public void Notice(string kind, string text, bool warning = false)
    {
        lock (saying)
        {
            if (over || (lastNotices.TryGetValue(kind, out var last) && time.GetElapsedTime(last) < BetweenNotices))
                return;
            lastNotices[kind] = time.GetTimestamp();
            tell(new MachineNotice { At = time.GetUtcNow(), MachineId = machine, Kind = kind, Text = text, Warning = warning });
        }
    }

    /// <summary>The last word.</summary>
    public void Ended(MachineEnded end)
    {
        lock (saying)
        {
            over = true;
            tell(end);
        }
    }

    private async Task SayLateAsync()
    {
        await Task.Delay(Refill, time).ConfigureAwait(false);
        lock (saying)
        {
            if (late is var (state, reason) && !over)
            {
                _ = MaySpeak();
                Say(state, reason);
            }

            late = null;
        }
    }

    private bool MaySpeak()
    {
        var back = (int)Math.Min(spent, time.GetElapsedTime(refilled) / Refill);
        if (back > 0 || spent == 0)
            (spent, refilled) = (spent - back, time.GetTimestamp());
        if (spent >= Burst)
            return false;
        spent++;
        return true;
    }

    private void Say(MachineRunState state, string? reason) => tell(new MachineStateChanged { At = time.GetUtcNow(), MachineId = machine, State = state, Reason = reason });
}
