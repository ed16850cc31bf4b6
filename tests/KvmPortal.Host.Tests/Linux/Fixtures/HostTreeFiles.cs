using System.Text;

namespace KvmPortal.Host.Tests.Linux.Fixtures;

/// <summary>The kernel's files of a made-up host, in memory: files, links and folders by absolute path, written to a folder when asked for.</summary>
public sealed class HostTreeFiles
{
    private readonly SortedDictionary<string, (byte[]? Content, string? Target)> entries = new(StringComparer.Ordinal);

    /// <summary>Every file, link and (empty) folder, sorted.</summary>
    public IReadOnlyList<string> Paths => [.. entries.Keys];

    public bool IsFile(string path) => entries.TryGetValue(path, out var entry) && entry.Content is not null;

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

    /// <summary>Takes the named entries away, not what is below them.</summary>
    public HostTreeFiles RemoveAll(IEnumerable<string> paths)
    {
        foreach (var path in paths)
            entries.Remove(path);
        return this;
    }

    /// <summary>Writes all of it below a folder that is gone when the result is disposed; in memory where the host offers that, for there are thousands of files.</summary>
    public Written WriteOut()
    {
        var written = new Written(Directory.Exists("/dev/shm") ? Directory.CreateDirectory($"/dev/shm/kp-{Guid.NewGuid():N}").FullName : Directory.CreateTempSubdirectory("kp-").FullName);
        WriteTo(written.Root);
        return written;
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

/// <summary>A host's files in a folder.</summary>
public sealed class Written(string root) : IDisposable
{
    public string Root => root;

    public void Dispose() => Directory.Delete(root, recursive: true);
}
