using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using KvmPortal.Engine.Data;

namespace KvmPortal.Web.Hosting;

/// <summary>The portal's JSON dialect, stricter still: what comes from outside must have every member that is needed, and no null in a list.</summary>
internal static class WireJson
{
    public static JsonSerializerOptions Options { get; } = Configure(new JsonSerializerOptions());

    public static JsonSerializerOptions Configure(JsonSerializerOptions options)
    {
        options.TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { NoNullItems } };
        PortalJson.Configure(options);
        options.RespectRequiredConstructorParameters = true;
        return options;
    }

    /// <summary>The serializer knows of a list that it may not be null, but not of its items.</summary>
    private static void NoNullItems(JsonTypeInfo type)
    {
        if (type.Kind != JsonTypeInfoKind.Object || type.Type.Namespace?.StartsWith("KvmPortal", StringComparison.Ordinal) != true)
            return;
        var lists = type.Properties.Where(p => p.Get is not null && p.PropertyType.IsGenericType && p.PropertyType.GetGenericTypeDefinition() == typeof(IReadOnlyList<>) && !p.PropertyType.GenericTypeArguments[0].IsValueType).ToList();
        if (lists.Count > 0)
            type.OnDeserialized = read =>
            {
                foreach (var list in lists)
                    if (list.Get!(read) is IEnumerable<object?> items && items.Contains(null))
                        throw new JsonException($"Give no null in the list {list.Name}.");
            };
    }
}
