using System.Diagnostics;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Images;

/// <summary>An upload that runs into a full file system leaves nothing. Needs root to mount one.</summary>
public sealed class FullStoreTests
{
    [Fact]
    public async Task An_upload_that_finds_no_room_half_way_leaves_nothing()
    {
        using var store = new StoreFixture();
        Directory.CreateDirectory(store.Folders.Images);
        await RunAsync("mount", "-t", "tmpfs", "-o", "size=400m", "kvmportal-test", store.Folders.Images);
        try
        {
            // The room that was there at the start goes while the bytes come.
            var refused = await Assert.ThrowsAsync<HostException>(() => store.ReceiveAsync(new Shrinking(() => RunAsync("mount", "-o", "remount,size=6m", store.Folders.Images))));
            Assert.Equal(HostError.NoRoom, refused.Error);
            Assert.IsType<IOException>(refused.InnerException);
            Assert.Empty(store.Files());
            await RunAsync("mount", "-o", "remount,size=400m", store.Folders.Images);
            await store.ReceiveAsync(ImageCorpus.Good.Values.First().Make());
        }
        finally
        {
            await RunAsync("umount", "-l", store.Folders.Images);
        }
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var said = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {said}");
    }

    /// <summary>Ones without end; after 4 MiB something happens.</summary>
    private sealed class Shrinking(Func<Task> then) : Stream
    {
        private long given;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => given; set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            buffer.Span.Fill(1);
            var before = given;
            given += buffer.Length;
            if (before < 4 << 20 && given >= 4 << 20)
                await then();
            return given < 64 << 20 ? buffer.Length : 0;
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override void Flush() => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
