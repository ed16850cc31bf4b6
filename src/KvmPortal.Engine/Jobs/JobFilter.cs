using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Jobs;

/// <summary>What a job list can be narrowed by; translated to SQL, so only `field = value` joined by `and` (the table may be long).</summary>
internal sealed record JobFilter(JobState? State, string? Kind, string? Target, string? Text, bool ActiveOnly, JobId? Parent = null)
{
    public static JobFilter Parse(ListQuery query)
    {
        if (query.Limit is < 1 or > 500)
            throw PortalException.Invalid([new Problem("?limit", "out-of-range", Say.NumberFromTo(1, 500))]);
        var filter = new JobFilter(null, null, null, query.Text?.Trim() is { Length: > 0 } text ? text : null, false);
        foreach (var term in (query.Filter ?? "").Split(" and ", StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (term.Split('=', 2, StringSplitOptions.TrimEntries) is not [var field, var value])
                throw Wrong(Say.FilterNotTerm(term));
            value = value.Trim('"');
            filter = field switch
            {
                "state" when value == "active" => filter with { ActiveOnly = true },
                "state" => filter with { State = Enum.GetValues<JobState>().Cast<JobState?>().FirstOrDefault(s => PortalJson.Text(s!.Value) == value) ?? throw Wrong(Say.FilterNoJobState(value)) },
                "kind" => filter with { Kind = value },
                "parent" => filter with { Parent = JobId.TryParse(value, null, out var parent) ? parent : throw Wrong(Say.FilterNotTerm(term)) },
                "target" => filter with { Target = value },
                _ => throw Wrong(Say.FilterNoField(field, "kind, parent, state, target")),
            };
        }

        return filter;
    }

    public IQueryable<Job> Apply(IQueryable<Job> jobs)
    {
        if (State is { } state)
            jobs = jobs.Where(j => j.State == state);
        if (Parent is { } parent)
            jobs = jobs.Where(j => j.ParentId == parent);
        if (ActiveOnly)
            jobs = jobs.Where(j => j.State == JobState.Queued || j.State == JobState.Running);
        if (Kind is { } kind)
            jobs = jobs.Where(j => j.Kind == kind);
        if (Target is { } target)
            jobs = Guid.TryParse(target, out var id) ? jobs.Where(j => j.TargetId == id) : jobs.Where(j => j.TargetName == target);
        if (Text is { } text)
            jobs = jobs.Where(j => j.TargetName.Contains(text) || j.Kind.Contains(text));
        return jobs;
    }

    private static PortalException Wrong(Sentence why) =>
        new(ErrorCode.Malformed, Say.BadFilter(why)) { Problems = [new Problem("?filter", "invalid-filter", why)], Hint = Say.FilterExample("state = failed and kind = start-vm") };
}
