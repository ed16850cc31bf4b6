using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Events;

/// <summary>What an event list can be narrowed by; translated to SQL, so only `field = value` joined by `and` (the table is long).</summary>
internal sealed record EventFilter(string? TypePrefix, bool? Warning, string? Actor, string? Text)
{
    /// <summary>Reads limit, filter and text of a query. Throws Invalid or Malformed.</summary>
    public static EventFilter Parse(ListQuery query)
    {
        if (query.Limit is < 1 or > 500)
            throw PortalException.Invalid([new Problem("?limit", "out-of-range", Say.NumberFromTo(1, 500))]);
        var filter = new EventFilter(null, null, null, query.Text?.Trim() is { Length: > 0 } text ? text : null);
        foreach (var term in (query.Filter ?? "").Split(" and ", StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (term.Split('=', 2, StringSplitOptions.TrimEntries) is not [var field, var value])
                throw Wrong(Say.FilterNotTerm(term));
            value = value.Trim('"');
            filter = field switch
            {
                "type" => filter with { TypePrefix = value },
                "warning" => filter with { Warning = bool.TryParse(value, out var warning) ? warning : throw Wrong(Say.FilterNotBoolean) },
                "actor" => filter with { Actor = value },
                _ => throw Wrong(Say.FilterNoField(field, "actor, type, warning")),
            };
        }

        return filter;
    }

    public IQueryable<EventRow> Apply(IQueryable<EventRow> events)
    {
        if (TypePrefix is { } type)
            events = events.Where(e => e.Type.StartsWith(type));
        if (Warning is { } warning)
            events = events.Where(e => e.Warning == warning);
        if (Actor is { } actor)
            events = events.Where(e => e.Actor == actor);
        if (Text is { } text)
        {
            var like = $"%{text.Replace("\\", "\\\\").Replace("%", "\\%").Replace("_", "\\_")}%";
            events = events.Where(e => EF.Functions.Like(e.Text, like, "\\") || EF.Functions.Like(e.TargetName!, like, "\\"));
        }

        return events;
    }

    private static PortalException Wrong(Sentence why) =>
        new(ErrorCode.Malformed, Say.BadFilter(why)) { Problems = [new Problem("?filter", "invalid-filter", why)], Hint = Say.FilterExample("type = vm.state and warning = true") };
}
