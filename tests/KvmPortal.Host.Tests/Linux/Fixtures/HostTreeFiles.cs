using System.Text;

namespace KvmPortal.Host.Tests.Linux.Fixtures;

/// <summary>The kernel's files of a made-up host, in memory: files, links and folders by absolute path, written to a folder when asked for.</summary>
public sealed class HostTreeFiles
{
    private readonly SortedDictionary<string, (byte[]? Content, string? Target)> entries = new(StringComparer.Ordinal);

    /// <summary>Every file, link and (empty) folder, sorted.</summary>
    public IReadOnlyList<string> Paths => [.. entries.Keys];

    /// <summary>A text file; the line end is added as the kernel does.</summary>
    public HostTreeFiles File(string path, string text) => Bytes(path, Encoding.UTF8.GetBytes(text.EndsWith('\n') ? text : text + "\n"));

    public HostTreeFiles Bytes(string path, byte[] content)
    {
        entries[path] = (content, null);
        return this;
    }

    /// <summary>A symbolic link; the target is relative to the root and written as the kernel does, relative to the link.</summary>
    public HostTreeFiles Link(string path, string target)
    {
        var (from, to) = (path.Split('/')[1..^1], target.Split('/')[1..]);
        var same = 0;
        while (same < from.Length && same < to.Length && from[same] == to[same])
            same++;
        return RawLink(path, string.Concat(Enumerable.Repeat("../", from.Length - same)) + string.Join('/', to[same..]));
    }

    /// <summary>A symbolic link to just this text.</summary>
    public HostTreeFiles RawLink(string path, string target)
    {
        entries[path] = (null, target);
        return this;
    }

    public HostTreeFiles Folder(string path)
    {
        entries[path] = (null, null);
        return this;
    }

    /// <summary>Takes an entry away, and everything below it.</summary>
    public HostTreeFiles Remove(string path)
    {
        foreach (var gone in entries.Keys.Where(p => p == path || p.StartsWith(path + "/", StringComparison.Ordinal)).ToList())
            entries.Remove(gone);
        return this;
    }

    /// <summary>Writes all of it below a folder.</summary>
    public void WriteTo(string root)
    {
        var made = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (path, (content, target)) in entries)
        {
            var folder = content is null && target is null ? root + path : Path.GetDirectoryName(root + path)!;
            if (made.Add(folder))
                Directory.CreateDirectory(folder);
            if (content is not null)
                System.IO.File.WriteAllBytes(root + path, content);
            else if (target is not null)
                System.IO.File.CreateSymbolicLink(root + path, target);
        }
    }
}
