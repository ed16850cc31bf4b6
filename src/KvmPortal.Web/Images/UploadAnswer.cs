using System.Text.Json;
using KvmPortal.Engine;

namespace KvmPortal.Web.Images;

/// <summary>Reads the problem details that an upload was refused with, as the browser hands them over: text that must not be trusted.</summary>
public static class UploadAnswer
{
    /// <param name="body">The answer's body; null when the connection broke.</param>
    /// <param name="broken">What to say when there is no readable answer.</param>
    public static ProblemInfo Read(string? body, string broken)
    {
        try
        {
            if (body is { Length: > 0 and < 65536 })
            {
                using var json = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 16 });
                if (Text(json.RootElement, "code") is { } code)
                    return new ProblemInfo { Code = code, Title = Text(json.RootElement, "detail") ?? Text(json.RootElement, "title") ?? "", Hint = Text(json.RootElement, "hint") };
            }
        }
        catch (JsonException)
        {
            // A proxy's own page, say: what follows is all that can be told.
        }

        return new ProblemInfo { Code = "upload-broken", Title = broken };
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
