using System.Security.Cryptography;
using System.Text;
using KvmPortal.Engine;
using KvmPortal.Host.Contract;
using HostOptions = KvmPortal.Host.HostOptions;

namespace KvmPortal.Web.Hosting;

/// <summary>All settings of the portal, read once at start. Every key has a default; a wrong value stops the start with the key's name.</summary>
public sealed record PortalSettings(EngineOptions Engine, HostOptions Host, ConsoleSettings Consoles)
{
    /// <summary>Names of the settings that the configuration may have; kept in config-keys.txt.</summary>
    public static IReadOnlyList<string> Keys { get; } =
    [
        "data", "urls", "simulated", "Engine:ParallelJobs", "Engine:ParallelHeavySteps", "Engine:MachineUids", "Engine:WarnFreePercent", "Engine:WarnFreeGiB",
        "Host:RunRoot", "Host:QemuBinary", "Host:ImageFolders", "Host:KvmProofSeconds", "Host:MaxImageGiB", "Host:RequiredMeasures", "Host:Launcher", "Consoles:EmbedOrigins",
    ];

    /// <summary>Throws <see cref="PortalException"/> with the key and what would be right.</summary>
    public static PortalSettings Read(IConfiguration configuration)
    {
        foreach (var child in new[] { "Engine", "Host", "Consoles" }.SelectMany(section => configuration.GetSection(section).GetChildren()))
            if (!Keys.Contains(child.Path, StringComparer.OrdinalIgnoreCase))
                throw new PortalException(ErrorCode.Invalid, $"There is no setting {child.Path}. There are: {string.Join(", ", Keys)}.");
        var data = Path.GetFullPath(configuration["data"] ?? "data");
        var simulated = configuration["simulated"] is null ? (int?)null : Number(configuration, "simulated", 0, 0, 100_000);
        return new PortalSettings(
            new EngineOptions
            {
                DataRoot = data,
                Simulated = simulated,
                ParallelJobs = Number(configuration, "Engine:ParallelJobs", 32, 1, 256),
                ParallelHeavySteps = Number(configuration, "Engine:ParallelHeavySteps", Math.Max(4, Environment.ProcessorCount * 2), 1, 256),
                MachineUids = Uids(configuration),
                WarnFreePercent = Number(configuration, "Engine:WarnFreePercent", 5, 0, 50),
                WarnFreeGiB = Number(configuration, "Engine:WarnFreeGiB", 2, 0, 10_000),
            },
            new HostOptions
            {
                DataRoot = data,
                RunRoot = configuration["Host:RunRoot"] ?? DefaultRunRoot(data),
                QemuBinary = configuration["Host:QemuBinary"] ?? "qemu-system-x86_64",
                ImageFolders = List(configuration, "Host:ImageFolders", Path.IsPathRooted, "an absolute path"),
                KvmProofSeconds = Number(configuration, "Host:KvmProofSeconds", 5, 1, 60),
                Systemd = (configuration["Host:Launcher"] ?? "auto") switch { "auto" => null, "systemd" => true, "own" => false, _ => throw Wrong("Host:Launcher", "auto, systemd or own") },
                RequiredMeasures = configuration.GetSection("Host:RequiredMeasures").Exists()
                    ? List(configuration, "Host:RequiredMeasures", Measures.All.Contains, $"one of {string.Join(", ", Measures.All)}") : [Measures.NoNewPrivileges, Measures.Seccomp],
                MaxImageGiB = Number(configuration, "Host:MaxImageGiB", 256, 1, 65_536),
            },
            new ConsoleSettings(List(configuration, "Consoles:EmbedOrigins", IsOrigin, "an origin such as https://example.org")));
    }

    /// <summary>Short, because a unix socket's path ends at 107 bytes, and unique to the data directory.</summary>
    private static string DefaultRunRoot(string data)
    {
        var own = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(data)))[..8];
        // Only root can write below /run.
        return Environment.IsPrivilegedProcess ? $"/run/kvmportal/{own}"
            : Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } session && Directory.Exists(session) ? $"{session}/kvmportal/{own}" : Path.Combine(data, "run");
    }

    private static int Number(IConfiguration configuration, string key, int fallback, int least, int most)
    {
        if (configuration[key] is not { } text)
            return fallback;
        return int.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var value) && value >= least && value <= most ? value : throw Wrong(key, $"a whole number from {least} to {most}");
    }

    /// <summary>`70000-73999`, or `off`.</summary>
    private static (int, int)? Uids(IConfiguration configuration)
    {
        const string key = "Engine:MachineUids";
        var text = configuration[key] ?? "70000-73999";
        if (text == "off")
            return null;
        return text.Split('-') is [var a, var b] && int.TryParse(a, out var first) && int.TryParse(b, out var last) && first is >= 1000 && last >= first && last < 65_534 + 1_000_000_000
            ? (first, last) : throw Wrong(key, "a range of user ids that nobody else has, such as 70000-73999, or off");
    }

    private static List<string> List(IConfiguration configuration, string key, Func<string, bool> right, string what)
    {
        var values = configuration.GetSection(key).GetChildren().Select(c => c.Value ?? "").ToList();
        if (values.Count == 0 && configuration[key] is { Length: > 0 } one)
            values = [.. one.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)];
        return values.All(right) ? values : throw Wrong(key, $"a list in which every entry is {what}");
    }

    private static bool IsOrigin(string text) => Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.GetLeftPart(UriPartial.Authority) == text.TrimEnd('/');

    private static PortalException Wrong(string key, string right) => new(ErrorCode.Invalid, $"The setting {key} must be {right}.");
}

/// <param name="EmbedOrigins">Origins whose pages may embed consoles in an iframe.</param>
public sealed record ConsoleSettings(IReadOnlyList<string> EmbedOrigins);
