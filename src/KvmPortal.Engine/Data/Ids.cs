using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace KvmPortal.Engine.Data;

/// <summary>A UUID (version 7) that cannot be mistaken for another kind of id.</summary>
public interface ITypedId<TSelf> where TSelf : struct, ITypedId<TSelf>
{
    Guid Value { get; }

    static abstract TSelf From(Guid value);
}

/// <summary>Id of a virtual machine; also the guest's SMBIOS UUID.</summary>
[JsonConverter(typeof(TypedIdJson<VmId>))]
public readonly record struct VmId(Guid Value) : ITypedId<VmId>, IParsable<VmId>
{
    public static VmId From(Guid value) => new(value);
    public static VmId New(TimeProvider time) => new(Guid.CreateVersion7(time.GetUtcNow()));
    public override string ToString() => Value.ToString("D");
    public static VmId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out VmId result) => TypedId.TryParse(s, out result);
}

/// <summary>Id of a job.</summary>
[JsonConverter(typeof(TypedIdJson<JobId>))]
public readonly record struct JobId(Guid Value) : ITypedId<JobId>, IParsable<JobId>
{
    public static JobId From(Guid value) => new(value);
    public static JobId New(TimeProvider time) => new(Guid.CreateVersion7(time.GetUtcNow()));
    public override string ToString() => Value.ToString("D");
    public static JobId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out JobId result) => TypedId.TryParse(s, out result);
}

/// <summary>Id of an image.</summary>
[JsonConverter(typeof(TypedIdJson<ImageId>))]
public readonly record struct ImageId(Guid Value) : ITypedId<ImageId>, IParsable<ImageId>
{
    public static ImageId From(Guid value) => new(value);
    public static ImageId New(TimeProvider time) => new(Guid.CreateVersion7(time.GetUtcNow()));
    public override string ToString() => Value.ToString("D");
    public static ImageId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out ImageId result) => TypedId.TryParse(s, out result);
}

/// <summary>Id of a disk.</summary>
[JsonConverter(typeof(TypedIdJson<DiskId>))]
public readonly record struct DiskId(Guid Value) : ITypedId<DiskId>, IParsable<DiskId>
{
    public static DiskId From(Guid value) => new(value);
    public static DiskId New(TimeProvider time) => new(Guid.CreateVersion7(time.GetUtcNow()));
    public override string ToString() => Value.ToString("D");
    public static DiskId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out DiskId result) => TypedId.TryParse(s, out result);
}

/// <summary>Id of something that a host was set to.</summary>
[JsonConverter(typeof(TypedIdJson<PreparationId>))]
public readonly record struct PreparationId(Guid Value) : ITypedId<PreparationId>, IParsable<PreparationId>
{
    public static PreparationId From(Guid value) => new(value);
    public static PreparationId New(TimeProvider time) => new(Guid.CreateVersion7(time.GetUtcNow()));
    public override string ToString() => Value.ToString("D");
    public static PreparationId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out PreparationId result) => TypedId.TryParse(s, out result);
}

/// <summary>Id of a user account.</summary>
[JsonConverter(typeof(TypedIdJson<UserId>))]
public readonly record struct UserId(Guid Value) : ITypedId<UserId>, IParsable<UserId>
{
    public static UserId From(Guid value) => new(value);
    public override string ToString() => Value.ToString("D");
    public static UserId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out UserId result) => TypedId.TryParse(s, out result);
}

/// <summary>Id of a personal access token.</summary>
[JsonConverter(typeof(TypedIdJson<TokenId>))]
public readonly record struct TokenId(Guid Value) : ITypedId<TokenId>, IParsable<TokenId>
{
    public static TokenId From(Guid value) => new(value);
    public static TokenId New(TimeProvider time) => new(Guid.CreateVersion7(time.GetUtcNow()));
    public override string ToString() => Value.ToString("D");
    public static TokenId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out TokenId result) => TypedId.TryParse(s, out result);
}

/// <summary>What the typed ids share.</summary>
public static class TypedId
{
    /// <summary>Accepts the plain `D` form only.</summary>
    public static bool TryParse<TId>(string? text, out TId id) where TId : struct, ITypedId<TId>
    {
        var ok = Guid.TryParseExact(text, "D", out var value);
        id = ok ? TId.From(value) : default;
        return ok;
    }
}

/// <summary>Writes a typed id as its UUID.</summary>
public sealed class TypedIdJson<TId> : JsonConverter<TId> where TId : struct, ITypedId<TId>
{
    public override TId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        TypedId.TryParse<TId>(reader.GetString(), out var id) ? id : throw new JsonException("Not a UUID.");

    public override void Write(Utf8JsonWriter writer, TId value, JsonSerializerOptions options) => writer.WriteStringValue(value.Value);
}
