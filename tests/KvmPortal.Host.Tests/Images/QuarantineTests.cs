using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Images;

/// <summary>How images come in: whole, as announced, inspected, or not at all.</summary>
public sealed class QuarantineTests : IDisposable
{
    private const UnixFileMode ReadOnly = UnixFileMode.UserRead;
    private readonly StoreFixture fixture = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1024)]
    [InlineData(1 << 20)]
    [InlineData((5 << 20) + 512)]
    public async Task An_upload_arrives_unchanged_and_read_only(int size)
    {
        var bytes = new byte[size];
        new Random(size).NextBytes(bytes);
        bytes.AsSpan(0, 64).Clear();
        var image = await fixture.ReceiveAsync(new SlowStream(bytes, 70_001), size, StoreFixture.Digest(bytes), ImageKind.Raw, ct: Ct);
        Assert.Equal(Path.Combine(fixture.Folders.Images, $"{image.ImageId:N}.raw"), image.Path);
        Assert.Equal((ImageKind.Raw, size, size, StoreFixture.Digest(bytes)), (image.Kind, image.FileSizeBytes, image.VirtualSizeBytes, image.Sha256));
        Assert.Equal(bytes, await File.ReadAllBytesAsync(image.Path, Ct));
        Assert.Equal(ReadOnly, File.GetUnixFileMode(image.Path));
        Assert.Equal([image.Path], fixture.Files());
    }

    [Fact]
    public async Task Zeros_become_holes_and_the_length_stays()
    {
        var bytes = new byte[64 << 20];
        bytes[3 << 20] = 1;
        var image = await fixture.ReceiveAsync(bytes);
        Assert.Equal(StoreFixture.Digest(bytes), image.Sha256);
        Assert.Equal(bytes, await File.ReadAllBytesAsync(image.Path, Ct));
        var blocks = long.Parse(await Tools.RunAsync("stat", "-c", "%b", image.Path));
        Assert.InRange(blocks * 512, 1, 4 << 20);
    }

    public static TheoryData<string, HostError, string> Failures => new()
    {
        { "truncated", HostError.DigestMismatch, "cut off: 4096 of 8192" },
        { "too long", HostError.DigestMismatch, "longer than the 1024" },
        { "digest", HostError.DigestMismatch, "not 00" },
        { "over the limit", HostError.NoRoom, "more than the 2048" },
        { "announced over the limit", HostError.NoRoom, "at most 2048" },
        { "more than the host has", HostError.NoRoom, "are free on the host" },
        { "kind", HostError.ImageRefused, "declared as iso" },
        { "hostile", HostError.ImageRefused, "backing file" },
        { "empty", HostError.ImageRefused, "empty" },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task What_is_not_as_announced_leaves_nothing(string what, HostError error, string says)
    {
        var bytes = new byte[4096];
        var content = new MemoryStream(bytes);
        var failed = await Assert.ThrowsAsync<HostException>(() => what switch
        {
            "truncated" => fixture.ReceiveAsync(content, 8192),
            "too long" => fixture.ReceiveAsync(content, 1024),
            "digest" => fixture.ReceiveAsync(content, 4096, new string('0', 64)),
            "over the limit" => fixture.ReceiveAsync(content, most: 2048),
            "announced over the limit" => fixture.ReceiveAsync(content, 4096, most: 2048),
            "more than the host has" => fixture.ReceiveAsync(content, 1L << 60, most: long.MaxValue),
            "kind" => fixture.ReceiveAsync(content, declared: ImageKind.Iso),
            "hostile" => fixture.ReceiveAsync(new MemoryStream(ImageCorpus.Hostile["qcow2: json backing"].Make())),
            _ => fixture.ReceiveAsync(new MemoryStream()),
        });
        Assert.Equal(error, failed.Error);
        Assert.Contains(says, failed.Message, StringComparison.Ordinal);
        Assert.Empty(fixture.Files());
    }

    [Fact]
    public async Task An_upload_that_is_cancelled_leaves_nothing()
    {
        using var cancel = new CancellationTokenSource();
        var upload = fixture.ReceiveAsync(new SlowStream(new byte[64 << 20], 1 << 20, afterRead: n =>
        {
            if (n == 20)
            {
                Assert.Single(fixture.Files());
                cancel.Cancel();
            }
        }), ct: cancel.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => upload);
        Assert.Empty(fixture.Files());
    }

    [Fact]
    public async Task An_upload_whose_sender_is_lost_leaves_nothing()
    {
        var upload = fixture.ReceiveAsync(new SlowStream(new byte[8 << 20], 1 << 20, afterRead: n =>
        {
            if (n == 5)
                throw new IOException("The client reset the request stream.");
        }), 8 << 20, ct: Ct);
        await Assert.ThrowsAsync<IOException>(() => upload);
        Assert.Empty(fixture.Files());
    }

    [Fact]
    public async Task A_second_upload_of_the_same_id_does_not_touch_the_first()
    {
        var id = Guid.NewGuid();
        var half = new TaskCompletionSource();
        var bytes = new byte[4 << 20];
        bytes[^1] = 9;
        var first = fixture.Store.ReceiveAsync(new ReceiveImage(id, null, null, null, 1 << 30), new SlowStream(bytes, 1 << 20, gate: half.Task), Ct);
        var second = await fixture.Store.ReceiveAsync(new ReceiveImage(id, null, null, null, 1 << 30), new MemoryStream(new byte[512]), Ct);
        half.SetResult();
        Assert.Equal(HostError.InUse, (await Assert.ThrowsAsync<HostException>(() => first)).Error);
        Assert.Equal(HostError.InUse, (await Assert.ThrowsAsync<HostException>(() => fixture.Store.ReceiveAsync(new ReceiveImage(id, null, null, null, 1 << 30), new MemoryStream(new byte[1024]), Ct))).Error);
        Assert.Equal([second.Path], fixture.Files());
        Assert.Equal(512, new FileInfo(second.Path).Length);
    }

    [Fact]
    public async Task What_a_crash_left_is_swept()
    {
        await fixture.ReceiveAsync(new byte[512]);
        var stale = Path.Combine(fixture.Folders.Images, ".quarantine", "stale.part");
        await File.WriteAllBytesAsync(stale, new byte[10], Ct);
        fixture.Store.Sweep();
        Assert.False(File.Exists(stale));
        Assert.Single(fixture.Files());
        await fixture.ReceiveAsync(new byte[512]);
    }

    [Fact]
    public async Task A_host_file_is_registered_once_however_often_the_step_runs()
    {
        var (source, id, bytes) = (Path.Combine(fixture.Allowed, "-x,json:{}.img"), Guid.NewGuid(), new CraftedQcow2().Build());
        await File.WriteAllBytesAsync(source, bytes, Ct);
        var first = Assert.IsType<StepDone>((await fixture.RegisterAsync(source, id))[^1]);
        var again = Assert.IsType<StepDone>((await fixture.RegisterAsync(source, id))[^1]);
        Assert.True(first.Changed);
        Assert.False(again.Changed);
        Assert.Equal(first.Image, again.Image);
        Assert.Equal((ImageKind.Qcow2, StoreFixture.Digest(bytes)), (first.Image!.Kind, first.Image.Sha256));
        Assert.True(File.Exists(source));
        fixture.Store.Discard(id);
        Assert.Empty(fixture.Files());
    }

    [Fact]
    public async Task Only_regular_files_directly_in_an_allowed_folder_are_registered()
    {
        var secret = fixture.In("secret.img");
        await File.WriteAllBytesAsync(secret, new byte[512], Ct);
        var sub = Directory.CreateDirectory(Path.Combine(fixture.Allowed, "sub")).FullName;
        await File.WriteAllBytesAsync(Path.Combine(sub, "in.img"), new byte[512], Ct);
        File.CreateSymbolicLink(Path.Combine(fixture.Allowed, "link.img"), secret);
        File.CreateSymbolicLink(Path.Combine(fixture.Allowed, "zero.img"), "/dev/zero");
        File.CreateSymbolicLink(Path.Combine(fixture.Allowed, "out"), fixture.In(""));
        await Tools.RunAsync("mkfifo", Path.Combine(fixture.Allowed, "pipe.img"));
        await File.WriteAllBytesAsync(Path.Combine(fixture.Allowed, "empty.img"), [], Ct);

        await RefusedAsync("link.img", HostError.NotAllowed, "symbolic link");
        await RefusedAsync("zero.img", HostError.NotAllowed, "symbolic link");
        await RefusedAsync("pipe.img", HostError.NotAllowed, "no regular file");
        await RefusedAsync("empty.img", HostError.NotAllowed, "empty");
        await RefusedAsync("sub", HostError.NotAllowed, "no regular file");
        await RefusedAsync("sub/in.img", HostError.NotAllowed, "directly in an allowed");
        await RefusedAsync("out/secret.img", HostError.NotAllowed, "directly in an allowed");
        await RefusedAsync("../secret.img", HostError.NotAllowed, "directly in an allowed");
        await RefusedAsync("/etc/passwd", HostError.NotAllowed, "directly in an allowed");
        await RefusedAsync("gone.img", HostError.NotFound, "no file");
        Assert.Empty(fixture.Store.List(fixture.Allowed));
        Assert.Equal(HostError.NotAllowed, Assert.Throws<HostException>(() => fixture.Store.List("/etc")).Error);
    }

    /// <summary>10 TiB that take no space: the limit is looked at before a byte is read.</summary>
    [Fact]
    public async Task A_huge_sparse_host_file_is_refused_at_once()
    {
        var source = Path.Combine(fixture.Allowed, "huge.img");
        await using (var file = File.Create(source))
            file.SetLength(10L << 40);
        Assert.Equal(10L << 40, Assert.Single(fixture.Store.List(fixture.Allowed)).SizeBytes);
        await RefusedAsync("huge.img", HostError.NoRoom, "at most 1073741824");
    }

    [Fact]
    public async Task Who_stops_reading_the_reports_stops_the_copy()
    {
        var (source, id) = (Path.Combine(fixture.Allowed, "large.img"), Guid.NewGuid());
        await using (var file = File.Create(source))
            file.SetLength(1 << 30);
        await foreach (var report in fixture.Store.RegisterAsync(new RegisterImage { ImageId = id, SourcePath = source }, Ct))
        {
            Assert.IsType<StepProgress>(report);
            break;
        }

        Assert.Empty(fixture.Files());
    }

    [Fact]
    public async Task Deleting_takes_the_image_by_its_id_and_may_be_repeated()
    {
        var (image, other) = (await fixture.ReceiveAsync(new byte[512]), await fixture.ReceiveAsync(new byte[512]));
        foreach (var path in (string[])[other.Path, "/etc/passwd", fixture.Folders.Images, Path.Combine(fixture.Folders.Images, "..", "i", Path.GetFileName(image.Path))])
            Assert.Equal(HostError.NotAllowed, Assert.Throws<HostException>(() => fixture.Store.Delete(image.ImageId, path)).Error);
        Assert.True(fixture.Store.Delete(image.ImageId, image.Path));
        Assert.False(fixture.Store.Delete(image.ImageId, image.Path));
        Assert.Equal([other.Path], fixture.Files());
    }

    public void Dispose() => fixture.Dispose();

    private async Task RefusedAsync(string name, HostError error, string says)
    {
        var refused = await Assert.ThrowsAsync<HostException>(() => fixture.RegisterAsync(Path.Combine(fixture.Allowed, name)).WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.Equal(error, refused.Error);
        Assert.Empty(fixture.Files());
    }

    /// <summary>A request body: bytes in pieces, with something to happen between them.</summary>
    private sealed class SlowStream(byte[] bytes, int piece, Action<int>? afterRead = null, Task? gate = null) : MemoryStream(bytes)
    {
        private int reads;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await Task.Yield();
            if (++reads == 3 && gate is not null)
                await gate;
            afterRead?.Invoke(reads);
            return Read(buffer.Span[..Math.Min(piece, buffer.Length)]);
        }
    }
}
