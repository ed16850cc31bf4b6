using System.Reflection;
using System.Text.RegularExpressions;

namespace KvmPortal.Engine.Backups;

/// <summary>The last member of a backup: what is in it, and what is not.</summary>
/// <param name="Format">Version of the archive's layout.</param>
/// <param name="PortalVersion">Of the portal that made it.</param>
/// <param name="DataRoot">The data directory that it was made of; paths in the database start with it.</param>
public sealed record BackupManifest(int Format, string PortalVersion, string DataRoot, DateTimeOffset MadeAt, IReadOnlyList<BackupFile> Files, IReadOnlyList<LeftOut> LeftOut)
{
    internal const int CurrentFormat = 1;
    internal const string Name = "manifest.json";
    internal const int MostBytes = 64 << 20;

    /// <summary>Version of this portal.</summary>
    public static string ThisPortal { get; } = (typeof(BackupManifest).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown").Split('+')[0];
}

/// <param name="Path">Below the data directory, with slashes.</param>
/// <param name="Sha256">Of its content, 64 lower-case hexadecimal digits.</param>
public sealed record BackupFile(string Path, long Bytes, string Sha256);

/// <summary>Something of the data directory that a backup does not have.</summary>
public sealed record LeftOut(string What, string Why);

/// <summary>Where things are in a data directory and in a backup of it. Whatever has another name is neither packed nor unpacked.</summary>
internal static partial class BackupPaths
{
    public const string Database = "kvmportal.db";
    public const string BootstrapToken = "bootstrap-token";
    public const string Keys = "keys";
    public const string Machines = "machines";
    public const string Images = "images";
    public const string Disks = "disks";
    public const string Copies = "copies";
    /// <summary>The settings file of the portal that made the backup, to compare with; a portal never reads it.</summary>
    public const string Settings = "appsettings.backup.json";
    public const string FirmwareVariables = "firmware-vars.fd";
    public const string SavedMemory = "suspend.state";
    public const string Tpm = "tpm";
    public const string Staging = ".restoring";
    /// <summary>There while a restore swaps old and new.</summary>
    public const string Unfinished = "restore-unfinished";
    public const string Before = "before-restore-";
    public const string Lock = "lock";

    /// <summary>Whether a backup may have a file of this name. No name that passes can leave the folder it is unpacked in.</summary>
    public static bool IsKnown(string path) => path.Length <= 255 && Known().IsMatch(path);

    [GeneratedRegex(@"^(kvmportal\.db|bootstrap-token|appsettings\.backup\.json|keys/[A-Za-z0-9][A-Za-z0-9._-]*|machines/[0-9a-f]{32}/(firmware-vars\.fd|suspend\.state|tpm/[A-Za-z0-9][A-Za-z0-9._-]*)|disks/[0-9a-f]{32}\.[a-z0-9]+|images/[0-9a-f]{32}\.[a-z0-9]+)\z")]
    private static partial Regex Known();
}
