using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace KvmPortal.Engine;

/// <summary>
/// A sentence for people, in English.
/// </summary>
/// <remarks>
/// One that <see cref="Say"/> made also has a stable code and its named values, so that a page can say it in another language. On the wire it is its
/// English text, with the code in a member beside it; the database keeps all of it.
/// </remarks>
[JsonConverter(typeof(SentenceJson))]
public sealed class Sentence : IEquatable<Sentence>
{
    private static readonly Dictionary<string, Sentence> None = [];

    public Sentence(string text, string? code = null, IReadOnlyDictionary<string, Sentence>? values = null)
    {
        Text = text;
        Code = code;
        Values = values ?? None;
    }

    /// <summary>In English.</summary>
    public string Text { get; }

    /// <summary>Kebab-case name of the <see cref="Say"/> member that made it; null for words of others (QEMU, the kernel, a user).</summary>
    public string? Code { get; }

    /// <summary>What stands in the sentence's places, by name; a value may be a sentence with a code of its own.</summary>
    public IReadOnlyDictionary<string, Sentence> Values { get; }

    /// <summary>Length of the English text.</summary>
    public int Length => Text.Length;

    /// <summary>Words of others, as they are.</summary>
    [return: NotNullIfNotNull(nameof(text))]
    public static implicit operator Sentence?(string? text) => text is null ? null : new Sentence(text);

    /// <summary>In English.</summary>
    [return: NotNullIfNotNull(nameof(sentence))]
    public static implicit operator string?(Sentence? sentence) => sentence?.Text;

    public bool Equals(Sentence? other) => other is not null && Code == other.Code && Text == other.Text;

    public override bool Equals(object? obj) => Equals(obj as Sentence);

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Text;
}

/// <summary>Collects an interpolated string's text and, by the names of the expressions in it, its values.</summary>
[InterpolatedStringHandler]
[SuppressMessage("Design", "CA1034", Justification = "A handler is used by the compiler only.")]
internal readonly ref struct SentenceBuilder(int literalLength, int formattedCount)
{
    private readonly StringBuilder text = new(literalLength + (16 * formattedCount));

    public Dictionary<string, Sentence> Values { get; } = new(formattedCount);

    public string Text => text.ToString();

    public void AppendLiteral(string value) => text.Append(value);

    public void AppendFormatted<T>(T value, string? format = null, [CallerArgumentExpression(nameof(value))] string name = "")
    {
        if (value is Sentence inner)
        {
            text.Append(inner.Text);
            Values[name] = inner;
            return;
        }

        var word = value is IFormattable number ? number.ToString(format, CultureInfo.InvariantCulture) : value?.ToString() ?? "";
        text.Append(word);
        Values[name] = new Sentence(word);
    }
}

/// <summary>Writes a sentence as its English text or, for the database, as an object when it has a code; reads both.</summary>
public sealed class SentenceJson(bool stored) : JsonConverter<Sentence>
{
    public SentenceJson() : this(stored: false)
    {
    }

    public override Sentence Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
            return new Sentence(reader.GetString()!);
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new JsonException("A sentence is a string.");
        var (text, code, values) = ("", (string?)null, new Dictionary<string, Sentence>());
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var member = reader.GetString();
            reader.Read();
            switch (member)
            {
                case "text":
                    text = reader.GetString() ?? "";
                    break;
                case "code":
                    code = reader.GetString();
                    break;
                case "values":
                    while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                    {
                        var name = reader.GetString()!;
                        reader.Read();
                        values[name] = Read(ref reader, typeToConvert, options);
                    }

                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        return new Sentence(text, code, values);
    }

    public override void Write(Utf8JsonWriter writer, Sentence value, JsonSerializerOptions options)
    {
        if (!stored || value.Code is null)
        {
            writer.WriteStringValue(value.Text);
            return;
        }

        writer.WriteStartObject();
        writer.WriteString("text", value.Text);
        writer.WriteString("code", value.Code);
        if (value.Values.Count > 0)
        {
            writer.WriteStartObject("values");
            foreach (var (name, inner) in value.Values)
            {
                writer.WritePropertyName(name);
                Write(writer, inner, options);
            }

            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }
}
