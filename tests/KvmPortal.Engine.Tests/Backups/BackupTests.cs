using KvmPortal.Engine.Backups;

namespace KvmPortal.Engine.Tests.Backups;

public sealed class BackupTests : IDisposable
{
    private const UnixFileMode Mine = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private static readonly string Machine = Guid.NewGuid().ToString("N");
    private readonly string scratch = Directory.CreateTempSubdirectory("kvmportal-backup-").FullName;

    [Fact]
    public async Task A_backup_of_a_busy_portal_is_one_moment_and_comes_back_as_a_whole()
    {
        var file = Path.Combine(scratch, "b.tar.gz");
        var target = Path.Combine(scratch, "restored");
        await using (var portal = await TestPortal.StartAsync())
        {
            Furnish(portal.Data);
            await portal.CreateAsync(TestPortal.Machine("first"));
            using var enough = new CancellationTokenSource();
            var busy = Task.Run(async () =>
            {
                for (var i = 0; !enough.IsCancellationRequested; i++)
                    await portal.CreateAsync(TestPortal.Machine($"vm{i}"));
            });
            var made = await MakeAsync(portal.Data, file);
            await enough.CancelAsync();
            await busy;
            Assert.Equal(Mine, File.GetUnixFileMode(file));
            Assert.Equal([file], Directory.EnumerateFileSystemEntries(scratch));
            Assert.Contains(made.Files, f => f.Path == $"machines/{Machine}/tpm/tpm2-00.permall");
            Assert.DoesNotContain(made.Files, f => f.Path.StartsWith("disks/", StringComparison.Ordinal));
            Assert.Contains(made.LeftOut, l => l.What == "disks" && l.Why.Contains("--with-disks", StringComparison.Ordinal));
            Assert.Contains(made.LeftOut, l => l.What == "notes.txt");
            Assert.Contains(made.LeftOut, l => l.What.Contains("saved memory", StringComparison.Ordinal));
        }

        Directory.CreateDirectory(target);
        var restored = await RestoreAsync(file, target);
        Assert.Null(restored.MovedTo);
        Assert.Equal("variables", await File.ReadAllTextAsync(Path.Combine(target, "machines", Machine, "firmware-vars.fd")));
        Assert.Equal("<key/>", await File.ReadAllTextAsync(Path.Combine(target, "keys/key-1.xml")));
        Assert.Equal(Mine, File.GetUnixFileMode(Path.Combine(target, "kvmportal.db")));
        Assert.Equal(["bootstrap-token", "keys", "kvmportal.db", "machines"], Directory.EnumerateFileSystemEntries(target).Select(Path.GetFileName).Order());
        await using var again = await TestPortal.StartAsync(target);
        var vm = await again.Vms.GetAsync(TestPortal.Ada, await FirstAsync(again), default);
        Assert.Equal("first", vm.Definition.Name);
        Assert.All(await again.Store.ReadAsync(db => Task.FromResult(db.Disks.Select(d => d.Path).ToList()), default), p => Assert.StartsWith(target + "/", p, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Images_and_disks_come_along_when_asked_for_but_not_those_of_a_running_machine()
    {
        var data = await EmptyPortalAsync();
        var (used, free, image) = (Guid.NewGuid().ToString("N"), Guid.NewGuid().ToString("N"), Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(Path.Combine(data, "disks"));
        Directory.CreateDirectory(Path.Combine(data, "images"));
        await File.WriteAllBytesAsync(Path.Combine(data, $"disks/{used}.qcow2"), new byte[100]);
        await File.WriteAllBytesAsync(Path.Combine(data, $"images/{image}.iso"), [1, 2, 3]);
        await using (var sparse = File.Create(Path.Combine(data, $"disks/{free}.raw")))
        {
            sparse.SetLength(64 << 20);
            sparse.Position = 32 << 20;
            sparse.WriteByte(7);
        }

        BackupManifest made;
        var file = Path.Combine(scratch, "b.tar.gz");
        await using (var qemu = new FileStream(Path.Combine(data, $"disks/{used}.qcow2"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            qemu.Lock(100, 1);
            made = await MakeAsync(data, file, images: true, disks: true);
        }

        Assert.Contains(made.LeftOut, l => l.What == $"disks/{used}.qcow2" && l.Why.Contains("runs", StringComparison.Ordinal));
        var target = Directory.CreateDirectory(Path.Combine(scratch, "t")).FullName;
        await RestoreAsync(file, target);
        Assert.False(File.Exists(Path.Combine(target, $"disks/{used}.qcow2")));
        Assert.Equal([1, 2, 3], await File.ReadAllBytesAsync(Path.Combine(target, $"images/{image}.iso")));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(Path.Combine(target, $"images/{image}.iso")));
        var disk = await File.ReadAllBytesAsync(Path.Combine(target, $"disks/{free}.raw"));
        Assert.Equal((64 << 20, 7), (disk.Length, disk[32 << 20]));
        Assert.True(disk.Count(b => b != 0) == 1);
    }

    [Fact]
    public async Task What_is_there_is_replaced_with_force_only_and_moved_aside()
    {
        var data = await EmptyPortalAsync();
        var file = Path.Combine(scratch, "b.tar.gz");
        await MakeAsync(data, file);
        Directory.CreateDirectory(Path.Combine(data, "disks"));
        await File.WriteAllTextAsync(Path.Combine(data, "disks/x"), "mine");
        await File.WriteAllTextAsync(Path.Combine(data, "kvmportal.db"), "garbage");
        await File.WriteAllTextAsync(Path.Combine(data, "kvmportal.db-wal"), "old");
        var before = Snapshot(data);
        var refused = await Assert.ThrowsAsync<PortalException>(() => RestoreAsync(file, data));
        Assert.Contains("--force", refused.Message, StringComparison.Ordinal);
        Assert.Equal(before, Snapshot(data));

        var restored = await RestoreAsync(file, data, force: true);
        Assert.Equal("garbage", await File.ReadAllTextAsync(Path.Combine(restored.MovedTo!, "kvmportal.db")));
        Assert.Equal("old", await File.ReadAllTextAsync(Path.Combine(restored.MovedTo!, "kvmportal.db-wal")));
        Assert.False(File.Exists(Path.Combine(data, "kvmportal.db-wal")));
        Assert.Equal("mine", await File.ReadAllTextAsync(Path.Combine(data, "disks/x")));
        await using var again = await TestPortal.StartAsync(data);
    }

    [Fact]
    public async Task A_failure_while_old_and_new_change_places_puts_everything_back()
    {
        var data = await EmptyPortalAsync();
        Furnish(data);
        var file = Path.Combine(scratch, "b.tar.gz");
        await MakeAsync(data, file);
        // A mount point cannot be moved: the swap fails after half of it was done.
        using var mounted = SmallFileSystem.At(Path.Combine(data, "machines"), "1m");
        var before = Snapshot(data);
        var failed = await Assert.ThrowsAsync<PortalException>(() => RestoreAsync(file, data, force: true));
        Assert.Contains("is as it was", failed.Message, StringComparison.Ordinal);
        Assert.Equal(before, Snapshot(data));
    }

    [Fact]
    public async Task A_copy_of_the_database_alone_can_be_restored_too()
    {
        var data = await EmptyPortalAsync();
        var copy = Path.Combine(scratch, "copy.db");
        await Data.DatabaseFile.CopyAsync(Path.Combine(data, "kvmportal.db"), copy, default);
        await File.WriteAllTextAsync(Path.Combine(data, "kvmportal.db"), "garbage");
        var restored = await RestoreAsync(copy, data, force: true);
        Assert.Null(restored.Manifest);
        Assert.Null(await Data.DatabaseFile.DamageAsync(Path.Combine(data, "kvmportal.db"), default));

        await File.WriteAllBytesAsync(copy, [.. "SQLite format 3\0"u8, .. new byte[5000]]);
        await Assert.ThrowsAsync<PortalException>(() => RestoreAsync(copy, data, force: true));
        Assert.Null(await Data.DatabaseFile.DamageAsync(Path.Combine(data, "kvmportal.db"), default));
    }

    [Fact]
    public async Task Running_machines_stop_a_restore()
    {
        var data = await EmptyPortalAsync();
        var file = Path.Combine(scratch, "b.tar.gz");
        await MakeAsync(data, file);
        Directory.CreateDirectory(Path.Combine(data, "run", Machine));
        await using var pid = new FileStream(Path.Combine(data, "run", Machine, "pid"), FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite);
        pid.Lock(0, 1);
        var refused = await Assert.ThrowsAsync<PortalException>(() => RestoreAsync(file, data, force: true));
        Assert.Contains("1 virtual machines", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_link_in_the_folder_of_a_machine_is_not_followed()
    {
        var data = await EmptyPortalAsync();
        Furnish(data);
        var secret = Path.Combine(scratch, "secret");
        await File.WriteAllTextAsync(secret, "of somebody else");
        File.CreateSymbolicLink(Path.Combine(data, "machines", Machine, "tpm", "tpm2-01.permall"), secret);
        File.Delete(Path.Combine(data, "machines", Machine, "firmware-vars.fd"));
        File.CreateSymbolicLink(Path.Combine(data, "machines", Machine, "firmware-vars.fd"), secret);
        var made = await MakeAsync(data, Path.Combine(scratch, "b.tar.gz"));
        Assert.Equal([$"machines/{Machine}/tpm/tpm2-00.permall"], made.Files.Select(f => f.Path).Where(p => p.StartsWith("machines/", StringComparison.Ordinal)));
    }

    public void Dispose() => Directory.Delete(scratch, recursive: true);

    internal static void Furnish(string data)
    {
        void Put(string path, string text)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(data, path))!);
            File.WriteAllText(Path.Combine(data, path), text);
        }

        Put("keys/key-1.xml", "<key/>");
        Put("bootstrap-token", "token");
        Put("notes.txt", "mine");
        Put($"disks/{Machine}.qcow2", "disk");
        Put($"machines/{Machine}/firmware-vars.fd", "variables");
        Put($"machines/{Machine}/suspend.state", "memory");
        Put($"machines/{Machine}/stderr.log", "log");
        Put($"machines/{Machine}/tpm/tpm2-00.permall", "tpm");
        Put($"machines/{Machine}/tpm/.lock", "");
    }

    private static Task<Data.VmId> FirstAsync(TestPortal portal) => portal.Store.ReadAsync(db => Task.FromResult(db.Vms.Where(v => v.Name == "first").Select(v => v.Id).First()), default);

    private async Task<string> EmptyPortalAsync()
    {
        var data = Directory.CreateDirectory(Path.Combine(scratch, "data")).FullName;
        await (await TestPortal.StartAsync(data)).StopAsync();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        return data;
    }

    private static Task<BackupManifest> MakeAsync(string data, string file, bool images = false, bool disks = false) =>
        Backup.MakeAsync(new BackupRequest(data, file, images, disks, null), TimeProvider.System, default);

    private static Task<Restored> RestoreAsync(string file, string data, bool force = false) =>
        Restore.RunAsync(new RestoreRequest(file, data, Path.Combine(data, "run"), force), TimeProvider.System, default);

    private static string Snapshot(string folder) => string.Join('\n', Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        .Select(e => File.Exists(e) ? $"{e} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(e)))}" : e));
}
