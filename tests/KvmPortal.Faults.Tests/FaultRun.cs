using System.Diagnostics;
using System.Text.Json;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;

namespace KvmPortal.Faults.Tests;

/// <summary>What came of one fault.</summary>
/// <param name="Reached">False when the job was over before the point came.</param>
internal sealed record FaultResult(FaultPoint Point, bool Reached, IReadOnlyList<JobState> Ends, IReadOnlyList<Violation> Violations, string Took);

/// <summary>Everything that was found out about one scenario.</summary>
internal sealed record ScenarioReport(Scenario Scenario, Trace Trace, IReadOnlyList<FaultResult> Results);

/// <summary>One life and death of a portal, and the recovery after it.</summary>
internal static class FaultRun
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    /// <summary>Runs without a fault and tells what there is to interrupt.</summary>
    public static async Task<Trace> TraceAsync(Scenario scenario, Template template)
    {
        var folder = template.Copy();
        try
        {
            var before = await PrepareAsync(scenario, folder);
            if (await VictimAsync(folder, scenario, FaultPoint.None) is var (code, words) && code != 0)
                throw new InvalidOperationException($"{scenario}: without any fault the portal ended with {code}: {words}");
            var trace = JsonSerializer.Deserialize<Trace>(await File.ReadAllTextAsync(folder.TraceFile))!;
            var (_, violations) = await RecoverAsync(scenario, folder, before, undisturbed: true);
            return violations.Count == 0 ? trace : throw new InvalidOperationException($"{scenario}: without any fault: {string.Join("; ", violations.Select(v => v.Text))}");
        }
        finally
        {
            Template.Remove(folder);
        }
    }

    public static async Task<FaultResult> RunAsync(Scenario scenario, FaultPoint point, Template template)
    {
        var folder = template.Copy();
        var begun = Stopwatch.StartNew();
        try
        {
            var before = await PrepareAsync(scenario, folder);
            var (code, words) = await VictimAsync(folder, scenario, point);
            if (point.Then is { } then && await VictimAsync(folder, ["recover", folder.Root, then.ToString()]) is var (again, last) && again is not (0 or 137))
                throw new InvalidOperationException($"{scenario} at {point}: the portal that recovered ended with {again}: {last}");
            var lived = begun.ElapsedMilliseconds;
            if (code is not (0 or 137))
                throw new InvalidOperationException($"{scenario} at {point}: the portal ended with {code}: {words}");
            var (ends, violations) = await RecoverAsync(scenario, folder, before, undisturbed: code == 0);
            return new FaultResult(point, code == 137, ends, violations, $"{lived} + {begun.ElapsedMilliseconds - lived} ms");
        }
        catch (Exception e) when (e is InvalidOperationException or TimeoutException or Engine.PortalException or IOException)
        {
            // One run that cannot be finished is reported with the others.
            return new FaultResult(point, true, [], [new Violation(Breach.Stuck, e.Message)], "");
        }
        finally
        {
            Template.Remove(folder);
        }
    }

    /// <summary>Brings about the start state with a portal that ends as it should; machines run on.</summary>
    private static async Task<Findings> PrepareAsync(Scenario scenario, RunFolder folder)
    {
        await using var portal = await FaultPortal.StartAsync(folder, new Trigger(FaultPoint.None));
        await ConnectedAsync(portal);
        await scenario.Prepare(portal);
        return await Findings.SettledAsync(portal);
    }

    /// <summary>Waits until the portal has seen which machines run.</summary>
    public static async Task ConnectedAsync(FaultPortal portal)
    {
        while (!(await portal.Hosts.GetAsync(FaultPortal.Ada, default)).Connected)
            await Task.Delay(10);
    }

    private static Task<(int Code, string Words)> VictimAsync(RunFolder folder, Scenario scenario, FaultPoint point) =>
        VictimAsync(folder, ["portal", folder.Root, scenario.Name, (point with { Then = null }).ToString()]);

    private static async Task<(int Code, string Words)> VictimAsync(RunFolder folder, IEnumerable<string> arguments)
    {
        var info = new ProcessStartInfo(Environment.ProcessPath!, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        info.Environment["DOTNET_TieredPGO"] = "0";
        using var victim = Process.Start(info)!;
        var words = victim.StandardError.ReadToEndAsync();
        var output = victim.StandardOutput.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(Patience);
        try
        {
            await victim.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            victim.Kill();
            return (-1, $"it did not end in time; log: {(File.Exists(folder.LogFile) ? await File.ReadAllTextAsync(folder.LogFile) : "")}");
        }

        // A QEMU that outlives its portal does not hold these pipes: its output goes to its log.
        return (victim.ExitCode, victim.ExitCode is 0 or 137 ? "" : await words + await output);
    }

    private static async Task<(IReadOnlyList<JobState> Ends, List<Violation> Violations)> RecoverAsync(Scenario scenario, RunFolder folder, Findings before, bool undisturbed)
    {
        var old = before.Jobs.Select(j => (j.Target, j.Seq)).ToHashSet();
        var violations = new List<Violation>();
        List<JobState> ends;
        await using (var portal = await FaultPortal.StartAsync(folder, new Trigger(FaultPoint.None)))
        {
            try
            {
                await WaitIdleAsync(portal);
                var found = await Findings.SettledAsync(portal);
                ends = [.. found.Jobs.Where(j => !old.Contains((j.Target, j.Seq))).Select(j => j.State)];
                if (scenario.Kind == Scenarios.Upload)
                    ends = [found.Images.Any(i => i.State == ImageState.Ready) ? JobState.Succeeded : JobState.Cancelled];
                violations.AddRange(Invariants.Disagreements(found, folder));
                violations.AddRange(Invariants.OfOutcome(undisturbed ? scenario with { Ends = [scenario.Undisturbed] } : scenario, before, found));
                await DeleteAllAsync(portal);
                for (var i = 0; i < 60 && Invariants.Left(await Findings.TakeAsync(portal)).Any(); i++)
                    await Task.Delay(50);
                violations.AddRange(Invariants.Left(await Findings.TakeAsync(portal)));
            }
            finally
            {
                foreach (var process in (await Findings.TakeAsync(portal)).Processes)
                    Kill(process.Pid);
            }
        }

        if (violations.Count > 0 && File.Exists(folder.LogFile))
            violations[0] = violations[0] with { Text = $"{violations[0].Text} [log: {await File.ReadAllTextAsync(folder.LogFile)}]" };
        return (ends, violations);
    }

    public static async Task WaitIdleAsync(FaultPortal portal)
    {
        for (var end = Environment.TickCount64 + 30_000; Environment.TickCount64 < end; await Task.Delay(20))
            if ((await portal.Hosts.GetAsync(FaultPortal.Ada, default)).Connected && (await Findings.TakeAsync(portal)).Jobs.All(j => j.State is not (JobState.Queued or JobState.Running)))
                return;
    }

    private static async Task DeleteAllAsync(FaultPortal portal)
    {
        var found = await Findings.TakeAsync(portal);
        foreach (var vm in found.Vms)
            await portal.EndedAsync((await portal.Vms.DeleteAsync(FaultPortal.Ada, new(vm.Id), null, default)).Id);
        foreach (var preparation in found.Preparations)
            await portal.EndedAsync((await portal.Preparations.UndoAsync(FaultPortal.Ada, new(preparation.Id), default)).Id);
        foreach (var image in found.Images)
            await portal.EndedAsync((await portal.Images.DeleteAsync(FaultPortal.Ada, new(image.Id), default)).Id);
    }

    /// <summary>What a defect left must not disturb the other runs.</summary>
    private static void Kill(int pid)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            process.Kill();
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            // It has ended meanwhile.
        }
    }
}
