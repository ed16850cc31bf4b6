namespace KvmPortal.Web.Hosting;

/// <summary>The data directory, held by one portal at a time.</summary>
internal sealed class DataFolder : IDisposable
{
    private readonly FileStream held;

    private DataFolder(FileStream held) => this.held = held;

    /// <summary>Makes the directory (0700) and takes its lock; the kernel gives it back however the process ends. Throws <see cref="SettingsException"/>.</summary>
    public static DataFolder Open(string path)
    {
        try
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingsException($"data is \"{path}\": the directory cannot be made or is not this account's. {e.Message}", e);
        }

        try
        {
            return new DataFolder(new FileStream(Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingsException($"data is \"{path}\": another portal uses it. Stop that one, or give another directory with --data.", e);
        }
    }

    public void Dispose() => held.Dispose();
}
