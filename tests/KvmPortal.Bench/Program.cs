using KvmPortal.Bench;

// Whole scenarios against the raw tools doing the same work in the same run; medians and ratios, no single timings.
var minutes = args.FirstOrDefault(a => a.StartsWith("--minutes=", StringComparison.Ordinal)) is { } given && int.TryParse(given["--minutes=".Length..], out var n) && n > 0 ? n : 60;
var scenarios = new (string Name, Func<Report, Task> Run)[]
{
    ("startup", StartUpScenario.RunAsync),
    ("list", ListScenario.RunAsync),
    ("metrics", MetricsScenario.RunAsync),
    ("relay", RelayScenario.RunAsync),
    ("start", StartScenario.RunAsync),
    ("plan", PlanScenario.RunAsync),
    ("verify", VerifyScenario.RunAsync),
    ("guest", GuestScenario.RunAsync),
    ("soak", report => SoakScenario.RunAsync(report, minutes)),
};
var wanted = args.Where(a => !a.StartsWith('-')).ToArray();
var unknown = wanted.Except(scenarios.Select(s => s.Name)).ToArray();
if (unknown.Length > 0)
{
    Console.Error.WriteLine($"No scenario {string.Join(", ", unknown)}; there are: {string.Join(", ", scenarios.Select(s => s.Name))}");
    return 2;
}

var report = new Report();
report.Line($"cores {Environment.ProcessorCount}, load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}, {Environment.OSVersion.VersionString}");
var failed = false;
foreach (var (name, run) in scenarios)
{
    // An hour is asked for, not met with.
    if (wanted.Length > 0 ? !wanted.Contains(name) : name == "soak")
        continue;
    report.Title(name);
    try
    {
        await run(report);
    }
    catch (Exception e)
    {
        failed = true;
        report.Line($"did not run: {e.Message}");
    }
}

report.Summary();
return failed ? 1 : 0;
