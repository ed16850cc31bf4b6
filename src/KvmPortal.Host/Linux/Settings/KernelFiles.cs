using System.Text;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;
using KvmPortal.Host.Linux.Inventory;

namespace KvmPortal.Host.Linux.Settings;

/// <summary>Reads and writes values in the kernel's files (and in one file of /etc); paths are absolute as the host sees them. What writing does is given, so that tests can give a kernel that refuses.</summary>
internal sealed class KernelFiles(Func<string, string?> read, Func<string, IReadOnlyList<string>> names, Action<string, string> write)
{
    /// <summary>Below a root: this host's files, or those of a tree.</summary>
    public static KernelFiles Of(string root)
    {
        var top = root.TrimEnd('/');
        var tree = new HostTree(root);
        return new KernelFiles(path => tree.Text(path), tree.Names, (path, text) =>
        {
            // Links are followed below the root only.
            var real = top + (tree.Resolve(path) ?? throw new FileNotFoundException($"There is no {path}."));
            // Kernel files take a value in one write and cannot be replaced; a plain file is replaced whole, so that nobody ever sees half of it.
            if (top.Length == 0 && !path.StartsWith("/etc/", StringComparison.Ordinal))
                WriteAtOnce(real, text);
            else
                Replace(real, text);
        });
    }

    /// <summary>A file's text without the line end; null where it is missing or cannot be read.</summary>
    public string? Text(string path) => read(path);

    /// <summary>Names in a folder, sorted.</summary>
    public IReadOnlyList<string> Names(string path) => names(path);

    /// <summary>What a file says: of `always [madvise] never` the choice, of a file in /etc the value in question, else the text.</summary>
    public string? Value(string path)
    {
        if (read(path) is not { } text)
            return null;
        if (IrqbalanceFile.Is(path))
            return IrqbalanceFile.Value(text);
        var (open, close) = (text.IndexOf('['), text.IndexOf(']'));
        return open >= 0 && close > open ? text[(open + 1)..close] : string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    public long? Number(string path) => long.TryParse(Value(path), System.Globalization.CultureInfo.InvariantCulture, out var number) ? number : null;

    public CpuSet? Cpus(string path) => Value(path) is { } text && CpuSet.TryParse(text, out var set) ? set : null;

    /// <summary>Throws what the kernel says.</summary>
    public void Write(string path, string value) => write(path, IrqbalanceFile.Is(path) ? IrqbalanceFile.With(read(path) ?? "", value) : value);

    /// <summary>Whether two texts mean the same to this file.</summary>
    public static bool Same(string path, string? a, string? b)
    {
        if (a is null || b is null || a == b)
            return a == b;
        if (path.EndsWith("_list", StringComparison.Ordinal) || IrqbalanceFile.Is(path))
            return CpuSet.TryParse(a, out var left) && CpuSet.TryParse(b, out var right) && left == right;
        if (path.EndsWith("default_smp_affinity", StringComparison.Ordinal))
            return CpuSet.TryParseMask(a, out var first) && CpuSet.TryParseMask(b, out var second) && first == second;
        return path.Contains("/parameters/", StringComparison.Ordinal) && Flag(a) is { } one && one == Flag(b);
    }

    private static bool? Flag(string text) => text switch
    {
        "Y" or "y" or "1" => true,
        "N" or "n" or "0" => false,
        _ => null,
    };

    private static void WriteAtOnce(string path, string text)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        file.Write(Encoding.UTF8.GetBytes(text + "\n"));
    }

    private static void Replace(string path, string text)
    {
        var part = Path.Combine(Path.GetDirectoryName(path)!, $".{Path.GetFileName(path)}.kvmportal");
        File.WriteAllText(part, text + "\n");
        File.SetUnixFileMode(part, File.GetUnixFileMode(path));
        LinuxFiles.Publish(part, path, replace: true);
    }
}

/// <summary>The one setting of irqbalance's environment file that the portal edits; everything else in it stays as it is.</summary>
internal static class IrqbalanceFile
{
    /// <summary>Debian's and Red Hat's.</summary>
    public static IReadOnlyList<string> Paths { get; } = ["/etc/default/irqbalance", "/etc/sysconfig/irqbalance"];

    private const string Name = "IRQBALANCE_BANNED_CPULIST";

    public static bool Is(string path) => Paths.Contains(path);

    /// <summary>Its value; empty when it is not set.</summary>
    public static string Value(string text) => text.Split('\n').Select(l => l.Trim()).LastOrDefault(l => l.StartsWith(Name + "=", StringComparison.Ordinal))?[(Name.Length + 1)..].Trim().Trim('"', '\'') ?? "";

    /// <summary>The file with another value, without the line for an empty one.</summary>
    public static string With(string text, string value)
    {
        var lines = text.Split('\n').Where(l => !l.Trim().StartsWith(Name + "=", StringComparison.Ordinal)).ToList();
        while (lines.Count > 0 && lines[^1].Length == 0)
            lines.RemoveAt(lines.Count - 1);
        if (value.Length > 0)
            lines.Add($"{Name}={value}");
        return string.Join('\n', lines);
    }
}
