using System.Collections.Concurrent;

namespace KvmPortal.Faults.Tests;

/// <summary>Runs every scenario against every fault once, however many tests ask for the results.</summary>
internal static class FaultMatrix
{
    /// <summary>Points of one class that one scenario is tried at; KVMPORTAL_FAULTS=all takes every one.</summary>
    private const int Sample = 6;
    private static readonly Lazy<Task<IReadOnlyList<ScenarioReport>>> Running = new(() => RunAsync(_ => true));

    public static Task<IReadOnlyList<ScenarioReport>> Reports => Running.Value;

    public static async Task<ScenarioReport> ReportAsync(string scenario) => (await Reports).Single(r => r.Scenario.Name == scenario);

    public static async Task<IReadOnlyList<ScenarioReport>> RunAsync(Func<Scenario, bool> wanted)
    {
        var template = await Template.CreateAsync();
        using var lanes = new SemaphoreSlim(4);
        try
        {
            return await Task.WhenAll(Scenarios.All.Where(wanted).Select(s => RunAsync(s, template, lanes)));
        }
        finally
        {
            template.Remove();
        }
    }

    private static async Task<ScenarioReport> RunAsync(Scenario scenario, Template template, SemaphoreSlim lanes)
    {
        var trace = await InLaneAsync(lanes, () => FaultRun.TraceAsync(scenario, template));
        var results = await Task.WhenAll(Points(trace, scenario.Name).Select(point => InLaneAsync(lanes, () => FaultRun.RunAsync(scenario, point, template))));
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
        ];
    }

    private static IReadOnlyList<FaultPoint> Sampled(IEnumerable<FaultPoint> points, string seed)
    {
        var all = points.ToArray();
        if (all.Length <= Sample || Environment.GetEnvironmentVariable("KVMPORTAL_FAULTS") == "all")
            return all;
        new Random(seed.Sum(c => c)).Shuffle(all);
        return [.. all.Take(Sample).OrderBy(p => p.Number)];
    }
}
