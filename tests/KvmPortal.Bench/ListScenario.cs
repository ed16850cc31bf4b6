using System.Diagnostics;

namespace KvmPortal.Bench;

/// <summary>A page of 100 VMs by REST out of 10,000 and out of 100 (simulated host, real database).</summary>
internal static class ListScenario
{
    public static async Task RunAsync(Report report)
    {
        await using var small = await FilledAsync(100);
        await using var large = await FilledAsync(10_000);
        List<double> few = [], many = [], filtered = [];
        for (var i = 0; i < 60; i++)
        {
            few.Add(await TimeAsync(small, "/api/v1/vms?limit=100"));
            many.Add(await TimeAsync(large, "/api/v1/vms?limit=100"));
            filtered.Add(await TimeAsync(large, "/api/v1/vms?limit=100&filter=state%20%3D%20running%20and%20tag%20%3D%20qa&sort=-memory"));
        }

        report.Series("100 of 100", few[10..], "ms");
        report.Series("100 of 10,000", many[10..], "ms");
        report.Series("100 of 10,000, filtered and sorted", filtered[10..], "ms");
        report.Target("10,000 definitions against 100", Report.Median(many[10..]) / Report.Median(few[10..]), 1.2, atMost: true, " x");
    }

    public static async Task<RunningPortal> FilledAsync(int machines)
    {
        var portal = await RunningPortal.StartAsync(null, null, "--simulated", machines.ToString());
        var settled = 0;
        for (var last = -1; settled < 3; await Task.Delay(500))
        {
            var now = (int)(await portal.GetAsync("/api/v1/hosts/local"))["runningVms"]!;
            // Machines of a simulated fleet come and go for ever: settled is when few do.
            settled = now > 0 && Math.Abs(now - last) <= machines / 100 ? settled + 1 : 0;
            last = now;
        }

        return portal;
    }

    private static async Task<double> TimeAsync(RunningPortal portal, string path)
    {
        var clock = Stopwatch.StartNew();
        var page = await portal.GetAsync(path);
        var took = clock.Elapsed.TotalMilliseconds;
        return page["items"]!.AsArray().Count == 100 || path.Contains("filter") ? took : throw new InvalidOperationException($"{path}: not 100 items");
    }
}
