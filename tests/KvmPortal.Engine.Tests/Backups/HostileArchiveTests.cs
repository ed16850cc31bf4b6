using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using KvmPortal.Engine.Backups;
using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Tests.Backups;

/// <summary>Archives that somebody made to do harm: each is refused, and the directory stays as it was.</summary>
public sealed class HostileArchiveTests : IDisposable
{
    private readonly string scratch = Directory.CreateTempSubdirectory("kvmportal-hostile-").FullName;
    private readonly string target;
    private readonly byte[] database;

    public HostileArchiveTests()
    {
        target = Directory.CreateDirectory(Path.Combine(scratch, "target")).FullName;
        var made = Path.Combine(scratch, "made.db");
        using (var db = new Microsoft.Data.Sqlite.SqliteConnection($"Data Source={made};Pooling=False"))
        {
            db.Open();
            using var command = db.CreateCommand();
            command.CommandText = "CREATE TABLE __EFMigrationsHistory (a); CREATE TABLE Jobs (a); CREATE TABLE Vms (SuspendPath); CREATE TABLE Disks (Path); CREATE TABLE Images (Path)";
            command.ExecuteNonQuery();
        }

        database = File.ReadAllBytes(made);
        File.Delete(made);
    }

    [Fact]
    public async Task The_honest_one_passes()
    {
        var archive = Archive([("kvmportal.db", database)]);
        await RestoreAsync(archive);
        Assert.True(File.Exists(Path.Combine(target, "kvmportal.db")));
    }

    [Theory]
    [InlineData("../evil")]
    [InlineData("/etc/cron.d/evil")]
    [InlineData("keys/../../evil")]
    [InlineData("keys/./x")]
    [InlineData("keys//x")]
    [InlineData("keys/..")]
    [InlineData("keys/x/y")]
    [InlineData("lock")]
    [InlineData("restore-unfinished")]
    [InlineData("machines/0123456789abcdef0123456789abcdef/qmp")]
    [InlineData("disks/a.sh")]
    [InlineData("kvmportal.db\n")]
    [InlineData("kvmportal.db-wal")]
    public Task Names_that_a_backup_does_not_have_are_refused(string name) => RefusedAsync(Archive([("kvmportal.db", database), (name, [1])]));

    [Theory]
    [InlineData(TarEntryType.SymbolicLink)]
    [InlineData(TarEntryType.HardLink)]
    [InlineData(TarEntryType.Directory)]
    [InlineData(TarEntryType.Fifo)]
    [InlineData(TarEntryType.CharacterDevice)]
    public Task Only_regular_files_are_taken(TarEntryType type) => RefusedAsync(Archive([("kvmportal.db", database)], tar =>
    {
        var entry = new PaxTarEntry(type, "keys/x");
        if (type is TarEntryType.SymbolicLink or TarEntryType.HardLink)
            entry.LinkName = "/etc/passwd";
        tar.WriteEntry(entry);
    }));

    [Fact]
    public Task A_changed_byte_is_refused() => RefusedAsync(Archive([("kvmportal.db", database), ("keys/a", "key"u8.ToArray())], change: m => m.Replace(Digest("key"u8.ToArray()), Digest("kex"u8.ToArray()), StringComparison.Ordinal)));

    [Fact]
    public Task Two_of_a_name_are_refused() => RefusedAsync(Archive([("kvmportal.db", database), ("keys/a", [1]), ("keys/a", [1])]));

    [Fact]
    public Task What_is_not_in_the_manifest_is_refused() => RefusedAsync(Archive([("kvmportal.db", database)], tar => tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "keys/extra") { DataStream = new MemoryStream([1]) })));

    [Fact]
    public Task What_the_manifest_promises_must_be_there() => RefusedAsync(Archive([("kvmportal.db", database), ("keys/a", [1])], skip: "keys/a"));

    [Fact]
    public Task A_database_is_needed() => RefusedAsync(Archive([("keys/a", [1])]));

    [Fact]
    public Task A_damaged_database_is_refused() => RefusedAsync(Archive([("kvmportal.db", [.. database[..4096], .. new byte[database.Length - 4096]])]));

    [Fact]
    public async Task A_newer_format_names_itself() => Assert.Contains("format is 7", await RefusedAsync(Archive([("kvmportal.db", database)], change: m => m.Replace("\"format\":1", "\"format\":7,\"new\":{}", StringComparison.Ordinal))), StringComparison.Ordinal);

    [Fact]
    public Task A_manifest_of_any_size_is_not_read() => RefusedAsync(Archive([("kvmportal.db", database)], change: m => m + new string(' ', 70 << 20)));

    [Fact]
    public async Task Every_cut_is_noticed()
    {
        var whole = await File.ReadAllBytesAsync(Archive([("kvmportal.db", database), ("keys/a", RandomNumberGenerator.GetBytes(5000))]));
        var cut = Path.Combine(scratch, "cut.tar.gz");
        // The last few bytes are only the padding of tar and gzip's own sum: all that was promised is there without them.
        for (var length = 0; length < whole.Length - 64; length += Math.Max(1, whole.Length / 40))
        {
            await File.WriteAllBytesAsync(cut, whole[..length]);
            await RefusedAsync(cut);
        }
    }

    [Fact]
    public async Task Noise_is_refused()
    {
        var noise = Path.Combine(scratch, "noise");
        var random = new Random(7);
        for (var i = 0; i < 50; i++)
        {
            var bytes = new byte[random.Next(3000)];
            random.NextBytes(bytes);
            if (i % 2 == 0 && bytes.Length > 2)
                (bytes[0], bytes[1], bytes[2]) = (0x1f, 0x8b, 8);
            await File.WriteAllBytesAsync(noise, bytes);
            await RefusedAsync(noise);
        }
    }

    public void Dispose() => Directory.Delete(scratch, recursive: true);

    private string Archive((string Name, byte[] Content)[] files, Action<TarWriter>? more = null, Func<string, string>? change = null, string? skip = null)
    {
        var path = Path.Combine(scratch, $"{Guid.NewGuid():N}.tar.gz");
        using var file = File.Create(path);
        using var gzip = new GZipStream(file, CompressionLevel.Fastest);
        using var tar = new TarWriter(gzip, TarEntryFormat.Pax);
        foreach (var (name, content) in files.Where(f => f.Name != skip))
            tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(content) });
        more?.Invoke(tar);
        var manifest = JsonSerializer.Serialize(new BackupManifest(1, "0", "/data", default, [.. files.Select(f => new BackupFile(f.Name, f.Content.Length, Digest(f.Content)))], []), PortalJson.Options);
        tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "manifest.json") { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(change?.Invoke(manifest) ?? manifest)) });
        return path;
    }

    private static string Digest(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    private Task<Restored> RestoreAsync(string archive) => Restore.RunAsync(new RestoreRequest(archive, target, Path.Combine(scratch, "run"), false), TimeProvider.System, default);

    private async Task<string> RefusedAsync(string archive)
    {
        var around = Directory.EnumerateFileSystemEntries(scratch).Count();
        var refused = await Assert.ThrowsAsync<PortalException>(() => RestoreAsync(archive));
        Assert.Empty(Directory.EnumerateFileSystemEntries(target));
        Assert.Equal(around, Directory.EnumerateFileSystemEntries(scratch).Count());
        return refused.Message;
    }
}
