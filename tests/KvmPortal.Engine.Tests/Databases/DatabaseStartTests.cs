using System.Diagnostics;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Vms;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Tests.Databases;

public sealed class DatabaseStartTests : IDisposable
{
    private readonly string data = Directory.CreateTempSubdirectory("kvmportal-start-").FullName;

    private EngineOptions Options => new() { DataRoot = data };

    private string Database => Options.DatabasePath;

    [Fact]
    public async Task A_new_database_is_made_and_the_marker_tells_how_the_portal_ended()
    {
        var start = Start();
        await start.PrepareAsync(default);
        Assert.True(File.Exists(Path.Combine(data, "running")));
        start.EndedWell();
        Assert.False(File.Exists(Path.Combine(data, "running")));
        Assert.False(Directory.Exists(Path.Combine(data, "copies")));
        await start.PrepareAsync(default);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4096)]
    [InlineData(40_000)]
    public async Task A_damaged_file_stops_the_start_with_what_to_do(int offset)
    {
        await FilledAsync(50);
        await using (var file = File.OpenWrite(Database))
        {
            file.Position = offset;
            file.Write(Enumerable.Repeat((byte)0xA5, 3000).ToArray());
        }

        var stopped = await Assert.ThrowsAsync<PortalException>(() => Start().PrepareAsync(default));
        Assert.Contains("is damaged", stopped.Message, StringComparison.Ordinal);
        Assert.Contains($"./kvmportal restore FILE --data {data} --force", stopped.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', stopped.Message);

        Directory.CreateDirectory(Path.Combine(data, "copies"));
        await File.WriteAllTextAsync(Path.Combine(data, "copies/kvmportal-20260101-000000.db"), "");
        await File.WriteAllTextAsync(Path.Combine(data, "copies/kvmportal-20260102-000000.db"), "");
        stopped = await Assert.ThrowsAsync<PortalException>(() => Start().PrepareAsync(default));
        Assert.Contains($"restore {data}/copies/kvmportal-20260102-000000.db --data {data} --force", stopped.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_copy_is_kept_before_a_migration_and_the_newest_five_only()
    {
        Directory.CreateDirectory(Path.Combine(data, "copies"));
        for (var i = 1; i <= 6; i++)
            await File.WriteAllTextAsync(Path.Combine(data, $"copies/kvmportal-2020010{i}-000000.db"), "");
        // A database of long ago: one migration only.
        await using (var db = Contexts().CreateDbContext())
            await Microsoft.EntityFrameworkCore.Infrastructure.AccessorExtensions.GetService<Microsoft.EntityFrameworkCore.Migrations.IMigrator>(db.Database).MigrateAsync(db.Database.GetMigrations().First());
        Do("INSERT INTO __EFMigrationsLock VALUES (1, '2020-01-01')");
        await Start().PrepareAsync(default).WaitAsync(TimeSpan.FromSeconds(30));
        var copies = Directory.EnumerateFiles(Path.Combine(data, "copies")).Select(Path.GetFileName).Order().ToList();
        Assert.Equal(5, copies.Count);
        Assert.DoesNotContain("kvmportal-20200102-000000.db", copies);
        var newest = Path.Combine(data, "copies", copies[^1]!);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(newest));
        Assert.Null(await DatabaseFile.DamageAsync(newest, default));
        Assert.Equal(1L, Ask("SELECT count(*) FROM __EFMigrationsHistory", newest));
    }

    [Fact]
    public async Task A_migration_that_fails_stops_the_start_and_names_the_copy()
    {
        await using (var db = Contexts().CreateDbContext())
            await Microsoft.EntityFrameworkCore.Infrastructure.AccessorExtensions.GetService<Microsoft.EntityFrameworkCore.Migrations.IMigrator>(db.Database).MigrateAsync(db.Database.GetMigrations().First());
        Do("DROP TABLE Jobs");
        var stopped = await Assert.ThrowsAsync<PortalException>(() => Start().PrepareAsync(default));
        Assert.Contains("could not be brought to this version", stopped.Message, StringComparison.Ordinal);
        Assert.Contains(Assert.Single(Directory.EnumerateFiles(Path.Combine(data, "copies"))), stopped.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_of_a_newer_portal_is_not_touched()
    {
        await FilledAsync(1);
        Do("INSERT INTO __EFMigrationsHistory VALUES ('20990101000000_Future', '99')");
        var stopped = await Assert.ThrowsAsync<PortalException>(() => Start().PrepareAsync(default));
        Assert.Contains("newer portal", stopped.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unfinished_restore_stops_the_start()
    {
        await File.WriteAllTextAsync(Path.Combine(data, "restore-unfinished"), "");
        Assert.Contains("--force", (await Assert.ThrowsAsync<PortalException>(() => Start().PrepareAsync(default))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_full_disk_is_said_at_the_start()
    {
        using var small = SmallFileSystem.At(data, "1m");
        small.Fill();
        var stopped = await Assert.ThrowsAsync<PortalException>(() => Start().PrepareAsync(default));
        Assert.Contains("make room", stopped.Message, StringComparison.Ordinal);
        SqliteConnection.ClearAllPools();
    }

    [Fact]
    public async Task Checking_the_database_of_ten_thousand_machines_takes_little()
    {
        await FilledAsync(10_000);
        var clock = Stopwatch.StartNew();
        Assert.Null(await DatabaseFile.DamageAsync(Database, default));
        TestContext.Current.SendDiagnosticMessage("quick_check of {0} MiB: {1} ms", new FileInfo(Database).Length >> 20, clock.ElapsedMilliseconds);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(3), $"{new FileInfo(Database).Length >> 20} MiB took {clock.ElapsedMilliseconds} ms");
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        Directory.Delete(data, recursive: true);
    }

    private DatabaseStart Start() => new(Contexts(), Options, TimeProvider.System);

    private Factory Contexts() => new(Database);

    private async Task FilledAsync(int vms)
    {
        await Start().PrepareAsync(default);
        await using (var db = Contexts().CreateDbContext())
        {
            for (var i = 0; i < vms; i++)
            {
                var id = VmId.New(TimeProvider.System);
                db.Vms.Add(new Vm { Id = id, Name = $"vm-{i}", Definition = TestPortal.Machine($"vm-{i}"), CreatedBy = "ada", Version = 1 });
                db.Disks.Add(new Disk { Id = DiskId.New(TimeProvider.System), VmId = id, Name = "disk0", Path = $"/data/disks/{id}.qcow2" });
                for (var j = 0; j < 5; j++)
                    db.Events.Add(EventRow.Of(new PortalEvent(i * 5 + j + 1, DateTimeOffset.UnixEpoch, "vm.state", null, "ada", false, "The state of the machine changed to another one.", null)));
            }

            await db.SaveChangesAsync();
        }

        SqliteConnection.ClearAllPools();
        Do("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    private void Do(string sql) => Ask(sql, Database);

    private static object? Ask(string sql, string path)
    {
        using var db = new SqliteConnection($"Data Source={path};Pooling=False");
        db.Open();
        using var command = db.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    private sealed class Factory(string path) : IDbContextFactory<PortalDb>
    {
        public PortalDb CreateDbContext() =>
            new(new DbContextOptionsBuilder<PortalDb>().UseSqlite($"Data Source={path}", sqlite => sqlite.MigrationsAssembly("KvmPortal.Migrations.Sqlite")).Options);
    }
}
