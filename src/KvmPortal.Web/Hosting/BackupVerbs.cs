using KvmPortal.Engine;
using KvmPortal.Engine.Backups;

namespace KvmPortal.Web.Hosting;

/// <summary>`backup FILE` and `restore FILE`: the portal's program as a tool on its data directory.</summary>
internal static class BackupVerbs
{
    private const string Usage = "Usage: backup FILE [--data DIR] [--with-images] [--with-disks]   or   restore FILE [--data DIR] [--force]";

    /// <summary>Whether the program was started for one of these.</summary>
    public static bool Asked(string[] args) => args is ["backup" or "restore", ..];

    /// <summary>Returns the exit code. Throws <see cref="PortalException"/> with what to say.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        var (file, flags, settings) = Read(args);
        using var interrupted = new CancellationTokenSource();
        Console.CancelKeyPress += (_, press) =>
        {
            press.Cancel = true;
            interrupted.Cancel();
        };
        try
        {
            if (args[0] == "backup")
                await BackupAsync(file, flags, settings, interrupted.Token);
            else
                await RestoreAsync(file, flags, settings, interrupted.Token);
            return 0;
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("Interrupted; nothing was changed.");
            return 130;
        }
    }

    private static async Task BackupAsync(string file, HashSet<string> flags, PortalSettings settings, CancellationToken ct)
    {
        var request = new BackupRequest(settings.Engine.DataRoot, file, flags.Contains("--with-images"), flags.Contains("--with-disks"), Path.Combine(AppContext.BaseDirectory, "appsettings.json"));
        var made = await Backup.MakeAsync(request, TimeProvider.System, ct);
        await Console.Out.WriteLineAsync($"Backed up {made.Files.Count} files ({made.Files.Sum(f => f.Bytes)} bytes) of {settings.Engine.DataRoot} to {file} ({new FileInfo(file).Length} bytes).");
        foreach (var left in made.LeftOut)
            await Console.Out.WriteLineAsync($"Left out: {left.What}: {left.Why}.");
        await Console.Out.WriteLineAsync("It holds password hashes and keys: keep it where only you can read it.");
    }

    private static async Task RestoreAsync(string file, HashSet<string> flags, PortalSettings settings, CancellationToken ct)
    {
        var data = settings.Engine.DataRoot;
        var made = !Directory.Exists(data);
        Directory.CreateDirectory(data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Restored restored;
        try
        {
            using (DataLock.Take(data))
                restored = await Restore.RunAsync(new RestoreRequest(file, data, settings.Host.RunRoot, flags.Contains("--force")), TimeProvider.System, ct);
        }
        catch when (made)
        {
            Directory.Delete(data, recursive: true);
            throw;
        }

        await Console.Out.WriteLineAsync(restored.Manifest is { } manifest
            ? $"Restored {manifest.Files.Count} files of {manifest.MadeAt:yyyy-MM-dd HH:mm} UTC (portal {manifest.PortalVersion}) to {data}; every digest was right."
            : $"Restored the database to {data}.");
        if (restored.MovedTo is { } moved)
            await Console.Out.WriteLineAsync($"What was there before is in {moved}.");
        foreach (var left in restored.Manifest?.LeftOut ?? [])
            await Console.Out.WriteLineAsync($"Not in the backup: {left.What}: {left.Why}.");
    }

    private static (string File, HashSet<string> Flags, PortalSettings Settings) Read(string[] args)
    {
        string[] known = args[0] == "backup" ? ["--with-images", "--with-disks"] : ["--force"];
        var (files, flags, rest) = (new List<string>(), new HashSet<string>(), new List<string>());
        for (var i = 1; i < args.Length; i++)
            if (known.Contains(args[i]))
                flags.Add(args[i]);
            else if (args[i].StartsWith("--", StringComparison.Ordinal))
            {
                rest.Add(args[i]);
                if (!args[i].Contains('=', StringComparison.Ordinal) && i + 1 < args.Length)
                    rest.Add(args[++i]);
            }
            else
                files.Add(args[i]);
        if (files is not [{ Length: > 0 } file])
            throw new PortalException(ErrorCode.Malformed, Usage);
        foreach (var option in rest.Where((_, i) => rest[i].StartsWith("--", StringComparison.Ordinal)).Select(o => o[2..].Split('=')[0]))
            if (!PortalSettings.Keys.Contains(option, StringComparer.OrdinalIgnoreCase))
                throw new PortalException(ErrorCode.Malformed, $"There is no option --{option}. {Usage}");
        var configuration = new ConfigurationBuilder().SetBasePath(AppContext.BaseDirectory).AddJsonFile("appsettings.json", optional: true).AddEnvironmentVariables().AddCommandLine([.. rest]).Build();
        return (Path.GetFullPath(file), flags, PortalSettings.Read(configuration));
    }
}
