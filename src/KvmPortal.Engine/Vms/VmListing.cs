using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Vms;

/// <summary>Pages of the VM list, cut from the tracker's snapshot. Pure.</summary>
internal static class VmListing
{
    private static readonly Dictionary<string, FilterField<VmSummary>> Fields = new()
    {
        ["name"] = new(v => [v.Name]),
        ["state"] = new(v => [PortalJson.Text(v.Status.State)]),
        ["tag"] = new(v => v.Tags),
        ["profile"] = new(v => [v.Profile]),
        ["accelerator"] = new(v => v.Status.Accelerator is { } a ? [PortalJson.Text(a)] : []),
        ["cpu"] = new(v => [v.CpuCount.ToString(CultureInfo.InvariantCulture)], v => v.CpuCount),
        ["memory"] = new(v => [v.MemoryMiB.ToString(CultureInfo.InvariantCulture)], v => v.MemoryMiB),
    };

    public static ListPage<VmSummary> Page(ImmutableArray<VmSummary> byName, ListQuery query)
    {
        if (query.Limit is < 1 or > 500)
            throw PortalException.Invalid([new Problem("?limit", "out-of-range", Say.NumberFromTo(1, 500))]);
        var matches = FilterExpression<VmSummary>.Parse(query.Filter, Fields, Mentions);
        var text = query.Text?.Trim();
        var all = string.IsNullOrEmpty(query.Filter) && string.IsNullOrEmpty(text);
        var sort = query.Sort ?? "name";
        if (all && sort == "name")
            return Cut(byName, query, NameStart(byName, query.Cursor));
        IEnumerable<VmSummary> wanted = all ? byName : byName.Where(v => matches(v) && (string.IsNullOrEmpty(text) || Mentions(v, text)));
        var sorted = Sorted(wanted, sort).ToImmutableArray();
        var skip = Cursor(query.Cursor) is { } last ? sorted.TakeWhile(v => v.Id.ToString() != last.Id).Count() + 1 : 0;
        return Cut(sorted, query, Math.Min(skip, sorted.Length));
    }

    private static ListPage<VmSummary> Cut(ImmutableArray<VmSummary> items, ListQuery query, int start)
    {
        var count = Math.Min(query.Limit, items.Length - start);
        var page = items.AsSpan(start, count).ToArray();
        return new ListPage<VmSummary>(page, start + count < items.Length ? Convert.ToBase64String(Encoding.UTF8.GetBytes($"{page[^1].Id} {page[^1].Name}")) : null);
    }

    /// <summary>The default order finds its place by binary search; a VM that was deleted between two pages loses nothing.</summary>
    private static int NameStart(ImmutableArray<VmSummary> byName, string? cursor)
    {
        if (Cursor(cursor) is not { } last)
            return 0;
        var (low, high) = (0, byName.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (string.Compare(byName[middle].Name, last.Name, StringComparison.OrdinalIgnoreCase) <= 0)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    private static (string Id, string Name)? Cursor(string? cursor)
    {
        if (cursor is null)
            return null;
        var buffer = new byte[cursor.Length];
        if (Convert.TryFromBase64String(cursor, buffer, out var length) && Encoding.UTF8.GetString(buffer, 0, length).Split(' ', 2) is [var id, var name])
            return (id, name);
        throw TimeCursor.Invalid();
    }

    private static IEnumerable<VmSummary> Sorted(IEnumerable<VmSummary> items, string sort)
    {
        var descending = sort.StartsWith('-');
        return sort.TrimStart('-') switch
        {
            "name" => descending ? items.Reverse() : items,
            "state" => By(items, v => v.Status.State, descending),
            "cpu" => By(items, v => v.CpuCount, descending),
            "memory" => By(items, v => v.MemoryMiB, descending),
            "created" => By(items, v => v.CreatedAt, descending),
            "since" => By(items, v => v.Status.Since, descending),
            _ => throw PortalException.Invalid([new Problem("?sort", "unknown-field", Say.SortRule)]),
        };
    }

    private static IEnumerable<VmSummary> By<TKey>(IEnumerable<VmSummary> items, Func<VmSummary, TKey> key, bool descending) => descending ? items.OrderByDescending(key) : items.OrderBy(key);

    private static bool Mentions(VmSummary vm, string text) =>
        vm.Name.Contains(text, StringComparison.OrdinalIgnoreCase) || vm.Tags.Any(t => t.Contains(text, StringComparison.OrdinalIgnoreCase)) || vm.Id.ToString() == text;
}
