using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Linux;

/// <summary>An inventory as JSON that people can compare: a line for each CPU, device and setting.</summary>
internal static class InventoryJson
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
    };

    public static string Of(HostInventory host)
    {
        var text = new StringBuilder("{\n");
        var members = JsonSerializer.SerializeToNode(host, Options)!.AsObject().ToList();
        foreach (var (name, value) in members)
        {
            text.Append($"  \"{name}\": ");
            text.Append(value switch
            {
                JsonArray { Count: > 0 } array => Lines("[", array.Select(Compact), "]"),
                JsonObject { Count: > 0 } o => Lines("{", o.Select(m => $"{JsonSerializer.Serialize(m.Key, Options)}: {Compact(m.Value)}"), "}"),
                _ => Compact(value),
            });
            text.Append(name == members[^1].Key ? "\n" : ",\n");
        }

        return text.Append("}\n").ToString();
    }

    private static string Lines(string open, IEnumerable<string> lines, string close) => $"{open}\n    {string.Join(",\n    ", lines)}\n  {close}";

    private static string Compact(JsonNode? node) => node?.ToJsonString(Options) ?? "null";
}
