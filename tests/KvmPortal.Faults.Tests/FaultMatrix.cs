using System.Collections.Concurrent;

namespace KvmPortal.Faults.Tests;

/// <summary>Runs every scenario against every fault once, however many tests ask for the results.</summary>
internal static class FaultMatrix
{
    /// <summary>Points of one class that one scenario is tried at; KVMPORTAL_FAULTS=all takes every one.</summary>
    private const int Sample = 2;
    private const int Pairs = 1;
    private static readonly Lazy<Task<IReadOnlyList<ScenarioReport>>> Running = new(() => RunAsync(_ => true, (_, _) => { }));

    public static Task<IReadOnlyList<ScenarioReport>> Reports => Running.Value;

    public static async Task<ScenarioReport> ReportAsync(string scenario) => (await Reports).Single(r => r.Scenario.Name == scenario);

    public static async Task<IReadOnlyList<ScenarioReport>> RunAsync(Func<Scenario, bool> wanted, Action<Scenario, FaultResult> found)
    {
        var template = await Template.CreateAsync();
        using var lanes = new SemaphoreSlim(4);
        try
        {
            return await Task.WhenAll(Scenarios.All.Where(wanted).Select(s => RunAsync(s, template, lanes, found)));
        }
        finally
        {
            template.Remove();
        }
    }

    private static async Task<ScenarioReport> RunAsync(Scenario scenario, Template template, SemaphoreSlim lanes, Action<Scenario, FaultResult> found)
    {
        Trace trace;
        try
        {
            trace = await InLaneAsync(lanes, () => FaultRun.TraceAsync(scenario, template));
        }
        catch (Exception e) when (e is InvalidOperationException or TimeoutException or Engine.PortalException or IOException)
        {
            // The other scenarios still tell what they find.
            return new ScenarioReport(scenario, new Trace(0, []), [new FaultResult(FaultPoint.None, true, [], [new Violation(Breach.Stuck, e.Message)], "")]);
        }

        var results = await Task.WhenAll(Points(trace, scenario.Name).Select(point => InLaneAsync(lanes, async () =>
        {
            var result = await FaultRun.RunAsync(scenario, point, template);
            found(scenario, result);
            return result;
        })));
        return new ScenarioReport(scenario, trace, results);
    }

    private static async Task<T> InLaneAsync<T>(SemaphoreSlim lanes, Func<Task<T>> run)
    {
        await lanes.WaitAsync();
        try
        {
            return await run();
        }
        finally
        {
            lanes.Release();
        }
    }

    private static IEnumerable<FaultPoint> Points(Trace trace, string seed)
    {
        var calls = trace.Calls.Select((call, i) => (Call: call, Number: i + 1)).ToList();
        var inside = calls.SelectMany(c => (FaultPoint[])[new(FaultClass.InsideStep, c.Number, c.Call.Microseconds / 3), new(FaultClass.InsideStep, c.Number, c.Call.Microseconds * 2 / 3)]);
        return
        [
            .. Sampled(Enumerable.Range(1, trace.Commits).Select(k => new FaultPoint(FaultClass.AfterCommit, k)), seed),
            .. calls.Select(c => new FaultPoint(FaultClass.BeforeStep, c.Number)),
            .. Sampled(inside, seed),
            .. calls.Select(c => new FaultPoint(FaultClass.AfterStep, c.Number)),
            .. Sampled(Twice(trace), seed, Pairs),
        ];
    }

    /// <summary>Killed once more while it recovers.</summary>
    private static IEnumerable<FaultPoint> Twice(Trace trace) =>
        from first in (FaultPoint[])[.. Enumerable.Range(1, trace.Commits).Where(k => k % 2 == 0).Select(k => new FaultPoint(FaultClass.AfterCommit, k)),
            .. trace.Calls.Select((c, i) => new FaultPoint(FaultClass.InsideStep, i + 1, c.Microseconds / 2))]
        from second in (FaultPoint[])[new(FaultClass.AfterCommit, 1), new(FaultClass.AfterCommit, 2), new(FaultClass.AfterCommit, 4), new(FaultClass.BeforeStep, 1), new(FaultClass.AfterStep, 1)]
        select first with { Then = second };

    private static IReadOnlyList<FaultPoint> Sampled(IEnumerable<FaultPoint> points, string seed, int most = Sample)
    {
        var all = points.ToArray();
        // Pairs are too many even then.
        if (Environment.GetEnvironmentVariable("KVMPORTAL_FAULTS") == "all")
            most = most == Pairs ? 8 : int.MaxValue;
        if (all.Length <= most)
            return all;
        new Random(seed.Sum(c => c)).Shuffle(all);
        return [.. all.Take(most).OrderBy(p => p.Number)];
    }
}
