using System.Diagnostics;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Images;

public sealed class ImageStoreTests : IDisposable
{
    private readonly ScratchFolder scratch = new();
    private readonly HostFolders folders;
    private readonly ImageStore store;

    public ImageStoreTests()
    {
        folders = new HostFolders(scratch.In("r"), scratch.In("s"), scratch.In("d"), scratch.In("i"));
        Directory.CreateDirectory(scratch.In("allowed"));
        store = new ImageStore(new HostOptions { DataRoot = scratch.Path, RunRoot = scratch.In("r"), ImageFolders = [scratch.In("allowed")] }, folders);
    }

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(4096L, null, 1L << 30, HostError.DigestMismatch, "cut off")]
    [InlineData(512L, null, 1L << 30, HostError.DigestMismatch, "longer")]
    [InlineData(null, "0000", 1L << 30, HostError.DigestMismatch, "digest")]
    [InlineData(null, null, 1000L, HostError.NoRoom, "allowed")]
    public async Task A_bad_upload_leaves_no_file(long? length, string? digest, long most, HostError error, string says)
    {
        var refused = await Assert.ThrowsAsync<HostException>(() => store.ReceiveAsync(new ReceiveImage(Guid.NewGuid(), length, digest, null, most), new MemoryStream(new byte[1024]), Ct));
        Assert.Equal(error, refused.Error);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        AssertNoFiles(folders.Images);
    }

    [Fact]
    public async Task A_cancelled_upload_leaves_no_file()
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.ReceiveAsync(new ReceiveImage(Guid.NewGuid(), null, null, null, 1 << 20), new System.IO.Pipelines.Pipe().Reader.AsStream(), stop.Token));
        AssertNoFiles(folders.Images);
    }

    [Fact]
    public async Task A_link_and_a_foreign_folder_are_not_registered_and_a_plain_file_is()
    {
        await File.WriteAllBytesAsync(scratch.In("allowed/good"), new byte[1024], Ct);
        File.CreateSymbolicLink(scratch.In("allowed/link"), "/etc/passwd");
        foreach (var path in (string[])[scratch.In("allowed/link"), "/etc/passwd", scratch.In("allowed/../allowed2/x"), scratch.In("allowed")])
            Assert.Equal(HostError.NotAllowed, (await Assert.ThrowsAsync<HostException>(() => RegisterAsync(path))).Error);
        var image = await RegisterAsync(scratch.In("allowed/good"));
        Assert.Equal((ImageKind.Raw, 1024L), (image.Kind, image.FileSizeBytes));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(image.Path));
    }

    [Theory]
    [InlineData("0.10")]
    [InlineData("1.1")]
    public async Task What_qemu_img_makes_is_taken(string compatibility)
    {
        await QemuImgAsync("create", "-q", "-f", "qcow2", "-o", $"compat={compatibility}", scratch.In("allowed/q"), "3G");
        Assert.Equal((ImageKind.Qcow2, 3L << 30), await RegisterAsync(scratch.In("allowed/q")) is var i ? (i.Kind, i.VirtualSizeBytes) : default);
    }

    [Fact]
    public async Task Disks_are_blank_linked_or_full_copies()
    {
        await QemuImgAsync("create", "-q", "-f", "qcow2", scratch.In("allowed/q"), "8M");
        var image = await RegisterAsync(scratch.In("allowed/q"));
        var disks = new DiskFiles(folders);
        foreach (var (format, source, linked) in new[] { (DiskFormat.Raw, false, false), (DiskFormat.Qcow2, false, false), (DiskFormat.Qcow2, true, true), (DiskFormat.Raw, true, false), (DiskFormat.Qcow2, true, false) })
        {
            var step = Disk(format, source ? image.Path : null, linked);
            await foreach (var _ in disks.CreateAsync(step, Ct))
            {
            }

            var name = format == DiskFormat.Raw ? "raw" : "qcow2";
            var info = System.Text.Json.JsonDocument.Parse(await QemuImgAsync("info", "--output=json", "-f", name, step.Path)).RootElement;
            Assert.Equal(16 << 20, info.GetProperty("virtual-size").GetInt64());
            Assert.Equal(linked, info.TryGetProperty("backing-filename", out var _));
            Assert.True(disks.Delete(step.DiskId, step.Path));
            Assert.False(disks.Delete(step.DiskId, step.Path));
        }
    }

    [Fact]
    public async Task A_cancelled_copy_leaves_nothing()
    {
        Directory.CreateDirectory(folders.Images);
        await File.WriteAllBytesAsync(scratch.In("i/raw"), new byte[64 << 20], Ct);
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(5));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in new DiskFiles(folders).CreateAsync(Disk(DiskFormat.Raw, scratch.In("i/raw"), false) with { SourceFormat = DiskFormat.Raw, SizeBytes = 64 << 20 }, stop.Token))
            {
            }
        });
        AssertNoFiles(folders.Disks);
    }

    public void Dispose() => scratch.Dispose();

    private CreateDisk Disk(DiskFormat format, string? source, bool linked)
    {
        var id = Guid.NewGuid();
        return new CreateDisk { DiskId = id, Path = Path.Combine(folders.Disks, $"{id:N}.disk"), Format = format, SizeBytes = 16 << 20, SourcePath = source, SourceFormat = source is null ? null : DiskFormat.Qcow2, Linked = linked };
    }

    private async Task<ReceivedImage> RegisterAsync(string path)
    {
        StepDone? done = null;
        await foreach (var report in store.RegisterAsync(new RegisterImage { ImageId = Guid.NewGuid(), SourcePath = path }, Ct))
            done = report as StepDone ?? done;
        return done!.Image!;
    }

    private static async Task<string> QemuImgAsync(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("qemu-img", arguments) { RedirectStandardOutput = true })!;
        var said = await process.StandardOutput.ReadToEndAsync(Ct);
        await process.WaitForExitAsync(Ct);
        Assert.Equal(0, process.ExitCode);
        return said;
    }

    private static void AssertNoFiles(string folder) => Assert.Empty(Directory.Exists(folder) ? Directory.GetFiles(folder, "*", SearchOption.AllDirectories) : []);
}
