namespace KvmPortal.Bench;

/// <summary>Portal start-up on an existing database: until it listens, and its memory after a first request.</summary>
internal static class StartUpScenario
{
    public static async Task RunAsync(Report report)
    {
        var data = Directory.CreateTempSubdirectory("kvmportal-bench-").FullName;
        string token;
        await using (var first = await RunningPortal.StartAsync(data))
            token = first.Token;
        List<double> times = [], memory = [];
        for (var i = 0; i < 7; i++)
        {
            await using var portal = await RunningPortal.StartAsync(data, token);
            await portal.GetAsync("/api/v1/vms");
            times.Add(portal.StartMilliseconds);
            memory.Add(portal.ResidentMiB);
        }

        Directory.Delete(data, recursive: true);
        report.Series("start-up until listening", times, "ms");
        report.Series("resident memory after the first request", memory, "MiB");
        report.Target("start-up", Report.Median(times) / 1000, 2, atMost: true, " s");
        report.Target("memory", Report.Median(memory), 200, atMost: true, " MiB");
    }
}
