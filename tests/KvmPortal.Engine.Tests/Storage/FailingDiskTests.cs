using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Storage;
using KvmPortal.Engine.Vms;
using Microsoft.Data.Sqlite;

namespace KvmPortal.Engine.Tests.Storage;

/// <summary>The data directory's file system turns read-only under a running portal.</summary>
[Collection(nameof(Alone))]
public sealed class FailingDiskTests : IDisposable
{
    private readonly string data = Directory.CreateTempSubdirectory("kvmportal-failing-").FullName;
    private readonly FailingFileSystem disk;

    public FailingDiskTests() => disk = new FailingFileSystem(data);

    [Fact]
    public async Task Reads_go_on_writes_say_why_not_and_after_the_repair_everything_is_finished()
    {
        var portal = await TestPortal.StartAsync(data);
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        portal.SimulatedHost.HoldStep("launch-machine");
        var start = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        for (var i = 0; i < 400 && (await portal.Jobs.GetAsync(TestPortal.Ada, start.Id, default)).Progress.Step is null; i++)
            await Task.Delay(25);

        disk.GiveUp();
        for (var i = 0; i < 3; i++)
        {
            var refused = await Assert.ThrowsAsync<PortalException>(() => portal.Vms.CreateAsync(TestPortal.Ada, TestPortal.Machine($"more-{i}"), false, default));
            Assert.Equal(ErrorCode.DiskFull, refused.Code);
            Assert.Equal($"The file system of {data} is read-only.", refused.Message);
            Assert.NotNull(refused.Hint);
        }

        await portal.Get<StorageWatch>().LookAsync(default);
        Assert.Equal(StorageState.Full, portal.Get<StorageRoom>().State);
        Assert.True(portal.Get<StorageRoom>().Folders[0].ReadOnly);
        portal.SimulatedHost.ReleaseStep("launch-machine");
        await Task.Delay(500);
        Assert.Equal("a", (await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).Definition.Name);
        Assert.Equal(["a"], (await portal.Vms.ListAsync(TestPortal.Ada, new ListQuery(10), default)).Items.Select(v => v.Name));
        Assert.Equal(JobState.Running, (await portal.Jobs.GetAsync(TestPortal.Ada, start.Id, default)).State);

        await portal.StopAsync().WaitAsync(TimeSpan.FromSeconds(30));
        SqliteConnection.ClearAllPools();
        disk.Repair();
        await using var again = await TestPortal.StartAsync(data, portal.SimulatedHost);
        Assert.Equal(JobState.Succeeded, (await again.EndedAsync(start.Id)).State);
        Assert.Equal(JobState.Succeeded, (await again.ActAsync(vm.Id, VmAction.Stop)).State);
        Assert.Null(await DatabaseFile.DamageAsync(Path.Combine(data, "kvmportal.db"), default));
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        disk.Dispose();
        Directory.Delete(data, recursive: true);
    }
}
