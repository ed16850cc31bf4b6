using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace KvmPortal.Web.Tests.Pages;

/// <summary>Every word of the console stands in resources, in both languages, and every key that code names is there.</summary>
public sealed partial class ResourceTests
{
    private static readonly string Web = Path.Combine(Root(), "src", "KvmPortal.Web");

    [GeneratedRegex("""\b[TVP]\["([^"{}+]+)"[\],]""")]
    private static partial Regex Key();

    [GeneratedRegex(@"\{\d\}")]
    private static partial Regex Place();

    /// <summary>Text between tags that is more than signs: letters that no expression made.</summary>
    [GeneratedRegex(@">\s*([^<>@{}]*\p{L}[^<>@{}]*)<")]
    private static partial Regex Bare();

    [GeneratedRegex("""\s(?:title|placeholder|aria-label|alt|Title|Text|Label|Word)="(?<t>[^"@]*\p{L}[^"@]*)["]""")]
    private static partial Regex BareAttribute();

    public static TheoryData<string> Sets()
    {
        var sets = new TheoryData<string>();
        foreach (var file in Directory.GetFiles(Path.Combine(Web, "Resources"), "*.zh-CN.resx").Where(f => !f.Contains("SentenceText", StringComparison.Ordinal)))
            sets.Add(Path.GetFileName(file).Replace(".zh-CN.resx", "", StringComparison.Ordinal));
        return sets;
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Both_languages_have_the_same_keys_and_places(string set)
    {
        var (english, chinese) = (Read(set + ".resx"), Read(set + ".zh-CN.resx"));
        Assert.Empty(english.Keys.Except(chinese.Keys));
        Assert.Empty(chinese.Keys.Except(english.Keys));
        foreach (var (key, text) in english)
        {
            Assert.False(string.IsNullOrWhiteSpace(chinese[key]), key);
            Assert.Equal((key, Places(text)), (key, Places(chinese[key])));
        }
    }

    [Fact]
    public void Every_key_that_a_page_names_is_there()
    {
        var known = Sets().SelectMany(s => Read(s.Data + ".resx").Keys).ToHashSet();
        var missing = Razor().SelectMany(f => Key().Matches(File.ReadAllText(f)).Select(m => m.Groups[1].Value)).Where(k => !k.EndsWith('.') && !known.Contains(k)).Distinct();
        Assert.Empty(missing);
    }

    [Fact]
    public void No_page_contains_bare_text()
    {
        var found = new List<string>();
        foreach (var file in Razor())
        {
            var markup = Markup(File.ReadAllText(file));
            found.AddRange(Bare().Matches(markup).Select(m => $"{Path.GetFileName(file)}: {m.Groups[1].Value.Trim()}"));
            found.AddRange(BareAttribute().Matches(markup).Select(m => $"{Path.GetFileName(file)}: {m.Value.Trim()}"));
        }

        Assert.Empty(found);
    }

    /// <summary>The markup without comments, code, expressions and control flow.</summary>
    private static string Markup(string text)
    {
        var code = text.IndexOf("@code {", StringComparison.Ordinal);
        text = code < 0 ? text : text[..code];
        text = Regex.Replace(text, @"@\*.*?\*@", "", RegexOptions.Singleline);
        text = Regex.Replace(text, @"^\s*(@(inject|page|inherits|implements|attribute|using|layout)\b.*|case .*:|default:|break;)\s*$", "", RegexOptions.Multiline);
        text = Regex.Replace(text, @"@(?=\()", "@x");
        text = Regex.Replace(text, @"\((?>[^()]+|\((?<d>)|\)(?<-d>))*(?(d)(?!))\)", "");
        text = Regex.Replace(text, @"^\s*(case [^\n]*:|default:|break;|@(inject|inherits|implements|using|attribute|layout|page)\b[^\n]*)\s*$", "", RegexOptions.Multiline);
        text = Regex.Replace(text, @"\[(?>[^\[\]]+|\[(?<d>)|\](?<-d>))*(?(d)(?!))\]", "");
        return Regex.Replace(text, @"@[\w.!?]+", "@");
    }

    private static IEnumerable<string> Razor() => Directory.GetFiles(Web, "*.razor", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal) && !f.EndsWith("_Imports.razor", StringComparison.Ordinal));

    private static Dictionary<string, string> Read(string file) =>
        XDocument.Load(Path.Combine(Web, "Resources", file)).Root!.Elements("data").ToDictionary(e => e.Attribute("name")!.Value, e => e.Element("value")!.Value);

    private static string Places(string text) => string.Join(' ', Place().Matches(text).Select(m => m.Value).Distinct().Order());

    internal static string Root()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "KvmPortal.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The checkout was not found.");
        return folder;
    }
}
