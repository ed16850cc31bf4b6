using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;

namespace KvmPortal.Faults.Tests;

/// <summary>The portal that is to be killed: prepares the scenario, arms the trigger, asks for the job. Without a fault it writes down what it went through.</summary>
internal static class VictimProcess
{
    public static async Task<int> RunAsync(string root, string scenarioName, FaultPoint point)
    {
        var scenario = Scenarios.All.Single(s => s.Name == scenarioName);
        var folder = new RunFolder(root);
        var trigger = new Trigger(point);
        await using var portal = await FaultPortal.StartAsync(folder, trigger);
        await scenario.Prepare(portal);
        var before = await Findings.SettledAsync(portal);
        await File.WriteAllTextAsync(folder.BeforeFile, JsonSerializer.Serialize(before, Findings.Json));
        if (scenario.CancelAtCall is { } at)
            trigger.AtCall = async number =>
            {
                if (number == at)
                    await portal.Jobs.CancelAsync(FaultPortal.Ada, await RunningJobAsync(portal), default);
            };
        trigger.Arm();
        IReadOnlyList<JobId> asked;
        try
        {
            asked = await scenario.Ask(portal);
        }
        catch (Engine.PortalException e) when (e.Problems.Count > 0)
        {
            throw new InvalidOperationException(string.Join("; ", e.Problems.Select(p => $"{p.Pointer}: {p.Message}")), e);
        }

        foreach (var id in asked)
        {
            var job = await portal.EndedAsync(id);
            if (job.State != scenario.Undisturbed)
                throw new InvalidOperationException($"{job.Kind} is {job.State}, not {scenario.Undisturbed}: {job.Error?.Detail?.Text}");
        }

        trigger.Disarm();
        await File.WriteAllTextAsync(folder.TraceFile, JsonSerializer.Serialize(trigger.Trace));
        return 0;
    }

    /// <summary>The portal that recovers and is killed, too.</summary>
    public static async Task<int> RecoverAsync(string root, FaultPoint point)
    {
        var trigger = new Trigger(point);
        trigger.Arm();
        await using var portal = await FaultPortal.StartAsync(new RunFolder(root), trigger);
        await FaultRun.WaitIdleAsync(portal);
        return 0;
    }

    private static async Task<JobId> RunningJobAsync(FaultPortal portal) =>
        (await portal.Jobs.ListAsync(FaultPortal.Ada, new Engine.ListQuery(), default)).Items.Single(j => j.State == JobState.Running).Id;
}
