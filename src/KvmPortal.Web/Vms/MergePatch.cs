using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Vms;

/// <summary>JSON merge patch (RFC 7396) on a definition: objects merge, null takes a member away (its default counts again), anything else replaces.</summary>
internal static class MergePatch
{
    public static VmDefinition Apply(VmDefinition current, JsonElement patch)
    {
        if (patch.ValueKind != JsonValueKind.Object)
            throw new JsonException("Give an object.");
        var merged = Merge(JsonSerializer.SerializeToNode(current, PortalJson.Options), JsonNode.Parse(patch.GetRawText(), documentOptions: new JsonDocumentOptions { MaxDepth = 32, AllowDuplicateProperties = false }));
        return ApiRoutes.Read<VmDefinition>(JsonSerializer.SerializeToElement(merged, PortalJson.Options));
    }

    private static JsonNode? Merge(JsonNode? target, JsonNode? patch)
    {
        if (patch is not JsonObject changes)
            return patch?.DeepClone();
        var result = target as JsonObject ?? [];
        foreach (var (name, value) in changes)
        {
            if (value is null)
                result.Remove(name);
            else
                result[name] = Merge(result[name], value);
        }

        return result;
    }
}
