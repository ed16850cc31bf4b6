using System.Formats.Tar;
using System.IO.Compression;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>
/// Packs the kernel's files that the inventory reads into an archive, by reading the inventory and keeping what was looked at; so it holds what a reader that is added later
/// reads, and nothing else. Serial numbers, addresses and names of the host are left out.
/// </summary>
internal sealed class HostCapture(string root)
{
    private const int MaxLinks = 40;
    private readonly string root = root.TrimEnd('/');
    private readonly Dictionary<string, byte[]?> seen = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, (byte[]? Content, string? Target)> entries = new(StringComparer.Ordinal);
    private readonly Lock gate = new();

    /// <summary>Reads the host below the root and writes a gzipped tar of what that took; says how many files.</summary>
    public static int Write(string root, Stream output) => new HostCapture(root).Write(output);

    private int Write(Stream output)
    {
        InventoryReader.Read(new HostTree(root + "/") { Seen = Note });
        foreach (var (path, content) in seen.OrderBy(s => s.Key, StringComparer.Ordinal))
            if (CaptureWords.Clean(path, content) is (true, var clean))
                Place(path, clean);
        using var gzip = new GZipStream(output, CompressionLevel.Optimal, leaveOpen: true);
        using var tar = new TarWriter(gzip, TarEntryFormat.Pax);
        foreach (var (path, (content, target)) in entries)
            tar.WriteEntry(Entry(path, content, target));
        return entries.Values.Count(e => e.Content is not null);
    }

    private void Note(string path, byte[]? content)
    {
        lock (gate)
            if (!seen.TryGetValue(path, out var before) || content is not null && (before is null || before.Length < content.Length))
                seen[path] = content;
    }

    /// <summary>Puts a path into the archive with the links on the way to it.</summary>
    private void Place(string path, byte[]? content, int links = 0)
    {
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        var at = "";
        for (var i = 0; i < parts.Length; i++)
        {
            at += "/" + parts[i];
            // Links in /proc are about the process that reads.
            if (at.StartsWith("/proc/", StringComparison.Ordinal) || new FileInfo(root + at).LinkTarget is not { } target)
                continue;
            entries[at] = (null, Relative(at, target));
            if (links < MaxLinks && Join(at, target) is var next)
                Place(string.Join('/', [next, .. parts[(i + 1)..]]), content, links + 1);
            return;
        }

        if (content is null && Directory.Exists(root + at))
            Folder(at);
        else if (content is not null || Path.Exists(root + at))
            entries[at] = (content ?? [], null);
    }

    /// <summary>A folder with the names of its folders and links; its files are there if they were read.</summary>
    private void Folder(string path)
    {
        entries.TryAdd(path, (null, null));
        if (path == "/proc")
            return;
        foreach (var inner in new DirectoryInfo(root + path).EnumerateFileSystemInfos().Take(20_000))
            if (inner.LinkTarget is { } target)
                entries.TryAdd($"{path}/{inner.Name}", (null, Relative($"{path}/{inner.Name}", target)));
            else if (inner is DirectoryInfo)
                entries.TryAdd($"{path}/{inner.Name}", (null, null));
            else if (inner.Name.All(char.IsAsciiDigit))
                // Its name says it all: an interrupt in msi_irqs.
                entries.TryAdd($"{path}/{inner.Name}", ([], null));
    }

    /// <summary>An absolute target, as seen from the link.</summary>
    private static string Relative(string link, string target) =>
        target.StartsWith('/') ? string.Concat(Enumerable.Repeat("../", link.Count(c => c == '/') - 1)) + target.TrimStart('/') : target;

    private static string Join(string link, string target)
    {
        var parts = new Stack<string>(target.StartsWith('/') ? [] : link.Split('/', StringSplitOptions.RemoveEmptyEntries)[..^1]);
        foreach (var part in target.Split('/', StringSplitOptions.RemoveEmptyEntries))
            if (part == "..")
                parts.TryPop(out _);
            else if (part != ".")
                parts.Push(part);
        return "/" + string.Join('/', parts.Reverse());
    }

    private static PaxTarEntry Entry(string path, byte[]? content, string? target)
    {
        var entry = new PaxTarEntry(target is not null ? TarEntryType.SymbolicLink : content is null ? TarEntryType.Directory : TarEntryType.RegularFile, path[1..])
        {
            ModificationTime = DateTimeOffset.UnixEpoch,
            Mode = content is null ? (UnixFileMode)0b111_101_101 : (UnixFileMode)0b110_100_100,
        };
        if (target is not null)
            entry.LinkName = target;
        if (content is not null)
            entry.DataStream = new MemoryStream(content);
        return entry;
    }
}
