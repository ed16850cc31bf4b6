using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;

namespace KvmPortal.Host.Benchmarks;

/// <summary>The Linux that the throw-away guest runs, and the drivers of a disk that it does not have built in.</summary>
/// <param name="Modules">Files in the order in which they are loaded.</param>
internal sealed record GuestKernel(string Path, string? Initrd, IReadOnlyList<string> Modules)
{
    private const int MostModules = 40;
    private static readonly string[] Wanted = ["virtio_pci", "virtio_mmio", "virtio_blk"];

    /// <summary>The given one, else the newest of /boot that can be read. Throws Missing.</summary>
    public static GuestKernel Find(HostPaths paths, string? kernel, string? initrd)
    {
        if (kernel is not null)
            return File.Exists(kernel) ? new GuestKernel(kernel, initrd, []) : throw new HostException(HostError.NotFound, "The kernel for the benchmark's guest is gone.");
        var boot = paths.In("boot");
        var newest = Directory.Exists(boot) ? Directory.EnumerateFiles(boot, "vmlinuz-*").Where(Readable).Select(f => new FileInfo(f)).OrderByDescending(f => f.LastWriteTimeUtc).ThenByDescending(f => f.Name, StringComparer.Ordinal).FirstOrDefault() : null;
        if (newest is null)
            throw new HostException(HostError.Missing, "There is no kernel in /boot for the benchmark's guest.") { Hint = "Register a Linux kernel as an image and name it when you start the benchmark." };
        return new GuestKernel(newest.FullName, null, ModulesOf(paths, newest.Name["vmlinuz-".Length..]));
    }

    private static bool Readable(string file)
    {
        try
        {
            using var opened = File.OpenHandle(file);
            return RandomAccess.GetLength(opened) > 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>After what they need, by the kernel's own list; what is built in is not in it.</summary>
    internal static List<string> ModulesOf(HostPaths paths, string version)
    {
        var folder = paths.In($"lib/modules/{version}");
        var needs = new Dictionary<string, string[]>(StringComparer.Ordinal);
        foreach (var line in (HostPaths.Read(System.IO.Path.Combine(folder, "modules.dep")) ?? "").Split('\n'))
            if (line.IndexOf(':', StringComparison.Ordinal) is > 0 and var end)
                needs[line[..end]] = line[(end + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var taken = new List<string>();
        foreach (var name in Wanted)
            if (needs.Keys.FirstOrDefault(f => Name(f) == name) is { } file)
                Take(file, 0);
        return taken;

        void Take(string file, int depth)
        {
            var path = System.IO.Path.GetFullPath(System.IO.Path.Combine(folder, file));
            if (depth > 10 || taken.Count >= MostModules || taken.Contains(path) || !path.StartsWith(folder, StringComparison.Ordinal) || !File.Exists(path))
                return;
            foreach (var needed in needs.GetValueOrDefault(file, []))
                Take(needed, depth + 1);
            if (!taken.Contains(path))
                taken.Add(path);
        }
    }

    private static string Name(string file) => System.IO.Path.GetFileName(file).Split('.')[0].Replace('-', '_');
}
