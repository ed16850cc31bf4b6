using System.Text;
using System.Text.RegularExpressions;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>What a capture may tell of each file: what the readers use, without serial numbers, addresses, identities and other people's business.</summary>
internal static partial class CaptureWords
{
    /// <summary>Whether the file is kept, and with what content.</summary>
    public static (bool Keep, byte[]? Content) Clean(string path, byte[]? content)
    {
        if (Process().Match(path) is { Success: true } process)
            return (content is not null, content is null ? null : Comm(process.Groups[1].Value, content));
        if (content is null)
            return (true, null);
        if (path.StartsWith("/sys/firmware/dmi/entries/", StringComparison.Ordinal))
            // After the structure come its texts: serial numbers, asset tags.
            return (true, content.Length > 1 ? content[..Math.Min(content.Length, Math.Max(12, (int)content[1]))] : content);
        if (content.Contains((byte)0))
            return (true, content);
        var text = Encoding.UTF8.GetString(content);
        return (true, Encoding.UTF8.GetBytes(Identity().Replace(path switch
        {
            "/proc/cmdline" => KernelReader.Clean(text),
            "/proc/mounts" => Lines(text, Mount),
            "/proc/self/mountinfo" => Lines(text, l => l.Split(' ') is [_, _, var device, _, var at, ..] && !device.StartsWith("0:", StringComparison.Ordinal) ? $"1 1 {device} / {at}" : null),
            "/proc/cpuinfo" => Lines(text, l => l.StartsWith("Serial", StringComparison.Ordinal) || l.Contains("identification", StringComparison.Ordinal) ? null : l),
            "/proc/version" => Parentheses().Replace(text, "(…)"),
            "/etc/passwd" => Lines(text, l => l.Split(':') is [var name, _, var uid, ..] && uid.Length >= 5 ? $"{name}:x:{uid}" : null),
            "/var/lib/dpkg/status" => Packages(text),
            _ when path.EndsWith("/dm/uuid", StringComparison.Ordinal) => string.Join('-', text.Split('-').Take(2)) + "-",
            _ => text,
        }, "…")));
    }

    // The names of programs that do not matter are nobody's business; that there are processes is told by the second one.
    private static byte[] Comm(string pid, byte[] content) =>
        pid == "1" || KernelReader.Telling.Contains(Encoding.UTF8.GetString(content).Trim()) ? content : "-\n"u8.ToArray();

    private static string? Mount(string line) =>
        line.Split(' ') is [var device, var at, var type, ..] && (device.StartsWith("/dev/", StringComparison.Ordinal) || type.StartsWith("cgroup", StringComparison.Ordinal)) ? $"{device} {at} {type} - 0 0" : null;

    private static string Packages(string text)
    {
        var kept = new StringBuilder();
        foreach (var package in text.Split("\n\n").Where(p => SoftwareReader.Names.Contains(Field(p, "Package: ") ?? "")))
            kept.Append(System.Globalization.CultureInfo.InvariantCulture, $"Package: {Field(package, "Package: ")}\nStatus: {Field(package, "Status: ")}\nVersion: {Field(package, "Version: ")}\n\n");
        return kept.ToString();
    }

    private static string? Field(string package, string name) => package.Split('\n').FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal))?[name.Length..];

    private static string Lines(string text, Func<string, string?> keep) => string.Concat(text.Split('\n').Where(l => l.Length > 0).Select(keep).OfType<string>().Select(l => l + "\n"));

    [GeneratedRegex(@"^/proc/(\d+)/comm$", RegexOptions.CultureInvariant)]
    private static partial Regex Process();

    [GeneratedRegex(@"\([^()]*@[^()]*\)", RegexOptions.CultureInvariant)]
    private static partial Regex Parentheses();

    [GeneratedRegex(@"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])", RegexOptions.CultureInvariant)]
    private static partial Regex Identity();
}
