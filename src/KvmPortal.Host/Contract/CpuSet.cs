using System.Collections;
using System.Collections.Immutable;
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace KvmPortal.Host.Contract;

/// <summary>
/// An immutable set of CPU (or node) numbers. Text and JSON are the kernel's list format, <c>0-3,8,10-11</c> (Documentation/admin-guide/cputopology.rst); the empty
/// set is the empty text. Enumerates in ascending order; equal sets are equal values.
/// </summary>
[JsonConverter(typeof(CpuSetJson))]
public readonly struct CpuSet : IEquatable<CpuSet>, IEnumerable<int>
{
    /// <summary>One more than the largest number that is accepted; the kernel's own limit is 8192.</summary>
    public const int MaxCpus = 8192;

    private readonly ImmutableArray<ulong> words;

    // Without zero words at the end, so that equal sets have equal words.
    private CpuSet(ReadOnlySpan<ulong> bits)
    {
        var length = bits.Length;
        while (length > 0 && bits[length - 1] == 0)
            length--;
        words = length == 0 ? default : [.. bits[..length]];
    }

    private ReadOnlySpan<ulong> Words => words.IsDefault ? [] : words.AsSpan();

    /// <summary>No CPU.</summary>
    public static CpuSet Empty => default;

    public bool IsEmpty => words.IsDefault;

    /// <summary>How many numbers are in it.</summary>
    public int Count
    {
        get
        {
            var count = 0;
            foreach (var word in Words)
                count += BitOperations.PopCount(word);
            return count;
        }
    }

    /// <summary>The smallest number; throws <see cref="InvalidOperationException"/> for the empty set.</summary>
    public int First
    {
        get
        {
            var bits = Words;
            for (var i = 0; i < bits.Length; i++)
                if (bits[i] != 0)
                    return (i * 64) + BitOperations.TrailingZeroCount(bits[i]);
            throw new InvalidOperationException("The set is empty.");
        }
    }

    /// <summary>A set of these numbers; throws <see cref="ArgumentOutOfRangeException"/> outside 0 … <see cref="MaxCpus"/> - 1.</summary>
    public static CpuSet Of(params IEnumerable<int> cpus)
    {
        var bits = new ulong[MaxCpus / 64];
        foreach (var cpu in cpus)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(cpu);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(cpu, MaxCpus);
            bits[cpu / 64] |= 1UL << (cpu % 64);
        }

        return new CpuSet(bits);
    }

    /// <summary>From <paramref name="first"/> to <paramref name="last"/>, both inside.</summary>
    public static CpuSet Range(int first, int last) => Of(Enumerable.Range(first, last - first + 1));

    /// <summary>Reads the kernel's list format; false for anything else, also for numbers of <see cref="MaxCpus"/> and more. Empty text, <c>(null)</c> and line ends are the empty set.</summary>
    public static bool TryParse(string? text, out CpuSet set)
    {
        set = default;
        var left = text.AsSpan().Trim();
        if (left.IsEmpty || left.SequenceEqual("(null)"))
            return true;
        Span<ulong> bits = stackalloc ulong[MaxCpus / 64];
        foreach (var part in left.Split(','))
        {
            var range = left[part].Trim();
            var dash = range.IndexOf('-');
            if (!Number(dash < 0 ? range : range[..dash], out var from) || !Number(dash < 0 ? range : range[(dash + 1)..], out var to) || from > to)
                return false;
            for (var cpu = from; cpu <= to; cpu++)
                bits[cpu / 64] |= 1UL << (cpu % 64);
        }

        set = new CpuSet(bits);
        return true;
    }

    /// <summary>Reads the kernel's mask format, groups of 32 bits in hex with the highest first (<c>00000001,0000000f</c>); false for anything else.</summary>
    public static bool TryParseMask(string? text, out CpuSet set)
    {
        set = default;
        var groups = (text ?? "").Trim().Split(',');
        if (groups.Length > MaxCpus / 32)
            return false;
        Span<ulong> bits = stackalloc ulong[MaxCpus / 64];
        for (var i = 0; i < groups.Length; i++)
        {
            if (!uint.TryParse(groups[^(i + 1)], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var group))
                return false;
            bits[i / 2] |= (ulong)group << (32 * (i % 2));
        }

        set = new CpuSet(bits);
        return true;
    }

    /// <summary>As <see cref="TryParse"/>; throws <see cref="FormatException"/>.</summary>
    public static CpuSet Parse(string? text) => TryParse(text, out var set) ? set : throw new FormatException("That is no list of CPUs like 0-3,8.");

    public bool Contains(int cpu) => cpu >= 0 && cpu / 64 < Words.Length && (Words[cpu / 64] & (1UL << (cpu % 64))) != 0;

    public bool Overlaps(CpuSet other)
    {
        var a = Words;
        var b = other.Words;
        for (var i = 0; i < Math.Min(a.Length, b.Length); i++)
            if ((a[i] & b[i]) != 0)
                return true;
        return false;
    }

    public bool IsSubsetOf(CpuSet other) => (this - other).IsEmpty;

    public static CpuSet operator |(CpuSet left, CpuSet right)
    {
        var (longer, shorter) = left.Words.Length >= right.Words.Length ? (left, right) : (right, left);
        var bits = longer.Words.ToArray();
        for (var i = 0; i < shorter.Words.Length; i++)
            bits[i] |= shorter.Words[i];
        return new CpuSet(bits);
    }

    public static CpuSet operator &(CpuSet left, CpuSet right)
    {
        var bits = new ulong[Math.Min(left.Words.Length, right.Words.Length)];
        for (var i = 0; i < bits.Length; i++)
            bits[i] = left.Words[i] & right.Words[i];
        return new CpuSet(bits);
    }

    public static CpuSet operator -(CpuSet left, CpuSet right)
    {
        var bits = left.Words.ToArray();
        for (var i = 0; i < Math.Min(bits.Length, right.Words.Length); i++)
            bits[i] &= ~right.Words[i];
        return new CpuSet(bits);
    }

    /// <summary>All of them together.</summary>
    public static CpuSet Union(IEnumerable<CpuSet> sets)
    {
        var bits = new ulong[MaxCpus / 64];
        foreach (var set in sets)
            for (var i = 0; i < set.Words.Length; i++)
                bits[i] |= set.Words[i];
        return new CpuSet(bits);
    }

    public static bool operator ==(CpuSet left, CpuSet right) => left.Equals(right);

    public static bool operator !=(CpuSet left, CpuSet right) => !left.Equals(right);

    public bool Equals(CpuSet other) => Words.SequenceEqual(other.Words);

    public override bool Equals(object? obj) => obj is CpuSet other && Equals(other);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var word in Words)
            hash.Add(word);
        return hash.ToHashCode();
    }

    public IEnumerator<int> GetEnumerator()
    {
        for (var i = 0; !words.IsDefault && i < words.Length; i++)
            for (var rest = words[i]; rest != 0; rest &= rest - 1)
                yield return (i * 64) + BitOperations.TrailingZeroCount(rest);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The kernel's list format.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        var (from, to) = (-1, -2);
        foreach (var cpu in this)
        {
            if (cpu != to + 1)
            {
                Append(text, from, to);
                from = cpu;
            }

            to = cpu;
        }

        Append(text, from, to);
        return text.ToString();
    }

    private static void Append(StringBuilder text, int from, int to)
    {
        if (from < 0)
            return;
        if (text.Length > 0)
            text.Append(',');
        text.Append(CultureInfo.InvariantCulture, $"{from}");
        if (to > from)
            text.Append(CultureInfo.InvariantCulture, $"-{to}");
    }

    private static bool Number(ReadOnlySpan<char> text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number < MaxCpus;
}

/// <summary>A <see cref="CpuSet"/> in JSON is its text.</summary>
public sealed class CpuSetJson : JsonConverter<CpuSet>
{
    public override CpuSet Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && CpuSet.TryParse(reader.GetString(), out var set) ? set : throw new JsonException("That is no list of CPUs like 0-3,8.");

    public override void Write(Utf8JsonWriter writer, CpuSet value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
