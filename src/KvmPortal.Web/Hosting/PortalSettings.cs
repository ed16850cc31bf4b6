using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using KvmPortal.Engine;
using HostOptions = KvmPortal.Host.HostOptions;

namespace KvmPortal.Web.Hosting;

/// <summary>
/// Every setting of the portal, read and checked once at the start. Sources, the later wins: appsettings.json, environment (<c>Host__QemuBinary</c>),
/// command line (<c>--Host:QemuBinary …</c>). A wrong value stops the start with a message that names the key.
/// </summary>
internal sealed record PortalSettings(EngineOptions Engine, HostOptions Host, IReadOnlyList<string> EmbedOrigins)
{
    /// <summary>The keys that exist; config-keys.txt is this list. Anything else in these sections is a spelling mistake and refused.</summary>
    public static IReadOnlyList<string> Keys { get; } =
    [
        "data", "simulated", "urls", "Consoles:EmbedOrigins", "Engine:ParallelJobs", "Host:ImageFolders", "Host:KvmProofSeconds", "Host:MaxImageGiB", "Host:QemuBinary", "Host:RunRoot",
    ];

    public static PortalSettings Read(IConfiguration configuration)
    {
        foreach (var section in new[] { "Consoles", "Engine", "Host" })
            foreach (var child in configuration.GetSection(section).GetChildren())
                if (!Keys.Contains(child.Path, StringComparer.OrdinalIgnoreCase))
                    throw new SettingsException($"There is no setting {child.Path}. There are: {string.Join(", ", Keys)}.");
        var data = Path.GetFullPath(configuration["data"] is { Length: > 0 } given ? given : "data");
        var engine = new EngineOptions
        {
            DataRoot = data,
            ParallelJobs = Number(configuration, "Engine:ParallelJobs", 1, 1024) ?? 32,
            Simulated = Number(configuration, "simulated", 0, 100_000),
        };
        var defaults = new HostOptions { DataRoot = data, RunRoot = RunRootOf(data) };
        var host = defaults with
        {
            RunRoot = configuration["Host:RunRoot"] is { Length: > 0 } run ? Absolute("Host:RunRoot", run) : defaults.RunRoot,
            QemuBinary = configuration["Host:QemuBinary"] is { Length: > 0 } qemu ? qemu : defaults.QemuBinary,
            ImageFolders = [.. List(configuration, "Host:ImageFolders").Select(f => Absolute("Host:ImageFolders", f))],
            KvmProofSeconds = Number(configuration, "Host:KvmProofSeconds", 1, 600) ?? defaults.KvmProofSeconds,
            MaxImageGiB = Number(configuration, "Host:MaxImageGiB", 1, 65_536) ?? defaults.MaxImageGiB,
        };
        // A unix socket's path has at most 107 bytes; the rest is the portal's own short names.
        if (Encoding.UTF8.GetByteCount(host.RunRoot) > 50)
            throw new SettingsException($"Host:RunRoot is {host.RunRoot}: give a path of at most 50 bytes, because socket paths must stay short.");
        return new PortalSettings(engine, host, [.. List(configuration, "Consoles:EmbedOrigins").Select(Origin)]);
    }

    private static string RunRootOf(string data)
    {
        var own = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(data)))[..8];
        if (Environment.IsPrivilegedProcess)
            return $"/run/kvmportal/{own}";
        return Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } runtime && Directory.Exists(runtime) ? $"{runtime}/kvmportal/{own}" : $"/tmp/kvmportal-{Environment.UserName}/{own}";
    }

    private static int? Number(IConfiguration configuration, string key, int least, int most) =>
        configuration[key] is not { Length: > 0 } text ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most ? value
        : throw new SettingsException($"{key} is \"{text}\": give a whole number from {least} to {most}.");

    /// <summary>A JSON array, or one value with commas.</summary>
    private static IEnumerable<string> List(IConfiguration configuration, string key) =>
        configuration.GetSection(key).GetChildren().Select(c => c.Value ?? "").Concat((configuration[key] ?? "").Split(',')).Select(v => v.Trim()).Where(v => v.Length > 0);

    private static string Absolute(string key, string path) => Path.IsPathFullyQualified(path) ? Path.GetFullPath(path) : throw new SettingsException($"{key} is \"{path}\": give an absolute path.");

    private static string Origin(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.GetLeftPart(UriPartial.Authority).Equals(text.TrimEnd('/'), StringComparison.OrdinalIgnoreCase)
            ? uri.GetLeftPart(UriPartial.Authority) : throw new SettingsException($"Consoles:EmbedOrigins has \"{text}\": give origins like https://portal.example.org, without a path.");
}

/// <summary>The portal cannot start as it is told to; the message is for the operator.</summary>
internal sealed class SettingsException(string message, Exception? inner = null) : Exception(message, inner);
