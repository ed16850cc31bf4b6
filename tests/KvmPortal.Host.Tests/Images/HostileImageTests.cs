using System.Diagnostics;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;

namespace KvmPortal.Host.Tests.Images;

/// <summary>The first look at a file from outside: every trick is refused by its name, and what is sound passes.</summary>
public sealed class HostileImageTests
{
    public static TheoryData<string> HostileFiles => [.. ImageCorpus.Hostile.Keys];

    public static TheoryData<string> GoodFiles => [.. ImageCorpus.Good.Keys];

    [Theory]
    [MemberData(nameof(HostileFiles))]
    public void A_hostile_file_is_refused_with_the_name_of_its_trick(string name)
    {
        var (make, says) = ImageCorpus.Hostile[name];
        var refused = Assert.Throws<HostException>(() => ImageInspector.Inspect(new MemoryStream(make()), null));
        Assert.Equal(HostError.ImageRefused, refused.Error);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(refused.Message, char.IsControl);
    }

    [Theory]
    [MemberData(nameof(GoodFiles))]
    public void A_sound_file_is_recognised(string name)
    {
        var (make, kind, size) = ImageCorpus.Good[name];
        Assert.Equal(new ImageInspection(kind, size), ImageInspector.Inspect(new MemoryStream(make()), kind));
    }

    [Theory]
    [MemberData(nameof(GoodFiles))]
    public void A_declaration_that_does_not_match_is_refused(string name)
    {
        var (make, kind, _) = ImageCorpus.Good[name];
        foreach (var other in Enum.GetValues<ImageKind>().Where(k => k != kind))
        {
            var refused = Assert.Throws<HostException>(() => ImageInspector.Inspect(new MemoryStream(make()), other));
            Assert.Contains($"declared as {other.ToString().ToLowerInvariant()}", refused.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>Our idea of the format is qemu-img's: what it makes with any of its options passes.</summary>
    [Theory]
    [InlineData("compat=v3")]
    [InlineData("compat=0.10")]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=4096")]
    [InlineData("cluster_size=2M")]
    [InlineData("extended_l2=on,cluster_size=128k")]
    [InlineData("extended_l2=on,cluster_size=16k")]
    [InlineData("lazy_refcounts=on")]
    [InlineData("refcount_bits=1")]
    [InlineData("refcount_bits=64")]
    [InlineData("preallocation=metadata")]
    [InlineData("compression_type=zstd")]
    public async Task What_qemu_img_makes_is_accepted(string options)
    {
        using var folder = new Qemu.ScratchFolder();
        await Tools.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, folder.In("a"), "100M");
        await Tools.RunAsync("qemu-io", "-f", "qcow2", "-c", "write -P 7 90M 3M", folder.In("a"));
        await using var file = File.OpenRead(folder.In("a"));
        Assert.Equal(new ImageInspection(ImageKind.Qcow2, 100 << 20), ImageInspector.Inspect(file, ImageKind.Qcow2));
    }

    [Fact]
    public async Task What_qemu_img_makes_and_is_cut_off_is_refused()
    {
        using var folder = new Qemu.ScratchFolder();
        await Tools.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", folder.In("a"), "10G");
        for (var gib = 0; gib < 8; gib++)
            await Tools.RunAsync("qemu-io", "-f", "qcow2", "-c", $"write -P 7 {gib}G 1M", folder.In("a"));
        await using var file = new FileStream(folder.In("a"), FileMode.Open);
        ImageInspector.Inspect(file, null);
        foreach (var share in (double[])[0.8, 0.5, 0.2, 0.01])
        {
            file.SetLength((long)(file.Length * share) & ~511);
            Assert.Contains("outside of the file", Assert.Throws<HostException>(() => ImageInspector.Inspect(file, null)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task An_overlay_and_an_external_data_file_of_qemu_img_are_refused()
    {
        using var folder = new Qemu.ScratchFolder();
        await Tools.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", folder.In("overlay"), "1G");
        await Tools.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", $"data_file={folder.In("data")}", folder.In("external"), "1G");
        await using var overlay = File.OpenRead(folder.In("overlay"));
        await using var external = File.OpenRead(folder.In("external"));
        Assert.Contains("backing file (/etc/shadow)", Assert.Throws<HostException>(() => ImageInspector.Inspect(overlay, null)).Message, StringComparison.Ordinal);
        Assert.Contains("external data file", Assert.Throws<HostException>(() => ImageInspector.Inspect(external, null)).Message, StringComparison.Ordinal);
    }

    /// <summary>The work depends on the headers, not on the size: a file of 10 TiB costs a few KiB.</summary>
    [Fact]
    public void A_huge_sparse_file_is_not_read()
    {
        using var folder = new Qemu.ScratchFolder();
        using var file = new FileStream(folder.In("huge"), FileMode.Create, FileAccess.ReadWrite);
        file.SetLength(10L << 40);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var watch = Stopwatch.StartNew();
        Assert.Equal(new ImageInspection(ImageKind.Raw, 10L << 40), ImageInspector.Inspect(file, ImageKind.Raw));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 10);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(1), $"It took {watch.Elapsed}.");
    }

    /// <summary>Whatever the bytes: an answer or a refusal, soon, and reads that stay in bounds.</summary>
    [Fact]
    public void Random_changes_never_break_the_parser()
    {
        var seeds = ImageCorpus.Hostile.Values.Select(h => h.Make()).Concat(ImageCorpus.Good.Values.Select(g => g.Make())).ToArray();
        var random = new Random(20);
        var watch = Stopwatch.StartNew();
        var accepted = 0;
        for (var run = 0; run < 10_000; run++)
        {
            var seed = seeds[random.Next(seeds.Length)];
            var file = seed.AsSpan(0, random.Next(4) == 0 ? random.Next(seed.Length + 1) : seed.Length).ToArray();
            for (var changes = random.Next(1, 8); changes > 0 && file.Length > 0; changes--)
                Change(random, file);
            try
            {
                var found = ImageInspector.Inspect(new MemoryStream(file), null);
                Assert.InRange(found.VirtualSizeBytes, 1, 64L << 40);
                accepted++;
            }
            catch (HostException e) when (e.Error == HostError.ImageRefused)
            {
                Assert.NotEmpty(e.Message);
            }
        }

        Assert.InRange(accepted, 100, 9_900);
        Assert.True(watch.Elapsed < TimeSpan.FromMinutes(1), $"It took {watch.Elapsed}.");
    }

    /// <summary>Mostly in the header, where it hurts; often with values at the edges.</summary>
    private static void Change(Random random, byte[] file)
    {
        var at = random.Next(Math.Min(file.Length, random.Next(3) == 0 ? file.Length : 160));
        var bytes = file.AsSpan(at, Math.Min(random.Next(1, 9), file.Length - at));
        switch (random.Next(4))
        {
            case 0:
                bytes.Fill(0xFF);
                break;
            case 1:
                bytes.Clear();
                break;
            case 2:
                bytes[0] ^= (byte)(1 << random.Next(8));
                break;
            default:
                random.NextBytes(bytes);
                break;
        }
    }
}
