namespace KvmPortal.Bench;

/// <summary>
/// 1,000 simulated and 60 real idle machines for an hour (or `--minutes=N`): the portal's memory each minute, and how much it grew from the second tenth to the
/// last. Not part of a plain run.
/// </summary>
internal static class SoakScenario
{
    private const int Simulated = 1000;
    private const int Real = 60;

    public static async Task RunAsync(Report report, int minutes)
    {
        await using var fleet = await ListScenario.FilledAsync(Simulated);
        await using var portal = await RunningPortal.StartAsync();
        var names = Enumerable.Range(0, Real).Select(i => $"soak-{i}").ToArray();
        try
        {
            foreach (var name in names)
                await portal.PostAsync("/api/v1/vms", new { name, accelerator = "tcg", memory = new { sizeMiB = 32 }, consoles = new { graphics = "none", serial = true }, start = true }, "wait=60");
            List<double> simulated = [], real = [];
            for (var i = 0; i <= minutes * 6; i++)
            {
                await Task.Delay(TimeSpan.FromSeconds(10));
                simulated.Add(fleet.ResidentMiB);
                real.Add(portal.ResidentMiB);
            }

            Judge(report, $"{Simulated} simulated machines", simulated);
            Judge(report, $"{Real} real machines", real);
            var running = (int)(await portal.GetAsync("/api/v1/hosts/local"))["runningVms"]!;
            report.Target("real machines that still run", running, Real, atMost: false, "");
        }
        finally
        {
            foreach (var name in names)
                await portal.Http.SendAsync(new HttpRequestMessage(HttpMethod.Delete, $"/api/v1/vms/{name}") { Headers = { { "If-Match", "*" }, { "Prefer", "wait=30" } } });
        }
    }

    private static void Judge(Report report, string what, List<double> memory)
    {
        var tenth = Math.Max(1, memory.Count / 10);
        var (early, late) = (Report.Median(memory.Skip(tenth).Take(tenth).ToList()), Report.Median(memory[^tenth..]));
        report.Line($"{what,-44} {memory[0]:0} MiB at first, {early:0} early, {late:0} at the end, most {memory.Max():0}");
        report.Target($"growth with {what}", late / early, 1.1, atMost: true, " x");
    }
}
