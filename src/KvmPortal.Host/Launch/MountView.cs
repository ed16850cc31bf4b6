using System.Globalization;
using System.Text;

namespace KvmPortal.Host.Launch;

/// <summary>A file or folder that a confined process sees at its own path, or at <paramref name="At"/>.</summary>
internal sealed record ViewFile(string Path, bool Writable = false, bool Device = false, string? At = null)
{
    /// <summary>What name resolution needs, behind the links that it may be.</summary>
    public static IEnumerable<ViewFile> Resolver()
    {
        foreach (var path in (string[])["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"])
            if ((File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path) is var real && File.Exists(real))
                yield return new ViewFile(real, At: path);
    }
}

/// <summary>
/// What one confined process may see of the file system: the system's programs read-only, a handful of device nodes, and just its own files, at the same paths
/// as outside. Prepared here as an empty tree of mount points and a table in fstab(5) form; mounted by the launcher in a mount namespace of its own.
/// </summary>
internal sealed class MountView
{
    private static readonly string[] System = ["bin", "sbin", "lib", "lib64", "lib32", "libx32"];
    private static readonly string[] Devices = ["null", "zero", "full", "random", "urandom"];
    private const UnixFileMode Passable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;
    private readonly string folder;
    private readonly StringBuilder table = new();

    /// <param name="folder">Replaced if it exists; only root may look into it.</param>
    /// <param name="files">What the process may see besides the system's programs.</param>
    public MountView(string folder, IEnumerable<ViewFile> files)
    {
        this.folder = folder;
        Remove(folder);
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Make(Root);
        // A mount point of its own, because only such a one can become the root.
        Line(Root, Root, "bind");
        Bind("/usr");
        foreach (var name in System)
        {
            var path = "/" + name;
            if (new DirectoryInfo(path) is not { Exists: true } entry)
                continue;
            if (entry.LinkTarget is { } target)
                File.CreateSymbolicLink(Root + path, target);
            else
                Bind(path);
        }

        foreach (var name in Devices)
            Bind($"/dev/{name}", writable: true, device: true);
        Make(Root + "/proc");
        // Other processes stay invisible, whatever the host's own /proc shows.
        Line("proc", Root + "/proc", "nosuid,nodev,noexec,hidepid=invisible", "proc");
        Make(Old);
        foreach (var file in files)
            Bind(file.Path, file.Writable, file.Device, file.At);
        File.WriteAllText(Table, table.ToString());
    }

    public string Root => Path.Combine(folder, "root");
    public string Table => Path.Combine(folder, "fstab");

    /// <summary>Where the host's file system hangs until it is detached.</summary>
    public string Old => Path.Combine(Root, "old");

    /// <summary>Shows a file or folder at its own path. Missing ones are left out: the process then says itself what it misses.</summary>
    private void Bind(string path, bool writable = false, bool device = false, string? shownAt = null)
    {
        var isFile = File.Exists(path);
        if (!isFile && !Directory.Exists(path))
            return;
        var at = Root + (shownAt ?? path);
        if (isFile)
        {
            Make(Path.GetDirectoryName(at)!);
            if (!File.Exists(at))
                File.Create(at).Dispose();
        }
        else
            Make(at);
        Line(path, at, $"bind,nosuid{(writable ? "" : ",ro")}{(device ? ",noexec" : ",nodev")}");
    }

    /// <summary>Removes the tree; nothing is mounted on it outside the namespace.</summary>
    public static void Remove(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    /// <summary>Everybody may pass, whatever the portal's own umask is: inside the view these are the only folders.</summary>
    private static void Make(string path)
    {
        if (Directory.Exists(path))
            return;
        Make(Path.GetDirectoryName(path)!);
        Directory.CreateDirectory(path);
        File.SetUnixFileMode(path, Passable);
    }

    private void Line(string source, string target, string options, string type = "none") =>
        table.Append(CultureInfo.InvariantCulture, $"{Escape(source)} {Escape(target)} {type} {options} 0 0\n");

    /// <summary>fstab(5): white space and backslashes as octal numbers.</summary>
    private static string Escape(string path)
    {
        var text = new StringBuilder(path.Length);
        foreach (var c in path)
            _ = c is ' ' or '\t' or '\n' or '\\' or '#' ? text.Append(CultureInfo.InvariantCulture, $"\\{Convert.ToString(c, 8).PadLeft(3, '0')}") : text.Append(c);
        return text.ToString();
    }
}
