using System.Diagnostics;
using System.Globalization;

namespace KvmPortal.Faults.Tests;

public enum FaultClass { None, AfterCommit, BeforeStep, InsideStep, AfterStep, Recovering }

/// <summary>Where the portal kills itself, counted from the moment in which the job is asked for.</summary>
/// <param name="Number">The number of the committed transaction, or of the call to the host; from 1.</param>
/// <param name="DelayMicroseconds">Inside a step: how long after its begin.</param>
internal sealed record FaultPoint(FaultClass Class, int Number, long DelayMicroseconds = 0)
{
    /// <summary>Where the portal that recovers is killed, too; null lets it live.</summary>
    public FaultPoint? Then { get; init; }

    /// <summary>The column of the matrix that it belongs to.</summary>
    public FaultClass Column => Then is null ? Class : FaultClass.Recovering;

    public static FaultPoint None { get; } = new(FaultClass.None, 0);

    public override string ToString() => $"{Class}:{Number}:{DelayMicroseconds}{(Then is null ? "" : $" then {Then}")}";

    public static FaultPoint Parse(string text)
    {
        var parts = text.Split(':');
        return new FaultPoint(Enum.Parse<FaultClass>(parts[0]), int.Parse(parts[1], CultureInfo.InvariantCulture), long.Parse(parts[2], CultureInfo.InvariantCulture));
    }
}

/// <summary>One call to the host, as an undisturbed run saw it.</summary>
internal sealed record TracedCall(string Step, bool Undo, long Microseconds);

/// <summary>What an undisturbed run went through: the fault points are taken from it.</summary>
internal sealed record Trace(int Commits, IReadOnlyList<TracedCall> Calls);

/// <summary>Counts what happens since it was armed, and ends the process in the way of kill -9 when its point comes.</summary>
internal sealed class Trigger(FaultPoint point)
{
    private readonly List<TracedCall?> calls = [];
    private readonly Lock counting = new();
    private volatile bool armed;
    private int commits;

    /// <summary>Called at the begin of each call to the host, with its number; null does nothing.</summary>
    public Func<int, Task>? AtCall { get; set; }

    public void Arm() => armed = true;

    public void Disarm() => armed = false;

    public Trace Trace
    {
        get
        {
            lock (counting)
                return new Trace(commits, [.. calls.OfType<TracedCall>()]);
        }
    }

    public void Committed()
    {
        if (armed && Interlocked.Increment(ref commits) == point.Number && point.Class == FaultClass.AfterCommit)
            Die();
    }

    /// <summary>Returns the call's number; 0 while not armed.</summary>
    public async Task<int> BeginAsync()
    {
        if (!armed)
            return 0;
        int number;
        lock (counting)
        {
            calls.Add(null);
            number = calls.Count;
        }

        if (AtCall is { } act)
            await act(number);
        if (number == point.Number && point.Class == FaultClass.BeforeStep)
            Die();
        if (number == point.Number && point.Class == FaultClass.InsideStep)
            new Thread(DieLater) { IsBackground = true, Priority = ThreadPriority.Highest }.Start();
        return number;
    }

    public void End(int number, string step, bool undo, TimeSpan took)
    {
        if (number == 0)
            return;
        if (number == point.Number && point.Class == FaultClass.AfterStep)
            Die();
        lock (counting)
            calls[number - 1] = new TracedCall(step, undo, (long)took.TotalMicroseconds);
    }

    private void DieLater()
    {
        var watch = Stopwatch.StartNew();
        var left = (int)((point.DelayMicroseconds / 1000) - 1);
        if (left > 0)
            Thread.Sleep(left);
        while (watch.Elapsed.TotalMicroseconds < point.DelayMicroseconds)
            Thread.SpinWait(20);
        Die();
    }

    /// <summary>SIGKILL: no finalizer, no handler, no flush.</summary>
    private static void Die()
    {
        using var self = Process.GetCurrentProcess();
        self.Kill();
        Thread.Sleep(Timeout.Infinite);
    }
}
