using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Web.Vms;

/// <summary>A definition as JSON text for people: written indented, read with a message that says where it is wrong.</summary>
public static class DefinitionText
{
    private const int Most = 256 * 1024;
    private static readonly JsonSerializerOptions Indented = new(PortalJson.Options) { WriteIndented = true };

    public static string Write(VmDefinition definition) => JsonSerializer.Serialize(definition, Indented);

    /// <summary>Throws <see cref="PortalException"/> (Malformed) with line and column.</summary>
    public static VmDefinition Read(string text)
    {
        if (text.Length > Most)
            throw new PortalException(ErrorCode.TooLarge, "A definition has at most 256 KiB.");
        try
        {
            return JsonSerializer.Deserialize<VmDefinition>(text, PortalJson.Options) ?? throw new PortalException(ErrorCode.Malformed, "The definition is empty.");
        }
        catch (JsonException e)
        {
            throw new PortalException(ErrorCode.Malformed, e.LineNumber is { } line ? $"Line {line + 1}, column {e.BytePositionInLine + 1}: {e.Message.Split(" Path:")[0]}" : e.Message, e);
        }
    }
}
