using System.Diagnostics;
using System.Text.Json;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Images;

/// <summary>Disks as qemu-img sees them afterwards.</summary>
public sealed class DiskFilesTests : IDisposable
{
    private const long MiB = 1 << 20;
    private readonly StoreFixture fixture = new();

    [Fact]
    public async Task A_blank_raw_disk_has_its_size_and_takes_no_space()
    {
        var step = fixture.Disk(DiskFormat.Raw, 100L << 30);
        Assert.Equal([new StepDone(true)], await fixture.CreateAsync(step));
        Assert.Equal(100L << 30, new FileInfo(step.Path).Length);
        Assert.InRange(long.Parse(await Tools.RunAsync("stat", "-c", "%b", step.Path)), 0, 8);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(step.Path));
    }

    [Fact]
    public async Task A_blank_qcow2_disk_has_its_size_and_no_backing()
    {
        var step = fixture.Disk(DiskFormat.Qcow2, 100L << 30);
        Assert.Equal([new StepDone(true)], await fixture.CreateAsync(step));
        var info = await InfoAsync(step.Path, "qcow2");
        Assert.Equal(100L << 30, info.GetProperty("virtual-size").GetInt64());
        Assert.False(info.TryGetProperty("backing-filename", out _));
        Assert.Equal("1.1", info.GetProperty("format-specific").GetProperty("data").GetProperty("compat").GetString());
    }

    [Theory]
    [InlineData(true, DiskFormat.Qcow2)]
    [InlineData(true, DiskFormat.Raw)]
    [InlineData(false, DiskFormat.Qcow2)]
    [InlineData(false, DiskFormat.Raw)]
    public async Task A_full_copy_has_the_content_and_no_tie(bool qcow2, DiskFormat format)
    {
        var image = await ImageAsync(qcow2);
        var step = fixture.Disk(format, 128 * MiB, image);
        var reports = await fixture.CreateAsync(step);
        Assert.Equal(new StepDone(true), reports[^1]);
        Assert.All(reports[..^1].Cast<StepProgress>(), p => Assert.InRange(p.BytesDone, 0, p.BytesTotal));
        Assert.All(reports[..^1].Cast<StepProgress>(), p => Assert.Equal(128 * MiB, p.BytesTotal));
        var name = format.ToString().ToLowerInvariant();
        Assert.Equal(128 * MiB, (await InfoAsync(step.Path, name)).GetProperty("virtual-size").GetInt64());
        fixture.Store.Delete(image.ImageId, image.Path);
        await PatternsAsync(step.Path, name);
        await Tools.RunAsync("qemu-io", "-r", "-f", name, "-c", "read -P 0 64M 64M", step.Path);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_linked_disk_names_its_image_and_the_format_of_it(bool qcow2)
    {
        var image = await ImageAsync(qcow2);
        var step = fixture.Disk(DiskFormat.Qcow2, 128 * MiB, image, linked: true);
        Assert.Equal([new StepDone(true)], await fixture.CreateAsync(step));
        var info = await InfoAsync(step.Path, "qcow2");
        Assert.Equal((image.Path, qcow2 ? "qcow2" : "raw"), (info.GetProperty("backing-filename").GetString(), info.GetProperty("backing-filename-format").GetString()));
        Assert.Equal(128 * MiB, info.GetProperty("virtual-size").GetInt64());
        await PatternsAsync(step.Path, "qcow2");
        await Tools.RunAsync("qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 1M", step.Path);
        await PatternsAsync(image.Path, qcow2 ? "qcow2" : "raw");
        Assert.Equal(image.Sha256, StoreFixture.Digest(await File.ReadAllBytesAsync(image.Path, TestContext.Current.CancellationToken)));
    }

    [Fact]
    public async Task Making_a_disk_that_is_there_changes_nothing_and_deleting_may_be_repeated()
    {
        var step = fixture.Disk(DiskFormat.Raw, MiB);
        await fixture.CreateAsync(step);
        await File.WriteAllTextAsync(step.Path, "mine", TestContext.Current.CancellationToken);
        Assert.Equal([new StepDone(false)], await fixture.CreateAsync(step));
        Assert.Equal("mine", await File.ReadAllTextAsync(step.Path, TestContext.Current.CancellationToken));
        await File.WriteAllTextAsync(step.Path + ".part", "left by a crash", TestContext.Current.CancellationToken);
        Assert.True(fixture.Disks.Delete(step.DiskId, step.Path));
        Assert.False(fixture.Disks.Delete(step.DiskId, step.Path));
        Assert.Empty(Directory.GetFiles(fixture.Folders.Disks));
    }

    [Fact]
    public async Task A_part_that_a_crash_left_is_no_obstacle()
    {
        var step = fixture.Disk(DiskFormat.Qcow2, MiB);
        Directory.CreateDirectory(fixture.Folders.Disks);
        await File.WriteAllTextAsync(step.Path + ".part", "half", TestContext.Current.CancellationToken);
        await fixture.CreateAsync(step);
        Assert.Equal([step.Path], Directory.GetFiles(fixture.Folders.Disks));
    }

    [Fact]
    public async Task Paths_of_others_are_refused()
    {
        var step = fixture.Disk(DiskFormat.Raw, MiB);
        var name = Path.GetFileName(step.Path);
        foreach (var path in (string[])[$"/tmp/{name}", Path.Combine(fixture.Folders.Disks, "sub", name), $"{fixture.Folders.Disks}/../d/{name}", Path.Combine(fixture.Folders.Disks, "other.raw"), name, "", fixture.Folders.Disks])
        {
            await fixture.RefusedAsync(step with { Path = path }, HostError.NotAllowed, "not the path of this disk");
            Assert.Equal(HostError.NotAllowed, Assert.Throws<HostException>(() => fixture.Disks.Delete(step.DiskId, path)).Error);
        }
    }

    [Fact]
    public async Task What_cannot_be_is_refused_before_anything_runs()
    {
        var image = await ImageAsync(qcow2: true);
        foreach (var size in (long[])[0, -512, 1000, long.MaxValue, (64L << 40) + 512])
            await fixture.RefusedAsync(fixture.Disk(DiskFormat.Raw, size), HostError.WrongState, "is not possible");
        await fixture.RefusedAsync(fixture.Disk(DiskFormat.Raw, 128 * MiB, image, linked: true), HostError.WrongState, "must be qcow2");
        foreach (var linked in (bool[])[true, false])
        {
            await fixture.RefusedAsync(fixture.Disk(DiskFormat.Qcow2, 32 * MiB, image, linked), HostError.WrongState, "is smaller than its image");
            await fixture.RefusedAsync(fixture.Disk(DiskFormat.Qcow2, 128 * MiB, image, linked) with { SourceFormat = DiskFormat.Raw }, HostError.WrongState, "is qcow2, not raw");
            await fixture.RefusedAsync(fixture.Disk(DiskFormat.Qcow2, 128 * MiB, image, linked) with { SourceFormat = null }, HostError.WrongState, "without a format");
            await fixture.RefusedAsync(fixture.Disk(DiskFormat.Qcow2, 128 * MiB, image, linked) with { SourcePath = "/etc/passwd" }, HostError.NotAllowed, "file of the image store");
            await fixture.RefusedAsync(fixture.Disk(DiskFormat.Qcow2, 128 * MiB, image with { Path = image.Path + "x" }, linked), HostError.NotFound, "no file");
        }
    }

    /// <summary>Even a file that got into the store past the inspection is not given to qemu-img.</summary>
    [Fact]
    public async Task A_source_that_would_open_another_file_is_refused()
    {
        var image = await ImageAsync(qcow2: true);
        File.Delete(image.Path);
        await Tools.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", image.Path, "64M");
        await fixture.RefusedAsync(fixture.Disk(DiskFormat.Raw, 128 * MiB, image), HostError.ImageRefused, "backing file (/etc/passwd)");
        File.Delete(image.Path);
        File.CreateSymbolicLink(image.Path, "/etc/passwd");
        await fixture.RefusedAsync(fixture.Disk(DiskFormat.Raw, 128 * MiB, image), HostError.NotAllowed, "symbolic link");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_copy_that_is_cancelled_or_abandoned_leaves_no_file_and_no_process(bool cancelled)
    {
        // 64 GiB of content that all stands in one cluster: the copy cannot be over before it is stopped.
        var image = await fixture.ReceiveAsync(CraftedQcow2.Repeating(64L << 30));
        using var cancel = new CancellationTokenSource();
        var step = fixture.Disk(DiskFormat.Qcow2, 64L << 30, image);
        var copy = Task.Run(async () =>
        {
            await foreach (var report in fixture.Disks.CreateAsync(step, cancel.Token))
            {
                Assert.IsType<StepProgress>(report);
                Assert.NotEmpty(Copies(step));
                if (!cancelled)
                    break;
                await cancel.CancelAsync();
            }
        }, TestContext.Current.CancellationToken);
        if (cancelled)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => copy);
        else
            await copy;
        Assert.Empty(Directory.GetFiles(fixture.Folders.Disks));
        Assert.Empty(Copies(step));
    }

    public void Dispose() => fixture.Dispose();

    private static IEnumerable<Process> Copies(CreateDisk step) =>
        Process.GetProcessesByName("qemu-img").Where(p => File.Exists($"/proc/{p.Id}/cmdline") && File.ReadAllText($"/proc/{p.Id}/cmdline").Contains(step.Path, StringComparison.Ordinal));

    /// <summary>64 MiB with two patterns, as the store has it.</summary>
    private async Task<ReceivedImage> ImageAsync(bool qcow2)
    {
        var (file, format) = (fixture.In("source"), qcow2 ? "qcow2" : "raw");
        await Tools.RunAsync("qemu-img", "create", "-q", "-f", format, file, "64M");
        await Tools.RunAsync("qemu-io", "-f", format, "-c", "write -P 5 1M 3M", "-c", "write -P 6 60M 4M", file);
        return await fixture.ReceiveAsync(await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken));
    }

    private static async Task PatternsAsync(string file, string format)
    {
        var said = await Tools.RunAsync("qemu-io", "-r", "-f", format, "-c", "read -P 0 0 1M", "-c", "read -P 5 1M 3M", "-c", "read -P 0 4M 56M", "-c", "read -P 6 60M 4M", file);
        Assert.DoesNotContain("failed", said, StringComparison.OrdinalIgnoreCase);
    }

    private static async Task<JsonElement> InfoAsync(string path, string format) => JsonDocument.Parse(await Tools.RunAsync("qemu-img", "info", "--output=json", "-f", format, path)).RootElement;
}
