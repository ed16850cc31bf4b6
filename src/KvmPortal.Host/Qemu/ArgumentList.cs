using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Qemu;

/// <summary>Collects arguments. Everything with a user's value in it goes through <see cref="Json"/>, where nothing can break out.</summary>
internal sealed partial class ArgumentList
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly List<string> arguments = [];

    public IReadOnlyList<string> ToList() => arguments;

    public void Add(string option)
    {
        // A NUL would end the argument early, and what QEMU reads would not be what was checked.
        if (option.Contains('\0', StringComparison.Ordinal))
            throw new HostException(HostError.NotAllowed, "A value for QEMU contains a NUL character.");
        arguments.Add(option);
    }

    public void Add(string option, string value)
    {
        Add(option);
        Add(value);
    }

    /// <summary>An option whose value is a JSON object (`-device`, `-blockdev`, `-netdev`, `-object`).</summary>
    public void Json(string option, JsonObject value) => Add(option, value.ToJsonString(Plain));

    /// <summary>Doubles commas, QEMU's escape in key=value options; for names and paths where QEMU takes no JSON.</summary>
    public static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    /// <summary>A word that QEMU splits without any escape (a CPU model, a machine type): refused unless it is plain.</summary>
    public static string Word(string value) => Words().IsMatch(value) ? value : throw new HostException(HostError.NotAllowed, "A CPU model or machine type has characters that QEMU would misread.");

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._+-]*\z")]
    private static partial Regex Words();
}
