using System.Diagnostics;

namespace KvmPortal.Engine.Tests;

/// <summary>A file system in memory that is soon full; needs root.</summary>
internal sealed class SmallFileSystem : IDisposable
{
    private SmallFileSystem(string path) => Path = path;

    public string Path { get; }

    /// <param name="size">As tmpfs takes it: `8m`.</param>
    public static SmallFileSystem At(string path, string size)
    {
        Directory.CreateDirectory(path);
        Run("mount", "-t", "tmpfs", "-o", $"size={size},mode=0700", "kvmportal-test", path);
        return new SmallFileSystem(path);
    }

    /// <summary>Takes all room but <paramref name="spare"/> bytes, in one file.</summary>
    public void Fill(long spare = 0)
    {
        using var ballast = new FileStream(System.IO.Path.Combine(Path, "ballast"), FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);
        var block = new byte[4096];
        try
        {
            while (spare == 0 || new DriveInfo(Path).AvailableFreeSpace > spare)
                ballast.Write(block);
        }
        catch (IOException)
        {
            // Full, as wanted.
        }
    }

    public void Empty() => File.Delete(System.IO.Path.Combine(Path, "ballast"));

    public void ReadOnly(bool on) => Run("mount", "-o", on ? "remount,ro" : "remount,rw", Path);

    public void Dispose() => Run("umount", "-l", Path);

    internal static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {said}");
    }
}
