using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Pinning;

/// <summary>
/// Where a guest's memory lies (/proc/PID/numa_maps, numa(7)). The guest's are mappings of QEMU's memory backends: the memfd ones by their name, the anonymous ones by their size,
/// which /proc/PID/maps tells.
/// </summary>
internal static class NumaMaps
{
    private const int MostLines = 65_536, LongestLine = 8192;

    /// <param name="smallest">Bytes of the guest's smallest memory node: anonymous mappings below are QEMU's own.</param>
    public static IReadOnlyList<PlacedMemory> Read(HostPaths paths, int pid, long smallest)
    {
        var large = Lines(paths.Proc($"{pid}/maps")).Select(l => Large(l, smallest)).OfType<string>().ToHashSet(StringComparer.Ordinal);
        var kib = new SortedDictionary<int, SortedDictionary<long, long>>();
        foreach (var line in Lines(paths.Proc($"{pid}/numa_maps")))
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length < 3 || !(fields.Any(f => f.StartsWith("file=/memfd:memory-backend-memfd", StringComparison.Ordinal)) || large.Contains(fields[0])))
                continue;
            var page = fields.Select(f => Number(f, "kernelpagesize_kB=")).FirstOrDefault(n => n is not null) ?? 4;
            foreach (var field in fields)
                if (field[0] == 'N' && field.IndexOf('=', StringComparison.Ordinal) is > 1 and var equals && int.TryParse(field.AsSpan(1, equals - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var node)
                    && long.TryParse(field.AsSpan(equals + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var pages) && pages < 1L << 50)
                {
                    if (!kib.TryGetValue(node, out var sizes))
                        kib[node] = sizes = [];
                    sizes[page] = sizes.GetValueOrDefault(page) + (pages * page);
                }
        }

        return [.. kib.Select(node => new PlacedMemory(node.Key, node.Value.ToDictionary(s => s.Key, s => s.Value >> 10)))];
    }

    private static long? Number(string field, string name) =>
        field.StartsWith(name, StringComparison.Ordinal) && long.TryParse(field.AsSpan(name.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is > 0 and < 1 << 24 ? number : null;

    /// <summary>The start, as numa_maps writes it, of an anonymous writable mapping that is large enough; QEMU's buffer of translated code is executable, too.</summary>
    private static string? Large(string line, long smallest)
    {
        var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length != 5 || fields[1] != "rw-p" || fields[0].IndexOf('-', StringComparison.Ordinal) is not (> 0 and var dash))
            return null;
        return ulong.TryParse(fields[0].AsSpan(0, dash), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var from)
            && ulong.TryParse(fields[0].AsSpan(dash + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var to) && to - from >= (ulong)smallest
                ? from.ToString("x", CultureInfo.InvariantCulture) : null;
    }

    private static List<string> Lines(string file)
    {
        var lines = new List<string>();
        try
        {
            using var reader = new StreamReader(file);
            while (lines.Count < MostLines && reader.ReadLine() is { } line)
                if (line.Length <= LongestLine)
                    lines.Add(line);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has ended, or the portal may not look: what was read counts.
        }

        return lines;
    }
}
