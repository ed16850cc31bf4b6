using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;

namespace KvmPortal.Web.Hosting;

/// <summary>Reads JSON bodies strictly: bounded, UTF-8, no unknown or doubled members; what is wrong is named by its pointer.</summary>
internal static class JsonBody
{
    private const int MostBytes = 1 << 20;
    private const string NotText = "A text in the body is not valid Unicode.";

    // Stored JSON may lack what a newer version added; what comes from outside may not.
    private static readonly JsonSerializerOptions Strict = new(PortalJson.Options) { RespectRequiredConstructorParameters = true };

    public static async Task<T> ReadAsync<T>(HttpRequest request, CancellationToken ct) => Parse<T>(await BytesAsync(request, ct));

    /// <summary>An empty body reads as the defaults.</summary>
    public static async Task<T> ReadOptionalAsync<T>(HttpRequest request, CancellationToken ct) where T : new()
    {
        var bytes = await BytesAsync(request, ct, allowEmpty: true);
        return bytes.Length == 0 ? new T() : Parse<T>(bytes);
    }

    public static async Task<JsonObject> ReadObjectAsync(HttpRequest request, CancellationToken ct)
    {
        var bytes = await BytesAsync(request, ct);
        try
        {
            var read = JsonNode.Parse(bytes, null, new JsonDocumentOptions { MaxDepth = 32, AllowDuplicateProperties = false }) as JsonObject ?? throw Wrong("", "An object is needed.");
            // Nodes are read lazily: half of a surrogate pair shows only when it is written.
            JsonSerializer.SerializeToUtf8Bytes(read);
            return read;
        }
        catch (JsonException e)
        {
            throw Wrong("", $"This is not JSON: {Plain(e)}");
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            throw Wrong("", NotText);
        }
    }

    public static T Convert<T>(JsonObject json) => Parse<T>(JsonSerializer.SerializeToUtf8Bytes(json));

    private static T Parse<T>(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(bytes, Strict) ?? throw Wrong("", "null is not allowed here.");
        }
        catch (JsonException e) when (e.Message.Contains("missing required properties", StringComparison.Ordinal))
        {
            throw Missing(Pointer(e.Path), e.Message[e.Message.IndexOf(':', StringComparison.Ordinal)..].Split('\'').Where((_, i) => i % 2 == 1));
        }
        catch (JsonException e)
        {
            throw Wrong(Pointer(e.Path), Plain(e));
        }
        catch (NotSupportedException e)
        {
            // What says of which kind an object is has been left out.
            throw Wrong(Pointer(e.Message.Split("Path: ") is [_, var rest, ..] ? rest.Split(" |")[0].TrimEnd('.') : null), "The member kind is missing.");
        }
        catch (InvalidOperationException)
        {
            throw Wrong("", NotText);
        }
    }

    private static async Task<byte[]> BytesAsync(HttpRequest request, CancellationToken ct, bool allowEmpty = false)
    {
        var type = request.ContentType?.Split(';')[0].Trim();
        if (type is not (null or "application/json" or "application/merge-patch+json") && !(allowEmpty && request.ContentLength is null or 0))
            throw new BadHttpRequestException("Not JSON.", StatusCodes.Status415UnsupportedMediaType);
        if (request.ContentLength > MostBytes)
            throw new PortalException(ErrorCode.TooLarge, "A JSON body has at most 1 MiB.");
        using var buffer = new MemoryStream();
        var chunk = new byte[16 * 1024];
        while (await request.Body.ReadAsync(chunk, ct) is > 0 and var read)
        {
            if (buffer.Length + read > MostBytes)
                throw new PortalException(ErrorCode.TooLarge, "A JSON body has at most 1 MiB.");
            buffer.Write(chunk, 0, read);
        }

        if (!Utf8.IsValid(buffer.GetBuffer().AsSpan(0, (int)buffer.Length)))
            throw Wrong("", "The body is not valid UTF-8.");
        return buffer.Length > 0 || allowEmpty ? buffer.ToArray() : throw Wrong("", "A JSON body is needed.");
    }

    /// <summary>From the serialiser's `$.disks[0].name` to `/disks/0/name`.</summary>
    private static string Pointer(string? path)
    {
        if (path is null or "$")
            return "";
        var pointer = new StringBuilder();
        foreach (var part in path[1..].Split('.', '[').Where(p => p.Length > 0))
            pointer.Append('/').Append(part.TrimEnd(']').Trim('\''));
        return pointer.ToString();
    }

    /// <summary>The serialiser's sentence without .NET's type names and positions.</summary>
    private static string Plain(JsonException e)
    {
        var text = e.Message.Split(" Path:")[0];
        if (text.Contains("could not be mapped to any .NET member", StringComparison.Ordinal))
            return $"There is no member \"{text.Split('\'')[1]}\".";
        return text.Contains("could not be converted", StringComparison.Ordinal) || text.Contains("KvmPortal", StringComparison.Ordinal) ? "The value is of the wrong type or not one of those allowed." : text;
    }

    private static PortalException Missing(string pointer, IEnumerable<string> names)
    {
        var problems = names.Select(n => new Problem($"{pointer}/{n}", "required", $"The member {n} is missing.")).ToList();
        return new PortalException(ErrorCode.Malformed, string.Join(' ', problems.Select(p => p.Message))) { Problems = problems };
    }

    private static PortalException Wrong(string pointer, string message) => new(ErrorCode.Malformed, message) { Problems = [new Problem(pointer, "invalid-json", message)] };
}
