using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux;

/// <summary>
/// Finds processes that run guests: by the name of their executable, and by an open KVM virtual machine (`anon_inode:kvm-vm` among their descriptors, which the
/// kernel shows to root only). Source: proc(5), virt/kvm/kvm_main.c.
/// </summary>
internal sealed class StrangerReader(HostPaths paths)
{
    private const int MostName = 128;

    /// <param name="portal">The portal's own process id: what it has just started, or proves KVM with, is its child.</param>
    /// <param name="own">Process ids of its machines.</param>
    public IReadOnlyList<Stranger> Read(int portal, IReadOnlySet<int> own)
    {
        var found = new List<Stranger>();
        foreach (var folder in Directory.EnumerateDirectories(paths.In("proc")))
            if (int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out var pid) && !own.Contains(pid) && Look(folder, pid, portal) is { } stranger)
                found.Add(stranger);
        return [.. found.OrderBy(s => s.Pid)];
    }

    private static Stranger? Look(string folder, int pid, int portal)
    {
        // Kernel threads have no executable, and a process may end at any moment of this.
        if (Link(Path.Combine(folder, "exe")) is not { } program)
            return null;
        var qemu = Path.GetFileName(program) is var name && (name.StartsWith("qemu-system-", StringComparison.Ordinal) || name.StartsWith("qemu-kvm", StringComparison.Ordinal));
        if (!qemu && !HoldsKvm(folder))
            return null;
        var stat = HostPaths.Read(Path.Combine(folder, "stat")) ?? "";
        var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length < 20 || fields[0] is "Z" or "X" || fields[1] == portal.ToString(CultureInfo.InvariantCulture))
            return null;
        var words = (HostPaths.Read(Path.Combine(folder, "cmdline")) ?? "").Split('\0');
        // What only asks QEMU for its abilities, or proves KVM, has no guest to show.
        if (words.SkipWhile(w => w is not ("-machine" or "-M")).Skip(1).FirstOrDefault()?.Split(',')[0] == "none")
            return null;
        return new Stranger(pid, long.Parse(fields[19], CultureInfo.InvariantCulture), qemu ? StrangerKind.Qemu : StrangerKind.KvmUser, Plain(program), UidOf(folder), NameOf(words));
    }

    private static bool HoldsKvm(string folder)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries(Path.Combine(folder, "fd")).Any(fd => Link(fd) == "anon_inode:kvm-vm");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static int UidOf(string folder) =>
        (HostPaths.Read(Path.Combine(folder, "status")) ?? "").Split('\n').FirstOrDefault(l => l.StartsWith("Uid:", StringComparison.Ordinal))?.Split('\t') is [_, var uid, ..]
            && int.TryParse(uid, CultureInfo.InvariantCulture, out var number) ? number : -1;

    private static string? NameOf(string[] words)
    {
        foreach (var option in (string[])["-name", "-uuid"])
            if (Array.IndexOf(words, option) is >= 0 and var at && at + 1 < words.Length)
                return Plain(words[at + 1]);
        return null;
    }

    /// <summary>Anybody can write anything into a command line.</summary>
    private static string Plain(string text) => new([.. text.Take(MostName).Select(c => char.IsControl(c) ? '?' : c)]);

    private static string? Link(string path)
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
}
