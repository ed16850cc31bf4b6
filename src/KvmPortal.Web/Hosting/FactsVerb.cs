using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Host;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Hosting;

/// <summary>`facts [--root DIR] [--json]` and `facts [--root DIR] --capture FILE`: what this host is, or a captured tree; without a portal.</summary>
internal static class FactsVerb
{
    private const string Usage = "Usage: facts [--root DIR] [--json]   or   facts [--root DIR] --capture FILE";
    private static readonly JsonSerializerOptions Json = new(PortalJson.Options) { WriteIndented = true };

    /// <summary>Whether the program was started for this.</summary>
    public static bool Asked(string[] args) => args is ["facts", ..];

    /// <summary>Returns the exit code. Throws <see cref="PortalException"/> with what to say.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        var (root, capture, json) = Read(args);
        if (capture is not null)
            await CaptureAsync(root, capture);
        else if (json)
            await Console.Out.WriteLineAsync(JsonSerializer.Serialize(LinuxMachineHost.ReadInventory(root), Json));
        else
            await Console.Out.WriteAsync(FactsText.Of(LinuxMachineHost.ReadInventory(root)));
        return 0;
    }

    private static async Task CaptureAsync(string root, string file)
    {
        try
        {
            int files;
            // For its owner only: it tells much about a host, though not who it is.
            await using (var output = new FileStream(file, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
                files = LinuxMachineHost.CaptureInventory(root, output);
            await Console.Out.WriteLineAsync($"Captured {files} files to {file} ({new FileInfo(file).Length} bytes), without serial numbers, hardware addresses, UUIDs, IP addresses and host names.");
            await Console.Out.WriteLineAsync("Look through it before you send it: names of mount points, volumes and network interfaces are in it.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PortalException(ErrorCode.Malformed, $"--capture: {file} cannot be written: {e.Message}");
        }
    }

    private static (string Root, string? Capture, bool Json) Read(string[] args)
    {
        (var root, string? capture, var json) = ("/", null, false);
        for (var i = 1; i < args.Length; i++)
        {
            var (name, value) = args[i].Split('=', 2) is [var n, var v] ? (n, v) : (args[i], null);
            if (name == "--json" && value is null)
            {
                json = true;
                continue;
            }

            if (name is not ("--root" or "--capture"))
                throw new PortalException(ErrorCode.Malformed, $"There is no option {(name.Length > 64 ? name[..64] : name)}. {Usage}");
            value ??= i + 1 < args.Length ? args[++i] : throw new PortalException(ErrorCode.Malformed, Usage);
            if (name == "--capture")
                capture = Path.GetFullPath(value);
            else
                root = Directory.Exists(value) ? Path.GetFullPath(value) : throw new PortalException(ErrorCode.Malformed, $"--root: there is no directory {value}.");
        }

        return json && capture is not null ? throw new PortalException(ErrorCode.Malformed, Usage) : (root, capture, json);
    }
}
