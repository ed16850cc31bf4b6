using System.Reflection;
using System.Text.Json.Serialization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Faults.Tests;

public sealed class CoverageTests
{
    /// <summary>Steps that no job of any kind plans yet.</summary>
    private static readonly string[] Unplanned = [];

    [Fact]
    public void Every_kind_of_job_has_a_scenario()
    {
        Assert.NotEmpty(JobKinds.All);
        Assert.Empty(JobKinds.All.Except(Scenarios.All.Select(s => s.Kind)));
        Assert.Empty(Scenarios.All.Select(s => s.Kind).Except(JobKinds.All).Except([Scenarios.Upload]));
        Assert.Equal(Scenarios.All.Count, Scenarios.All.Select(s => s.Name).Distinct().Count());
    }

    [Fact]
    public async Task Every_step_of_the_host_was_interrupted()
    {
        var declared = typeof(HostStep).GetCustomAttributes<JsonDerivedTypeAttribute>().Select(a => (string)a.TypeDiscriminator!).ToList();
        var seen = (await FaultMatrix.Reports).SelectMany(r => r.Trace.Calls).Where(c => !c.Undo).Select(c => c.Step).Distinct().ToList();
        Assert.Equal(Unplanned, declared.Except(seen));
    }

    /// <summary>
    /// Around a step is always reached. Inside one, and in a recovery, it is a race: a step may be over, or nothing left to recover, before the kill comes. So those are
    /// counted over all scenarios.
    /// </summary>
    [Fact]
    public async Task Most_points_are_reached()
    {
        var results = (await FaultMatrix.Reports).SelectMany(report => report.Results.Select(result => (report.Scenario, Result: result))).ToList();
        Assert.All(results.Where(r => r.Result.Point.Column is FaultClass.BeforeStep or FaultClass.AfterStep), r => Assert.True(r.Result.Reached, $"{r.Scenario} {r.Result.Point}"));
        Assert.All((FaultClass[])[FaultClass.AfterCommit, FaultClass.InsideStep, FaultClass.Recovering], column =>
        {
            var tried = results.Where(r => r.Result.Point.Column == column).ToList();
            Assert.True(tried.Count(r => r.Result.Reached) * 3 > tried.Count, $"{column}: {tried.Count(r => r.Result.Reached)} of {tried.Count}");
        });
    }

    /// <summary>Reset is the one step that cannot see whether it has happened.</summary>
    [Fact]
    public void Steps_that_are_not_repeated_blindly()
    {
        var steps = typeof(HostStep).GetCustomAttributes<JsonDerivedTypeAttribute>()
            .Where(a => !((HostStep)System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(a.DerivedType)).Repeatable).Select(a => a.TypeDiscriminator);
        Assert.Equal(["reset-machine"], steps);
    }
}
