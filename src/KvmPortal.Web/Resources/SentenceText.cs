using System.Globalization;
using System.Resources;
using System.Text.RegularExpressions;
using KvmPortal.Engine;

namespace KvmPortal.Web.Resources;

/// <summary>The engine's sentences (<see cref="Engine.Say"/>) in other languages, by code and with named places. English needs no resource: it comes with the sentence.</summary>
public static partial class SentenceText
{
    private static readonly ResourceManager Resources = new(typeof(SentenceText));

    /// <summary>The sentence in a language; its English text when it has no code or that language lacks it.</summary>
    public static string In(Sentence sentence, CultureInfo culture)
    {
        if (sentence.Code is not { } code || culture.TwoLetterISOLanguageName == "en" || Template(code, culture) is not { } template)
            return sentence.Text;
        // In one pass: what stands in a place is never searched for places itself.
        return Place().Replace(template, m => sentence.Values.TryGetValue(m.Groups[1].Value, out var value) ? In(value, culture) : m.Value);
    }

    /// <summary>The template of a code in exactly this language; null when it is missing.</summary>
    public static string? Template(string code, CultureInfo culture) => Resources.GetResourceSet(culture, createIfNotExists: true, tryParents: false)?.GetString(code);

    [GeneratedRegex(@"\{(\w+)\}")]
    private static partial Regex Place();
}
