using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Storage;
using KvmPortal.Engine.Vms;
using Microsoft.Data.Sqlite;

namespace KvmPortal.Engine.Tests.Storage;

/// <summary>The real engine on a file system that really is full.</summary>
[Collection(nameof(Alone))]
public sealed class DiskFullTests : IDisposable
{
    private readonly string data = Directory.CreateTempSubdirectory("kvmportal-full-").FullName;
    private readonly SmallFileSystem small;

    public DiskFullTests() => small = SmallFileSystem.At(data, "24m");

    [Fact]
    public async Task Reads_go_on_writes_are_refused_jobs_wait_and_everything_resumes()
    {
        await using var portal = await TestPortal.StartAsync(data);
        var (room, watch) = (portal.Get<StorageRoom>(), portal.Get<StorageWatch>());
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        var other = await portal.CreateAsync(TestPortal.Machine("b"));
        await using var told = portal.Get<PortalEvents>().WatchAsync(TestPortal.Ada, null, default).GetAsyncEnumerator();
        portal.SimulatedHost.HoldStep("launch-machine");
        var start = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        var stop = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Stop, new VmActionOptions(), default);
        await RunningAsync(portal, start.Id);

        small.Fill();
        var refused = await Assert.ThrowsAsync<PortalException>(async () =>
        {
            // What is left in the write-ahead log's file may take a few more.
            for (var i = 0; i < 100; i++)
                await portal.Vms.CreateAsync(TestPortal.Ada, TestPortal.Machine($"more-{i}"), false, default);
        });
        Assert.Equal(ErrorCode.DiskFull, refused.Code);
        Assert.Contains(data, refused.Message, StringComparison.Ordinal);
        Assert.NotNull(refused.Hint);
        await watch.LookAsync(default);
        Assert.Equal(StorageState.Full, room.State);
        Assert.Equal("a", (await portal.Vms.GetAsync(TestPortal.Ada, vm.Id, default)).Definition.Name);
        Assert.Equal("storage.full", await NextAsync(told, "storage.full"));

        portal.SimulatedHost.ReleaseStep("launch-machine");
        await Task.Delay(500);
        Assert.Equal(JobState.Running, (await portal.Jobs.GetAsync(TestPortal.Ada, start.Id, default)).State);
        Assert.Equal(JobState.Queued, (await portal.Jobs.GetAsync(TestPortal.Ada, stop.Id, default)).State);
        await watch.LookAsync(default);
        Assert.Equal(StorageState.Full, room.State);

        small.Empty();
        await watch.LookAsync(default);
        Assert.Equal(StorageState.Low, room.State);
        Assert.Equal(JobState.Succeeded, (await portal.EndedAsync(start.Id)).State);
        Assert.Equal(JobState.Succeeded, (await portal.EndedAsync(stop.Id)).State);
        Assert.Equal(JobState.Succeeded, (await portal.ActAsync(other.Id, VmAction.Start)).State);
        Assert.Equal("storage.room", await NextAsync(told, "storage.room"));
        var kept = await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery(100), null, default);
        Assert.Single(kept.Items, e => e.Type == "storage.full");
        Assert.Single(kept.Items, e => e.Type == "storage.room");
        Assert.Equal(kept.Items.Select(e => e.Seq), Enumerable.Range(0, kept.Items.Count).Select(i => kept.Items[0].Seq - i));
        Assert.Null(await DatabaseFile.DamageAsync(Path.Combine(data, "kvmportal.db"), default));
    }

    [Fact]
    public async Task A_portal_that_ends_while_it_is_full_goes_on_at_the_next_start()
    {
        var portal = await TestPortal.StartAsync(data);
        var vm = await portal.CreateAsync(TestPortal.Machine("a"));
        portal.SimulatedHost.HoldStep("launch-machine");
        var start = await portal.Vms.ActAsync(TestPortal.Ada, vm.Id, VmAction.Start, new VmActionOptions(), default);
        await RunningAsync(portal, start.Id);
        small.Fill();
        portal.SimulatedHost.ReleaseStep("launch-machine");
        await Task.Delay(300);
        await portal.StopAsync().WaitAsync(TimeSpan.FromSeconds(10));
        small.Empty();
        await using var again = await TestPortal.StartAsync(data, portal.SimulatedHost);
        Assert.Equal(JobState.Succeeded, (await again.EndedAsync(start.Id)).State);
    }

    [Fact]
    public async Task Nearly_full_is_said_before_it_is_too_late()
    {
        var room = new StorageRoom(new EngineOptions { DataRoot = data, WarnFreeGiB = 0, WarnFreePercent = 20 });
        Assert.Equal((StorageState.Ok, StorageState.Ok), room.Look());
        small.Fill(spare: 4 << 20);
        Assert.Equal((StorageState.Ok, StorageState.Low), room.Look());
        await room.WaitAsync(default);
        small.Fill();
        Assert.Equal((StorageState.Low, StorageState.Full), room.Look());
        var waiting = room.WaitAsync(default);
        small.Empty();
        small.Fill(spare: 300_000);
        Assert.Equal(StorageState.Full, room.Look().After);
        Assert.False(waiting.IsCompleted);
        small.Empty();
        Assert.Equal(StorageState.Ok, room.Look().After);
        await waiting;
    }

    [Fact]
    public void A_read_only_file_system_is_full_too_and_says_so()
    {
        small.ReadOnly(true);
        var room = new StorageRoom(new EngineOptions { DataRoot = data });
        Assert.Equal(StorageState.Full, room.Look().After);
        Assert.Contains("read-only", room.Full().Message, StringComparison.Ordinal);
        var written = Assert.Throws<IOException>(() => File.WriteAllText(Path.Combine(data, "x"), ""));
        Assert.Equal(ErrorCode.DiskFull, room.Refusal(written)!.Code);
        small.ReadOnly(false);
        Assert.NotEqual(StorageState.Full, room.Look().After);
    }

    [Fact]
    public void Other_failures_are_not_taken_for_a_full_disk()
    {
        var room = new StorageRoom(new EngineOptions { DataRoot = Path.GetTempPath() });
        foreach (var failure in new Exception[] { new IOException("reset by peer"), new SqliteException("locked", 5), new SqliteException("disk I/O error", 10), new InvalidOperationException() })
            Assert.Null(room.Refusal(failure));
        Assert.NotNull(room.Refusal(new InvalidOperationException("saving", new SqliteException("database or disk is full", 13))));
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        small.Dispose();
        Directory.Delete(data);
    }

    private static async Task RunningAsync(TestPortal portal, JobId id)
    {
        for (var i = 0; i < 200 && (await portal.Jobs.GetAsync(TestPortal.Ada, id, default)).Progress.Step is null; i++)
            await Task.Delay(20);
        await Task.Delay(100);
    }

    private static async Task<string> NextAsync(IAsyncEnumerator<EventOrGap> told, string type)
    {
        while (await told.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10)))
            if (told.Current.Event?.Type == type)
                return type;
        return "";
    }
}
