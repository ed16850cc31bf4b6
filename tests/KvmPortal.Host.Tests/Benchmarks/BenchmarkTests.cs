using System.Security.Cryptography;
using System.Text;
using KvmPortal.Host.Benchmarks;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Benchmarks;

public sealed class BenchmarkTests
{
    [Fact]
    public void The_program_is_the_one_that_its_source_says()
    {
        var program = BenchmarkProgram.Bytes();
        Assert.Equal(BenchmarkProgram.Digest, Convert.ToHexStringLower(SHA256.HashData(program)));
        Assert.Equal("\u007fELF"u8, program.AsSpan(0, 4));
        // x86-64, no interpreter: it runs where nothing else is.
        Assert.Equal(62, BitConverter.ToUInt16(program, 18));
        Assert.DoesNotContain("ld-linux", Encoding.Latin1.GetString(program), StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_measures_on_a_CPU_of_the_host_with_and_without_a_disk_and_holds_still_while_stopped()
    {
        using var folder = new ScratchFolder();
        var (program, disk) = (Path.Combine(folder.Path, "workload"), Path.Combine(folder.Path, "disk.raw"));
        await File.WriteAllBytesAsync(program, BenchmarkProgram.Bytes());
        await File.WriteAllBytesAsync(disk, new byte[16 << 20]);
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        await using (var side = BenchmarkSide.Start(program, [disk]))
        {
            await side.ReadyAsync(TimeSpan.FromSeconds(10), default);
            var small = await side.RoundAsync(0, 1_000_000, 4, default);
            side.Suspend();
            side.Resume();
            var large = await side.RoundAsync(null, 8_000_000, 16, default);
            Assert.InRange(small.Compute, 1, 1_000_000_000);
            Assert.True(large.Compute > small.Compute * 2, $"{large} after {small}");
            Assert.True(large.WorstTimer >= large.Timer);
        }

        await using var without = BenchmarkSide.Start(program, [Path.Combine(folder.Path, "none")]);
        await without.ReadyAsync(TimeSpan.FromSeconds(10), default);
        Assert.Null((await without.RoundAsync(0, 1000, 4, default)).Disk);
    }

    [Fact]
    public async Task A_program_that_ends_or_floods_is_told_of()
    {
        await using var ended = BenchmarkSide.Start("/bin/sh", ["-c", "echo first; echo why >&2; exit 3"]);
        var failure = await Assert.ThrowsAsync<HostException>(() => ended.ReadyAsync(TimeSpan.FromSeconds(10), default));
        Assert.Equal((HostError.LaunchFailed, 3), (failure.Error, failure.ExitCode));
        Assert.Equal(["why"], failure.StderrTail);
        await using var endless = BenchmarkSide.Start("/bin/sh", ["-c", "exec cat /dev/zero"]);
        Assert.Equal(HostError.Timeout, (await Assert.ThrowsAsync<HostException>(() => endless.ReadyAsync(TimeSpan.FromMilliseconds(200), default))).Error);
    }

    [Theory]
    [InlineData("KPB round 1 2 3 4 5 6", true)]
    [InlineData("KPB round 1 2 3 4 5 -1", true)]
    [InlineData("KPB round 1 2 3 4 5", false)]
    [InlineData("KPB round 0 2 3 4 5 6", false)]
    [InlineData("KPB round 1 2 3 4 5 9999999999999999999", false)]
    [InlineData("[    1.0] KPB round 1 2 3 4 5 6", false)]
    [InlineData("", false)]
    public void Only_its_own_lines_count(string line, bool counts) => Assert.Equal(counts, BenchmarkSide.Parse(line) is not null);

    [Fact]
    public void The_archive_is_what_cpio_makes()
    {
        using var made = new MemoryStream();
        var archive = new Initramfs(made);
        archive.AddFolder("dev");
        archive.AddFile("a", "hello"u8);
        archive.End();
        var bytes = made.ToArray();
        Assert.Equal(0, bytes.Length % 4);
        var read = new List<(string Name, int Mode, string Content)>();
        for (var at = 0; at < bytes.Length;)
        {
            var head = Encoding.ASCII.GetString(bytes, at, 110);
            Assert.StartsWith("070701", head, StringComparison.Ordinal);
            int Field(int number) => Convert.ToInt32(head.Substring(6 + (8 * number), 8), 16);
            var content = (at + 110 + Field(11) + 3) / 4 * 4;
            read.Add((Encoding.ASCII.GetString(bytes, at + 110, Field(11) - 1), Field(1), Encoding.ASCII.GetString(bytes, content, Field(6))));
            at = (content + Field(6) + 3) / 4 * 4;
        }

        Assert.Equal([("dev", 0x41ed, ""), ("a", 0x81ed, "hello"), ("TRAILER!!!", 0, "")], read);
    }

    [Fact]
    public void Modules_come_after_what_they_need_and_none_from_elsewhere()
    {
        using var folder = new ScratchFolder();
        var library = Path.Combine(folder.Path, "lib/modules/6.1");
        foreach (var file in (string[])["a/virtio_ring.ko", "a/virtio.ko", "b/virtio_pci.ko.xz", "b/virtio_blk.ko"])
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(library, file))!);
            File.WriteAllText(Path.Combine(library, file), "x");
        }

        File.WriteAllText(Path.Combine(library, "modules.dep"), "b/virtio_pci.ko.xz: a/virtio_ring.ko a/virtio.ko ../../../etc/passwd\na/virtio_ring.ko: a/virtio.ko\na/virtio.ko:\nb/virtio_blk.ko: a/virtio.ko b/gone.ko\nrubbish\n");
        Assert.Equal(["virtio.ko", "virtio_ring.ko", "virtio_pci.ko.xz", "virtio_blk.ko"], GuestKernel.ModulesOf(new HostPaths(folder.Path), "6.1").Select(Path.GetFileName));
        Assert.Equal(HostError.Missing, Assert.Throws<HostException>(() => GuestKernel.Find(new HostPaths(folder.Path), null, null)).Error);
        Directory.CreateDirectory(Path.Combine(folder.Path, "boot"));
        File.WriteAllText(Path.Combine(folder.Path, "boot/vmlinuz-6.1"), "kernel");
        Assert.Equal(4, GuestKernel.Find(new HostPaths(folder.Path), null, null).Modules.Count);
    }
}
