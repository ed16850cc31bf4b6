namespace KvmPortal.Faults.Tests;

public sealed class FaultTests
{
    public static TheoryData<string> Names => [.. Scenarios.All.Select(s => s.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Portal_killed_anywhere_in_a_job_recovers(string scenario)
    {
        var report = await FaultMatrix.ReportAsync(scenario);
        Assert.NotEmpty(report.Results);
        Assert.Empty(report.Results.SelectMany(r => r.Violations.Select(v => $"{r.Point}: {v.Breach}: {v.Text}")));
    }
}
