using System.Text;
using KvmPortal.Engine.Jobs;

namespace KvmPortal.Faults.Tests;

/// <summary>docs/reliability.md says what was found here; KVMPORTAL_REWRITE_GOLDEN=1 writes it anew.</summary>
public sealed class MatrixTests
{
    private static readonly FaultClass[] Classes = [FaultClass.AfterCommit, FaultClass.BeforeStep, FaultClass.InsideStep, FaultClass.AfterStep, FaultClass.Recovering];

    [Fact]
    public async Task Document_shows_what_was_found()
    {
        var found = Document(await FaultMatrix.Reports);
        var path = Path.Combine(Root(), "docs", "reliability.md");
        if (Environment.GetEnvironmentVariable("KVMPORTAL_REWRITE_GOLDEN") == "1")
            await File.WriteAllTextAsync(path, found);
        Assert.Equal(await File.ReadAllTextAsync(path), found);
    }

    private static string Document(IReadOnlyList<ScenarioReport> reports)
    {
        var text = new StringBuilder("""
            # Reliability: what a killed portal leaves

            Made by the tests (`tests/KvmPortal.Faults.Tests`), not by hand. Each cell is many runs with real QEMU and a real database: the portal kills itself
            (`SIGKILL`) at the named place, another one starts on the same data, and then jobs, records, files and processes are compared. At the end everything is
            deleted, and nothing may be left.

            - **after a commit**: after each transaction that is committed from the moment the job is asked for to its end
            - **before, inside, after a step**: around each thing that the job does on the host, and while it does it (also while it undoes it)
            - **and again**: the portal that recovers is killed, too
            - *goes on*: the job reaches its aim; *undone*: it fails or is cancelled, and all is as before; *interrupted*: a person has to look, and the job says what to do next

            | job | scenario | after a commit | before a step | inside a step | after a step | and again |
            |---|---|---|---|---|---|---|

            """.ReplaceLineEndings("\n"));
        foreach (var report in reports)
            text.Append($"| {report.Scenario.Kind} | {report.Scenario.Name} | {string.Join(" | ", Classes.Select(c => Cell(report, c)))} |\n");
        text.Append("\n| over all | count |\n|---|---|\n");
        foreach (var (breach, name) in ((Breach, string)[])[(Breach.Stuck, "jobs that never end"), (Breach.LostMachine, "lost machines"), (Breach.WrongState, "wrong states"), (Breach.Leak, "leaks"), (Breach.Order, "jobs out of order")])
            text.Append($"| {name} | {reports.Sum(r => r.Results.Sum(x => x.Violations.Count(v => v.Breach == breach)))} |\n");
        return text.ToString();
    }

    /// <summary>How it may end where it was killed: words without numbers, because how many points there are differs from run to run.</summary>
    private static string Cell(ScenarioReport report, FaultClass kind)
    {
        var words = report.Results.Where(r => r.Point.Column == kind && r.Reached).SelectMany(r => r.Ends).Select(Word).Distinct().Order(StringComparer.Ordinal).ToList();
        return words.Count == 0 ? "–" : string.Join(", ", words);
    }

    private static string Word(JobState end) => end switch
    {
        JobState.Succeeded => "goes on",
        JobState.Failed or JobState.Cancelled => "undone",
        JobState.Interrupted => "interrupted",
        _ => "never ends",
    };

    private static string Root()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "KvmPortal.sln")))
                return folder.FullName;
        throw new InvalidOperationException("The tests run from inside of the repository.");
    }
}
