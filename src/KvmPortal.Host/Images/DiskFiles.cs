using System.Globalization;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Images;

/// <summary>
/// Makes and deletes disk files. A disk appears under its name only when it is whole and on the medium; formats are always said, never probed; and qemu-img
/// opens no image that our own parser has not read.
/// </summary>
internal sealed class DiskFiles(HostFolders folders)
{
    private const long MostBytes = 64L << 40;

    /// <summary>Throws <see cref="HostException"/>: NotAllowed (path), WrongState (sizes, formats), ImageRefused, NoRoom, Missing (qemu-img), LaunchFailed.</summary>
    public async IAsyncEnumerable<StepReport> CreateAsync(CreateDisk step, [EnumeratorCancellation] CancellationToken ct)
    {
        RequireOurs(step.DiskId, step.Path);
        if (File.Exists(step.Path))
        {
            yield return new StepDone(false);
            yield break;
        }

        RequireSense(step);
        Directory.CreateDirectory(folders.Disks, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var part = step.Path + ".part";
        File.Delete(part);
        try
        {
            if (step.SourcePath is not null && !step.Linked)
                await foreach (var report in CopyAsync(step, part, ct))
                    yield return report;
            else
                await MakeAsync(step, part, ct);
            File.SetUnixFileMode(part, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            LinuxFiles.Publish(part, step.Path);
        }
        finally
        {
            File.Delete(part);
        }

        yield return new StepDone(true);
    }

    /// <summary>Deletes the file of a disk; fine when it is gone already.</summary>
    public bool Delete(Guid diskId, string path)
    {
        RequireOurs(diskId, path);
        var there = File.Exists(path);
        File.Delete(path);
        File.Delete(path + ".part");
        return there;
    }

    /// <summary>Whether a path is that of a disk which is being made.</summary>
    public bool IsPart(string path) => path.EndsWith(".part", StringComparison.Ordinal) && Path.GetDirectoryName(path) == folders.Disks;

    /// <summary>Removes what an earlier process has left half made.</summary>
    public void Sweep()
    {
        foreach (var part in Directory.EnumerateFiles(folders.Disks, "*.part"))
            File.Delete(part);
    }

    private void RequireOurs(Guid diskId, string path)
    {
        if (Path.GetDirectoryName(path) != folders.Disks || !Path.GetFileName(path).StartsWith(diskId.ToString("N"), StringComparison.Ordinal) || Path.GetFullPath(path) != path)
            throw new HostException(HostError.NotAllowed, "That is not the path of this disk.");
    }

    /// <summary>Refuses before anything runs what qemu-img would do wrongly, late or without a word, such as an overlay that hides the end of its image.</summary>
    private void RequireSense(CreateDisk step)
    {
        if (step.SizeBytes is <= 0 or > MostBytes || step.SizeBytes % 512 != 0)
            throw new HostException(HostError.WrongState, $"A disk of {step.SizeBytes} bytes is not possible: give a multiple of 512 up to 64 TiB.");
        if (step.SourcePath is not { } source)
            return;
        if (step.Linked && step.Format != DiskFormat.Qcow2)
            throw new HostException(HostError.WrongState, "A linked disk must be qcow2: a raw file cannot refer to an image.");
        if (Path.GetDirectoryName(source) != folders.Images || Path.GetFullPath(source) != source)
            throw new HostException(HostError.NotAllowed, "A disk can only be made from a file of the image store.");
        using var file = LinuxFiles.OpenRegular(source);
        var found = ImageInspector.Inspect(file, null);
        if (step.SourceFormat != (found.Kind == ImageKind.Qcow2 ? DiskFormat.Qcow2 : DiskFormat.Raw))
            throw new HostException(HostError.WrongState, $"The image is {found.Kind.ToString().ToLowerInvariant()}, not {step.SourceFormat?.ToString().ToLowerInvariant() ?? "without a format"}.");
        if (step.SizeBytes < found.VirtualSizeBytes)
            throw new HostException(HostError.WrongState, $"The disk ({step.SizeBytes} bytes) is smaller than its image ({found.VirtualSizeBytes} bytes): the end of the image would be lost.") { Hint = "Make the disk at least as large as the image." };
    }

    private static async Task MakeAsync(CreateDisk step, string part, CancellationToken ct)
    {
        if (step.Format == DiskFormat.Raw)
        {
            await using var file = new FileStream(part, FileMode.CreateNew, FileAccess.Write);
            file.SetLength(step.SizeBytes);
            return;
        }

        string[] backing = step.SourcePath is null ? [] : ["-b", step.SourcePath, "-F", Name(step.SourceFormat!.Value)];
        await QemuImg.RunAsync(["create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on,extended_l2=off,cluster_size=65536", .. backing, part, Number(step.SizeBytes)], null, ct);
    }

    private static async IAsyncEnumerable<StepReport> CopyAsync(CreateDisk step, string part, [EnumeratorCancellation] CancellationToken ct)
    {
        var percents = Channel.CreateBounded<double>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var copying = QemuImg.RunAsync(["convert", "-p", "-m", "8", "-W", "-f", Name(step.SourceFormat!.Value), "-O", Name(step.Format), step.SourcePath!, part], percents.Writer, abandoned.Token);
        _ = copying.ContinueWith(_ => percents.Writer.TryComplete(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        try
        {
            await foreach (var percent in percents.Reader.ReadAllAsync(CancellationToken.None))
                yield return new StepProgress((long)(step.SizeBytes * percent / 100), step.SizeBytes);
        }
        finally
        {
            // Who stops reading the reports has stopped the copy, too; it is over before its file is removed.
            await abandoned.CancelAsync();
            await copying.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await copying;
        await QemuImg.RunAsync(["resize", "-q", "-f", Name(step.Format), part, Number(step.SizeBytes)], null, ct);
    }

    private static string Name(DiskFormat format) => format == DiskFormat.Qcow2 ? "qcow2" : "raw";

    private static string Number(long bytes) => bytes.ToString(CultureInfo.InvariantCulture);
}
