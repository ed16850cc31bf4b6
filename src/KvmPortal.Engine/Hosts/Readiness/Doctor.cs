namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>
/// Looks a host over: runs every check of the catalogue and sums up per purpose. Pure: the same inventory gives the same report.
/// <code>
/// a required check missing ► missing;  else one unknown ► unknown;  else one that works with a cost, or a helpful one that does not ► works but;  else ready
/// </code>
/// </summary>
public static class Doctor
{
    private static readonly IReadOnlyList<Check> Catalogue = [.. CpuChecks.All, .. KvmChecks.All, .. MemoryChecks.All, .. DeviceChecks.All, .. LatencyChecks.All, .. SecurityChecks.All, .. HostChecks.All];

    public static ReadinessReport Examine(ReadinessInput input)
    {
        var checks = Catalogue.Select(check =>
        {
            var found = check.Look(input);
            return new CheckResult(check.Id, check.Title, check.Meaning, found.Verdict, found.Text, found.Evidence, found.Fixes, check.MattersFor, check.RequiredFor, check.HelpsFor);
        }).ToList();
        return new ReadinessReport([.. Enum.GetValues<Purpose>().Select(purpose => Sum(purpose, checks))], checks);
    }

    private static PurposeVerdict Sum(Purpose purpose, List<CheckResult> checks)
    {
        var required = checks.Where(c => c.RequiredFor.Contains(purpose)).ToList();
        var helpful = checks.Where(c => c.HelpsFor.Contains(purpose)).ToList();
        var verdict = required.Any(c => c.Verdict == Verdict.Missing) ? Verdict.Missing
            : required.Any(c => c.Verdict == Verdict.Unknown) ? Verdict.Unknown
            : required.Concat(helpful).Any(c => c.Verdict is Verdict.WorksBut or Verdict.Missing) ? Verdict.WorksBut
            : Verdict.Ready;
        var next = required.Where(c => c.Verdict == Verdict.Missing)
            .Concat(required.Where(c => c.Verdict == Verdict.Unknown))
            .Concat(required.Where(c => c.Verdict == Verdict.WorksBut))
            .Concat(helpful.Where(c => c.Verdict == Verdict.Missing))
            .Concat(helpful.Where(c => c.Verdict == Verdict.WorksBut));
        return new PurposeVerdict(purpose, verdict, [.. next.Select(c => c.Id)]);
    }
}
