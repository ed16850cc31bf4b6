using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using CliWrap;
using CliWrap.Exceptions;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Images;

/// <summary>Makes and deletes disk files. A disk appears under its name only when it is whole; formats are always said, never probed.</summary>
internal sealed class DiskFiles(HostFolders folders)
{
    public async IAsyncEnumerable<StepReport> CreateAsync(CreateDisk step, [EnumeratorCancellation] CancellationToken ct)
    {
        RequireOurs(step.DiskId, step.Path);
        if (File.Exists(step.Path))
        {
            yield return new StepDone(false);
            yield break;
        }

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
            File.Move(part, step.Path, overwrite: false);
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

    private void RequireOurs(Guid diskId, string path)
    {
        if (Path.GetDirectoryName(path) != folders.Disks || !Path.GetFileName(path).StartsWith(diskId.ToString("N"), StringComparison.Ordinal) || Path.GetFullPath(path) != path)
            throw new HostException(HostError.NotAllowed, "That is not the path of this disk.");
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
        await RunAsync(["create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on,extended_l2=off,cluster_size=65536", .. backing, part, step.SizeBytes.ToString(CultureInfo.InvariantCulture)], null, ct);
    }

    private static async IAsyncEnumerable<StepReport> CopyAsync(CreateDisk step, string part, [EnumeratorCancellation] CancellationToken ct)
    {
        var percents = Channel.CreateBounded<double>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        var copying = RunAsync(["convert", "-p", "-m", "8", "-W", "-f", Name(step.SourceFormat!.Value), "-O", Name(step.Format), step.SourcePath!, part], percents.Writer, ct);
        _ = copying.ContinueWith(_ => percents.Writer.TryComplete(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        await foreach (var percent in percents.Reader.ReadAllAsync(CancellationToken.None))
            yield return new StepProgress((long)(step.SizeBytes * percent / 100), step.SizeBytes);
        await copying;
        await RunAsync(["resize", "-q", "-f", Name(step.Format), part, step.SizeBytes.ToString(CultureInfo.InvariantCulture)], null, ct);
    }

    private static string Name(DiskFormat format) => format == DiskFormat.Qcow2 ? "qcow2" : "raw";

    /// <summary>Runs qemu-img with arguments, never through a shell; a cancel kills it.</summary>
    private static async Task RunAsync(string[] arguments, ChannelWriter<double>? percents, CancellationToken ct)
    {
        var stderr = new StringBuilder();
        var command = Cli.Wrap("qemu-img").WithArguments(arguments).WithValidation(CommandResultValidation.ZeroExitCode)
            .WithStandardErrorPipe(PipeTarget.ToDelegate(line =>
            {
                if (stderr.Length < 4096)
                    stderr.AppendLine(line);
            }))
            .WithStandardOutputPipe(percents is null ? PipeTarget.Null : PipeTarget.Create((stream, token) => ReadPercentsAsync(stream, percents, token)));
        try
        {
            await command.ExecuteAsync(ct);
        }
        catch (CommandExecutionException e)
        {
            throw new HostException(HostError.LaunchFailed, $"qemu-img could not {arguments[0]} the disk: {stderr.ToString().Trim().Split('\n')[0]}", e)
            {
                ExitCode = e.ExitCode, StderrTail = stderr.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries),
            };
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new HostException(HostError.Missing, "qemu-img is not installed on this host.", e) { Hint = "Install the package qemu-utils." };
        }
    }

    /// <summary>`qemu-img -p` writes `    (12.34/100%)\r` over and over.</summary>
    private static async Task ReadPercentsAsync(Stream stream, ChannelWriter<double> percents, CancellationToken ct)
    {
        var buffer = new byte[1024];
        while (await stream.ReadAsync(buffer, ct) is > 0 and var read)
        {
            var text = Encoding.ASCII.GetString(buffer, 0, read);
            var end = text.LastIndexOf("/100%", StringComparison.Ordinal);
            var start = end < 0 ? -1 : text.LastIndexOf('(', end);
            if (start >= 0 && double.TryParse(text.AsSpan(start + 1, end - start - 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var percent))
                percents.TryWrite(percent);
        }
    }
}
