using System.Globalization;

namespace KvmPortal.Engine;

/// <summary>What a field of a list's items is, for the filter grammar.</summary>
/// <param name="Texts">The field's values (a tag list has several).</param>
/// <param name="Number">For &lt; and &gt;; null for fields that are not numbers.</param>
internal sealed record FilterField<T>(Func<T, IEnumerable<string>> Texts, Func<T, double>? Number = null);

/// <summary>
/// The filter grammar of REST lists and the search box:
/// <code>
///  expr := and ("or" and)*     and := unary ("and"? unary)*     unary := "not" unary | "(" expr ")" | field op value | word
///  op   := = | != | ~ (contains) | &lt; | &lt;= | &gt; | &gt;=          value := word | "quoted text"
/// </code>
/// A lone word matches any field of <c>free</c>. Comparison ignores case.
/// </summary>
internal sealed class FilterExpression<T>
{
    private const int MostTokens = 128;
    private readonly IReadOnlyDictionary<string, FilterField<T>> fields;
    private readonly Func<T, string, bool> free;
    private readonly List<string> tokens;
    private int at;

    private FilterExpression(string text, IReadOnlyDictionary<string, FilterField<T>> fields, Func<T, string, bool> free)
    {
        this.fields = fields;
        this.free = free;
        tokens = Tokenize(text);
    }

    /// <summary>Parses; null or blank matches everything. Throws Malformed with what is wrong.</summary>
    public static Func<T, bool> Parse(string? text, IReadOnlyDictionary<string, FilterField<T>> fields, Func<T, string, bool> free)
    {
        if (string.IsNullOrWhiteSpace(text))
            return _ => true;
        var parser = new FilterExpression<T>(text, fields, free);
        var made = parser.Or(0);
        return parser.at == parser.tokens.Count ? made : throw Wrong(Say.FilterUnexpected(parser.tokens[parser.at]));
    }

    private Func<T, bool> Or(int depth)
    {
        var left = And(depth);
        while (Take("or"))
        {
            var (a, b) = (left, And(depth));
            left = x => a(x) || b(x);
        }

        return left;
    }

    private Func<T, bool> And(int depth)
    {
        var left = Unary(depth);
        while (at < tokens.Count && tokens[at] != ")" && !Is("or"))
        {
            Take("and");
            var (a, b) = (left, Unary(depth));
            left = x => a(x) && b(x);
        }

        return left;
    }

    private Func<T, bool> Unary(int depth)
    {
        if (depth > 32)
            throw Wrong(Say.FilterTooDeep);
        if (Take("not"))
        {
            var inner = Unary(depth + 1);
            return x => !inner(x);
        }

        if (Take("("))
        {
            var inner = Or(depth + 1);
            return Take(")") ? inner : throw Wrong(Say.FilterUnclosed);
        }

        return Term();
    }

    private Func<T, bool> Term()
    {
        var word = Next();
        if (word is ")" or "and" or "or" || IsOperator(word))
            throw Wrong(Say.FilterUnexpected(word));
        if (at >= tokens.Count || !IsOperator(tokens[at]))
        {
            var wanted = Unquote(word);
            return x => free(x, wanted);
        }

        var op = Next();
        var value = Unquote(Next());
        if (!fields.TryGetValue(word.ToLowerInvariant(), out var field))
            throw Wrong(Say.FilterNoField(word, string.Join(", ", fields.Keys.Order(StringComparer.Ordinal))));
        return op switch
        {
            "=" => x => field.Texts(x).Any(t => string.Equals(t, value, StringComparison.OrdinalIgnoreCase)),
            "!=" => x => field.Texts(x).All(t => !string.Equals(t, value, StringComparison.OrdinalIgnoreCase)),
            "~" => x => field.Texts(x).Any(t => t.Contains(value, StringComparison.OrdinalIgnoreCase)),
            _ => Compare(word, field, op, value),
        };
    }

    private static Func<T, bool> Compare(string word, FilterField<T> field, string op, string value)
    {
        if (field.Number is not { } number || !double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var limit))
            throw Wrong(Say.FilterNotNumber($"{word} {op} {value}"));
        return op switch
        {
            "<" => x => number(x) < limit,
            "<=" => x => number(x) <= limit,
            ">" => x => number(x) > limit,
            _ => x => number(x) >= limit,
        };
    }

    private string Next() => at < tokens.Count ? tokens[at++] : throw Wrong(Say.FilterEndsEarly);

    private bool Is(string word) => at < tokens.Count && string.Equals(tokens[at], word, StringComparison.OrdinalIgnoreCase);

    private bool Take(string word)
    {
        if (!Is(word))
            return false;
        at++;
        return true;
    }

    private static bool IsOperator(string token) => token is "=" or "!=" or "~" or "<" or "<=" or ">" or ">=";

    private static string Unquote(string token) => token.StartsWith('"') ? token[1..] : token;

    private static List<string> Tokenize(string text)
    {
        var made = new List<string>();
        for (var i = 0; i < text.Length;)
        {
            var c = text[i];
            var start = i;
            if (char.IsWhiteSpace(c))
            {
                i++;
                continue;
            }

            if (c is '(' or ')' or '=' or '~')
                i++;
            else if (c is '<' or '>' or '!')
                i += i + 1 < text.Length && text[i + 1] == '=' ? 2 : 1;
            else if (c == '"')
            {
                var end = text.IndexOf('"', i + 1);
                if (end < 0)
                    throw Wrong(Say.FilterNoQuote);
                made.Add(text[i..end]);
                i = end + 1;
                continue;
            }
            else
                while (i < text.Length && !char.IsWhiteSpace(text[i]) && text[i] is not ('(' or ')' or '=' or '~' or '<' or '>' or '!' or '"'))
                    i++;
            made.Add(text[start..i]);
            if (made.Count > MostTokens)
                throw Wrong(Say.FilterTooLong);
        }

        return made.Count > 0 ? made : throw Wrong(Say.FilterEmpty);
    }

    private static PortalException Wrong(Sentence why) =>
        new(ErrorCode.Malformed, Say.BadFilter(why)) { Problems = [new Problem("?filter", "invalid-filter", why)], Hint = Say.FilterExample("state = running and (tag = qa or name ~ web)") };
}
