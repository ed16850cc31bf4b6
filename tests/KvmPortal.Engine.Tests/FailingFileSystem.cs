namespace KvmPortal.Engine.Tests;

/// <summary>An ext4 in a file that gives up on command, as it does after an error of its disk: from then on nothing can be written until it was checked. Needs root.</summary>
internal sealed class FailingFileSystem : IDisposable
{
    private readonly string image = System.IO.Path.GetTempFileName();
    private bool mounted;

    public FailingFileSystem(string path)
    {
        Path = path;
        using (var file = File.OpenWrite(image))
            file.SetLength(64 << 20);
        SmallFileSystem.Run("mkfs.ext4", "-q", "-F", image);
        Mount();
    }

    public string Path { get; }

    /// <summary>The kernel's own trigger for tests (/sys/fs/ext4/DEVICE/trigger_fs_error).</summary>
    public void GiveUp()
    {
        // What the kernel has not written by then is lost, as it is when the power fails; that is another story.
        SmallFileSystem.Run("sync", "-f", Path);
        var device = File.ReadLines("/proc/mounts").Select(l => l.Split(' ')).Single(f => f[1] == Path)[0];
        File.WriteAllText($"/sys/fs/ext4/{System.IO.Path.GetFileName(device)}/trigger_fs_error", "A test of KvmPortal: no error of a disk.");
    }

    public void Repair()
    {
        Unmount();
        // Exit code 1: errors were corrected.
        SmallFileSystem.Run("sh", "-c", "e2fsck -p \"$0\" >/dev/null || [ $? -eq 1 ]", image);
        Mount();
    }

    public void Dispose()
    {
        if (mounted)
            Unmount();
        File.Delete(image);
    }

    private void Mount()
    {
        SmallFileSystem.Run("mount", "-o", "loop,errors=remount-ro", image, Path);
        mounted = true;
    }

    private void Unmount()
    {
        SmallFileSystem.Run("umount", Path);
        mounted = false;
    }
}
