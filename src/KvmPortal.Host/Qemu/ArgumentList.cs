using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KvmPortal.Host.Qemu;

/// <summary>Collects arguments. Everything with a user's value in it goes through <see cref="Json"/>, where nothing can break out.</summary>
internal sealed class ArgumentList
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly List<string> arguments = [];

    public IReadOnlyList<string> ToList() => arguments;

    public void Add(string option) => arguments.Add(option);

    public void Add(string option, string value)
    {
        arguments.Add(option);
        arguments.Add(value);
    }

    /// <summary>An option whose value is a JSON object (`-device`, `-blockdev`, `-netdev`, `-object`).</summary>
    public void Json(string option, JsonObject value) => Add(option, value.ToJsonString(Plain));

    /// <summary>Doubles commas, QEMU's escape in key=value options; used for paths that the portal made.</summary>
    public static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);
}
