using System.Text.Json;
using System.Text.RegularExpressions;
using KvmPortal.Engine;

namespace KvmPortal.Web.Hosting;

/// <summary>Says what is wrong with a JSON body, by pointer, in words that name no type of the program.</summary>
internal static partial class JsonFault
{
    public static ProblemInfo Of(JsonException e)
    {
        var pointer = Pointer(e.Path);
        if (e.Message.Contains("missing required propert", StringComparison.Ordinal))
            return Missing(pointer, [.. Quoted().Matches(e.Message[e.Message.IndexOf(':', StringComparison.Ordinal)..]).Select(q => q.Groups[1].Value)]);
        var (code, message) = e.Message switch
        {
            var m when m.Contains("could not be mapped", StringComparison.Ordinal) => ("unknown-member", $"There is no member \"{Last(pointer)}\" here; members are case-sensitive."),
            var m when m.Contains("uplicate", StringComparison.Ordinal) => ("duplicate-member", "A member is given twice."),
            var m when m.Contains("null", StringComparison.Ordinal) && m.Contains("annotation", StringComparison.Ordinal) => ("wrong-type", "null is not allowed here."),
            var m when m.Contains("could not be converted", StringComparison.Ordinal) => ("wrong-type", "The value is not of the type, or not one of the words, that this member takes."),
            var m when m.StartsWith("Give ", StringComparison.Ordinal) => ("wrong-type", m),
            _ => ("syntax", e.LineNumber is { } line ? $"This is not JSON as RFC 8259 defines it; reading failed at line {line + 1}, byte {e.BytePositionInLine + 1}." : "This is not JSON as RFC 8259 defines it."),
        };
        return Faults.OfStatus(400) with { Detail = message, Errors = [new Problem(pointer, code, message)] };
    }

    private static ProblemInfo Missing(string pointer, IReadOnlyList<string> names) => Faults.OfStatus(400) with
    {
        Detail = $"Missing: {string.Join(", ", names)}.", Errors = [.. names.Select(n => new Problem($"{pointer}/{n}", "required", $"The member {n} is missing."))],
    };

    /// <summary>From the serializer's path (<c>$.disks[0].name</c>, <c>$['a.b']</c>) to RFC 6901.</summary>
    internal static string Pointer(string? path)
    {
        if (path is null)
            return "";
        return string.Concat(Parts().Matches(path).Select(m => "/" + (m.Groups["quoted"].Success ? m.Groups["quoted"].Value : m.Groups["plain"].Success ? m.Groups["plain"].Value : m.Groups["index"].Value)
            .Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)));
    }

    private static string Last(string pointer)
    {
        var name = pointer[(pointer.LastIndexOf('/') + 1)..].Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
        return name.Length > 64 ? name[..64] : name;
    }

    [GeneratedRegex(@"\.(?<plain>[^.\[\]']+)|\[(?<index>\d+)\]|\['(?<quoted>[^']*)'\]")]
    private static partial Regex Parts();

    [GeneratedRegex("'([A-Za-z0-9]+)'")]
    private static partial Regex Quoted();
}
