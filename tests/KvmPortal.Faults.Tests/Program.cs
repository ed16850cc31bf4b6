using KvmPortal.Faults.Tests;

// "portal ROOT SCENARIO POINT" is the portal that gets killed; "try TEXT" runs the scenarios whose name has the text and prints each point; else the tests run.
switch (args)
{
    case ["portal", var root, var scenario, var point]:
        return await VictimProcess.RunAsync(root, scenario, FaultPoint.Parse(point));
    case ["recover", var root, var point]:
        return await VictimProcess.RecoverAsync(root, FaultPoint.Parse(point));
    case ["try", var text]:
        var reports = await FaultMatrix.RunAsync(s => s.Name.Contains(text, StringComparison.Ordinal), (s, result) =>
            Console.WriteLine($"{s}: {result.Point} {(result.Reached ? "" : "(not reached) ")}{string.Join(",", result.Ends)} {result.Took} {string.Concat(result.Violations.Select(v => $"\n    {v.Breach}: {v.Text}"))}"));
        foreach (var report in reports)
            Console.WriteLine($"{report.Scenario}: {report.Results.Count} points, {report.Trace.Commits} commits, {string.Join(" ", report.Trace.Calls.Select(c => $"{(c.Undo ? "undo-" : "")}{c.Step}:{c.Microseconds / 1000}ms"))}{string.Concat(report.Results.Where(r => r.Point == FaultPoint.None).SelectMany(r => r.Violations).Select(v => $"\n    {v.Text}"))}");

        return 0;
    default:
        return await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
}
