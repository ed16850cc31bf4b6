using System.Reflection;
using System.Text.Json.Serialization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Faults.Tests;

public sealed class CoverageTests
{
    /// <summary>Steps that no job of any kind plans yet.</summary>
    private static readonly string[] Unplanned = ["set-balloon"];

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

    [Fact]
    public async Task Most_points_are_reached()
    {
        foreach (var report in await FaultMatrix.Reports)
        {
            Assert.True(report.Results.Count(r => r.Reached) * 2 > report.Results.Count, $"{report.Scenario}: {report.Results.Count(r => r.Reached)} of {report.Results.Count}");
            Assert.All(report.Results.Where(r => r.Point.Class is FaultClass.BeforeStep), r => Assert.True(r.Reached, $"{report.Scenario} {r.Point}"));
        }
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
