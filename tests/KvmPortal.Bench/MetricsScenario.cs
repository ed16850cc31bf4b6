namespace KvmPortal.Bench;

/// <summary>CPU that the portal uses while nobody watches: simulated machines by number, and 100 real ones.</summary>
internal static class MetricsScenario
{
    private const int Seconds = 20;

    public static async Task RunAsync(Report report)
    {
        double idle;
        await using (var empty = await RunningPortal.StartAsync())
            idle = await ShareAsync(empty);
        report.Line($"{"no machines",-44} {idle:0.00} % of one core");
        foreach (var count in new[] { 100, 1000 })
        {
            await using var portal = await ListScenario.FilledAsync(count * 3 / 2);
            report.Line($"{$"about {count} simulated machines",-44} {await ShareAsync(portal):0.00} % of one core, {portal.ResidentMiB:0} MiB");
        }

        await RealAsync(report, 100);
    }

    private static async Task RealAsync(Report report, int count)
    {
        await using var portal = await RunningPortal.StartAsync();
        var names = Enumerable.Range(0, count).Select(i => $"bench-{i}").ToArray();
        try
        {
            foreach (var name in names)
                await portal.PostAsync("/api/v1/vms", new
                {
                    name,
                    accelerator = "tcg",
                    memory = new { sizeMiB = 32 },
                    consoles = new { graphics = "none", serial = true },
                    disks = new[] { new { name = "disk0", sizeGiB = 1 } },
                    nics = new[] { new { name = "net0" } },
                    start = true,
                }, "wait=60");
            // Firmware ends in "no bootable device" and idles; wait until it has.
            await Task.Delay(TimeSpan.FromSeconds(30));
            var share = await ShareAsync(portal);
            report.Line($"{$"{count} real machines",-44} {share:0.00} % of one core, {portal.ResidentMiB:0} MiB");
            report.Target($"metrics of {count} real machines", share, 5, atMost: true, " % of one core");
        }
        finally
        {
            foreach (var name in names)
                await portal.Http.SendAsync(new HttpRequestMessage(HttpMethod.Delete, $"/api/v1/vms/{name}") { Headers = { { "If-Match", "*" }, { "Prefer", "wait=30" } } });
        }
    }

    private static async Task<double> ShareAsync(RunningPortal portal)
    {
        await Task.Delay(TimeSpan.FromSeconds(5));
        var before = portal.CpuSeconds;
        await Task.Delay(TimeSpan.FromSeconds(Seconds));
        return (portal.CpuSeconds - before) / Seconds * 100;
    }
}
