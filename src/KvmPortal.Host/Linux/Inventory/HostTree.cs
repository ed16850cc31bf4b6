using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using KvmPortal.Host.Contract;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>
/// The kernel's files below a root: this host's, or a tree captured elsewhere. Everything may be missing, endless or a loop. Links are followed by hand below the root, so
/// that no captured tree leads out of it. Paths are absolute as the host sees them.
/// </summary>
internal sealed partial class HostTree(string root)
{
    /// <summary>The most that is read of one file.</summary>
    private const int MaxBytes = 1 << 20;
    private const int MaxEntries = 20_000;
    private const int MaxLinks = 40;
    private const int Block = 16 * 1024;
    private const int NonBlocking = 0x800, NoTerminal = 0x100, CloseOnExec = 0x80000;
    private readonly string root = root.TrimEnd('/');
    private readonly ConcurrentDictionary<string, string?> folders = new(StringComparer.Ordinal);

    /// <summary>Called, by several threads, with each path that was looked at and found, and what was read of it; lets a capture take exactly what readers read.</summary>
    public Action<string, byte[]?>? Seen { get; init; }

    public bool IsThisHost => root.Length == 0;

    /// <summary>A file's text without the line end; null where it is missing or cannot be read.</summary>
    public string? Text(string path, int most = MaxBytes) => Bytes(path, most) is { } bytes ? Words(bytes).TrimEnd() : null;

    public string[] Lines(string path, int most = 16 * MaxBytes) => Bytes(path, most) is { } bytes ? Words(bytes).Split('\n') : [];

    // Some kernels fill the page of an attribute with zeros, and captures keep them.
    private static string Words(byte[] bytes) => Encoding.UTF8.GetString(bytes.AsSpan(0, bytes.AsSpan().IndexOf((byte)0) is >= 0 and var end ? end : bytes.Length));

    /// <summary>A file's whole number; null for anything else.</summary>
    public long? Number(string path) => long.TryParse(Text(path, 64), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    public int? Int(string path) => Number(path) is { } number and >= int.MinValue and <= int.MaxValue ? (int)number : null;

    /// <summary>A list of CPUs; null where the file is missing or says something else.</summary>
    public CpuSet? Cpus(string path) => Text(path, 64 * 1024) is { } text && CpuSet.TryParse(text, out var set) ? set : null;

    /// <summary>A list of CPUs, or (older kernels) the mask beside it.</summary>
    public CpuSet? Cpus(string list, string mask) => Cpus(list) ?? (Text(mask, 64 * 1024) is { } text && CpuSet.TryParseMask(text, out var set) ? set : null);

    /// <summary>Of `always [madvise] never` the word in brackets; a text without brackets as it is.</summary>
    public string? Choice(string path)
    {
        if (Text(path, 4096) is not { } text)
            return null;
        var (open, close) = (text.IndexOf('['), text.IndexOf(']'));
        return open >= 0 && close > open ? text[(open + 1)..close] : text.Length > 0 ? text : null;
    }

    /// <summary>Y, 1, on … ; null where it is missing or neither.</summary>
    public bool? Flag(string path) => Text(path, 64)?.Trim() switch
    {
        "Y" or "y" or "1" or "on" => true,
        "N" or "n" or "0" or "off" => false,
        _ => null,
    };

    public byte[]? Bytes(string path, int most)
    {
        if (Real(path) is not { } real)
            return null;
        using var file = Open(real, NonBlocking | NoTerminal | CloseOnExec);
        if (file.IsInvalid)
            return null;
        var block = ArrayPool<byte>.Shared.Rent(Block);
        try
        {
            // Kernel files have no length: they are read until nothing more comes.
            var read = Read(file, block, Math.Min(Block, most));
            if (read < 0)
                return null;
            using var all = new MemoryStream();
            while (read > 0)
            {
                all.Write(block, 0, (int)read);
                read = Read(file, block, (nint)Math.Min(Block, most - all.Length));
            }

            var content = all.ToArray();
            Seen?.Invoke(path, content);
            return content;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    /// <summary>Names in a folder, sorted; none where it is missing.</summary>
    public IReadOnlyList<string> Names(string path)
    {
        if (Real(path) is not { } real)
            return [];
        // A folder that is not there is the usual case, and an exception is dear.
        if (!Directory.Exists(real))
            return [];
        try
        {
            var names = Directory.EnumerateFileSystemEntries(real).Take(MaxEntries).Select(e => Path.GetFileName(e)).ToList();
            names.Sort(StringComparer.Ordinal);
            Seen?.Invoke(path, null);
            return names;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Numbered entries of a folder, e.g. cpu0, cpu1 … for the prefix cpu; in ascending order.</summary>
    public IEnumerable<int> Numbered(string path, string prefix) =>
        Names(path).Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).Select(n => int.TryParse(n.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var id) && $"{prefix}{id}" == n ? id : -1).Where(id => id >= 0).Order();

    public bool Exists(string path)
    {
        var there = Real(path) is { } real && Path.Exists(real);
        if (there)
            Seen?.Invoke(path, null);
        return there;
    }

    public bool IsFolder(string path)
    {
        var there = Real(path) is { } real && Directory.Exists(real);
        if (there)
            Seen?.Invoke(path, null);
        return there;
    }

    /// <summary>The last part of what a link points to (a driver, a group); null where there is no link.</summary>
    public string? Link(string path)
    {
        if ((IsThisHost ? Parent(path) : Folder(Parent(path))) is not { } folder)
            return null;
        var target = Target(folder + "/" + Name(path));
        if (target is null)
            return null;
        Seen?.Invoke(path, null);
        return Name(target.TrimEnd('/'));
    }

    /// <summary>Where a path really is, as the host sees it, links followed; null where it is missing.</summary>
    public string? Resolve(string path)
    {
        if (Folder(Parent(path)) is not { } folder || Follow(folder, Name(path)) is not { } real || !Path.Exists(real))
            return null;
        Seen?.Invoke(path, null);
        return real[root.Length..];
    }

    // On this host the kernel follows links itself.
    private string? Real(string path) => IsThisHost ? path : Folder(Parent(path)) is { } folder ? Follow(folder, Name(path)) : null;

    /// <summary>A folder's real path below the root.</summary>
    private string? Folder(string path) => path.Length <= 1 ? root : folders.GetOrAdd(path, p => Folder(Parent(p)) is { } above ? Follow(above, Name(p)) : null);

    /// <summary>An entry of a real folder, links followed below the root.</summary>
    private string? Follow(string folder, string name)
    {
        var links = 0;
        return Follow(folder, name, ref links);
    }

    private string? Follow(string folder, string name, ref int links)
    {
        var here = $"{folder}/{name}";
        if (Target(here) is not { } target)
            return here;
        if (++links > MaxLinks)
            return null;
        var at = target.StartsWith('/') ? root : folder;
        foreach (var part in target.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (part == ".")
                continue;
            if (part == "..")
                at = at.Length > root.Length ? at[..at.LastIndexOf('/')] : root;
            else if (Follow(at, part, ref links) is { } next)
                at = next;
            else
                return null;
        }

        return at;
    }

    private static string? Target(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string Parent(string path) => path.LastIndexOf('/') is > 0 and var at ? path[..at] : "/";

    private static string Name(string path) => path[(path.LastIndexOf('/') + 1)..];

    // Not File.Open: most files that are asked for are not there, a captured tree may hold a pipe without a writer, and the kernel's files have no length.
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle file, byte[] buffer, nint count);
}
