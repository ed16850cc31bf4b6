using System.Text.RegularExpressions;
using KvmPortal.Host.Linux;

namespace KvmPortal.Engine.Backups;

/// <summary>Decides what of a data directory goes into a backup, and names what does not.</summary>
internal static partial class BackupContents
{
    /// <summary>Firmware variables and TPM states are far smaller; what is larger was not made by them.</summary>
    private const long MostStateBytes = 256L << 20;

    /// <summary>Files beside the database, as paths below <paramref name="root"/>.</summary>
    public static (List<string> Files, List<LeftOut> LeftOut) Of(string root, bool withImages, bool withDisks)
    {
        var (files, left) = (new List<string>(), new List<LeftOut>());
        if (File.Exists(Path.Combine(root, BackupPaths.BootstrapToken)))
            files.Add(BackupPaths.BootstrapToken);
        Plain(BackupPaths.Keys);
        Machines(root, withDisks, files, left);
        Big(root, BackupPaths.Images, withImages, "--with-images", files, left);
        Big(root, BackupPaths.Disks, withDisks, "--with-disks", files, left);
        foreach (var entry in new DirectoryInfo(root).EnumerateFileSystemInfos().Select(e => e.Name).Order(StringComparer.Ordinal))
            if (Why(entry) is { } why)
                left.Add(new LeftOut(entry, why));
        return (files, left);

        void Plain(string folder)
        {
            foreach (var file in Regular(Path.Combine(root, folder)))
                Take($"{folder}/{file.Name}", file, files, left);
        }
    }

    private static void Machines(string root, bool withDisks, List<string> files, List<LeftOut> left)
    {
        var saved = 0;
        var folder = new DirectoryInfo(Path.Combine(root, BackupPaths.Machines));
        var machines = folder.Exists ? folder.EnumerateDirectories() : [];
        foreach (var machine in machines.Where(d => d.LinkTarget is null && MachineFolder().IsMatch(d.Name)).OrderBy(d => d.Name, StringComparer.Ordinal))
        {
            var at = $"{BackupPaths.Machines}/{machine.Name}";
            foreach (var file in Regular(machine.FullName))
                if (file.Name == BackupPaths.FirmwareVariables)
                    Take($"{at}/{file.Name}", file, files, left);
                else if (file.Name == BackupPaths.SavedMemory && withDisks)
                    files.Add($"{at}/{file.Name}");
                else if (file.Name == BackupPaths.SavedMemory)
                    saved++;
            // What a machine's own user can write is not searched any deeper, and links in it are not followed.
            foreach (var file in Regular(Path.Combine(machine.FullName, BackupPaths.Tpm)).Where(f => f.Name[0] != '.'))
                Take($"{at}/{BackupPaths.Tpm}/{file.Name}", file, files, left);
        }

        if (saved > 0)
            left.Add(new LeftOut($"the saved memory of {saved} suspended machines", "only with --with-disks, because it fits the disks of its moment only: discard it, or start those machines before a backup"));
    }

    private static void Big(string root, string folder, bool wanted, string option, List<string> files, List<LeftOut> left)
    {
        var all = Regular(Path.Combine(root, folder)).Where(f => BackupPaths.IsKnown($"{folder}/{f.Name}")).ToList();
        if (all.Count == 0)
            return;
        if (!wanted)
        {
            left.Add(new LeftOut(folder, $"{all.Count} files, {all.Sum(f => f.Length)} bytes: only with {option}"));
            return;
        }

        foreach (var file in all)
            if (FileLocks.IsLocked(file.FullName) && folder == BackupPaths.Disks)
                left.Add(new LeftOut($"{folder}/{file.Name}", "its machine runs, so a copy would be torn: shut it down for a backup of its disk"));
            else
                files.Add($"{folder}/{file.Name}");
    }

    private static void Take(string path, FileInfo file, List<string> files, List<LeftOut> left)
    {
        if (!BackupPaths.IsKnown(path))
            left.Add(new LeftOut(path, "not a file of the portal"));
        else if (file.Length > MostStateBytes)
            left.Add(new LeftOut(path, $"{file.Length} bytes are more than such a file can have"));
        else
            files.Add(path);
    }

    private static IEnumerable<FileInfo> Regular(string folder) => Directory.Exists(folder) && new DirectoryInfo(folder) is { LinkTarget: null } there
        ? there.EnumerateFiles().Where(f => f.LinkTarget is null).OrderBy(f => f.Name, StringComparer.Ordinal) : [];

    private static string? Why(string entry) => entry switch
    {
        BackupPaths.BootstrapToken or BackupPaths.Keys or BackupPaths.Machines or BackupPaths.Images or BackupPaths.Disks or BackupPaths.Lock => null,
        BackupPaths.Staging or Data.DatabaseFile.RunningMarker or "run" => null,
        "host" => "what the portal found out about this host; it looks again",
        BackupPaths.Copies => "earlier copies of the database",
        _ when entry.StartsWith(BackupPaths.Database, StringComparison.Ordinal) => null,
        _ when entry.StartsWith(BackupPaths.Before, StringComparison.Ordinal) => "what an earlier restore replaced",
        _ => "not a file of the portal",
    };

    [GeneratedRegex(@"^[0-9a-f]{32}\z")]
    private static partial Regex MachineFolder();
}
