using System.Text.Json.Nodes;

namespace KvmPortal.Web.Hosting;

/// <summary>JSON merge patch (RFC 7396).</summary>
internal static class MergePatch
{
    /// <summary>Returns the target with the patch applied; the target is not changed.</summary>
    public static JsonObject Apply(JsonObject target, JsonObject patch)
    {
        var result = target.DeepClone().AsObject();
        foreach (var (name, value) in patch)
        {
            if (value is null)
                result.Remove(name);
            else if (value is JsonObject change)
                result[name] = Apply(result[name] as JsonObject ?? [], change);
            else
                result[name] = value.DeepClone();
        }

        return result;
    }
}
