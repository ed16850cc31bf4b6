using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Jobs;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Storage;

/// <summary>The room on the data directory's file systems has become another state.</summary>
public sealed record StorageChanged : LiveChange;

/// <summary>Looks at the room every 10 s, and at once when a write fails; says in the event log and on the pages when it ends, and when it is back.</summary>
internal sealed class StorageWatch(StorageRoom room, LiveFeed live, PortalEvents events, TimeProvider time, ILogger<StorageWatch> logger) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, StorageState> told = [];

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            while (true)
            {
                await LookAsync(stoppingToken);
                // A failed write is told at once; then there is nothing to hurry for.
                var failed = room.State == StorageState.Full ? Task.Delay(Timeout.Infinite, stoppingToken) : room.Failed;
                await Task.WhenAny(failed, Task.Delay(Interval, time, stoppingToken));
                stoppingToken.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    /// <summary>One look.</summary>
    internal async Task LookAsync(CancellationToken ct)
    {
        try
        {
            room.Look();
        }
        catch (IOException e)
        {
            logger.LogError(e, "The room of the data directory is not known.");
            return;
        }

        var changed = false;
        for (var i = 0; i < room.Folders.Count; i++)
        {
            var folder = room.Folders[i];
            var state = i == 0 && room.State == StorageState.Full ? StorageState.Full : folder.State;
            var before = told.GetValueOrDefault(folder.Folder);
            told[folder.Folder] = state;
            if (state == before)
                continue;
            changed = true;
            live.Publish(new StorageChanged());
            await TellAsync(folder, state, before, ct);
        }

        if (changed)
            live.Publish(new StorageChanged());
    }

    private async Task TellAsync(FolderRoom folder, StorageState state, StorageState before, CancellationToken ct)
    {
        var text = state switch
        {
            StorageState.Full => StorageRoom.Said(folder),
            StorageState.Low when before == StorageState.Ok => StorageRoom.SaidLow(folder),
            _ => Say.StorageRoomAgain(folder.Folder, StorageRoom.MiB(folder.FreeBytes)),
        };
        if (state == StorageState.Full)
            logger.LogError("{Text} {Hint}", text.Text, StorageRoom.Remedy(folder).Text);
        try
        {
            await events.AppendAsync(state == StorageState.Ok || before == StorageState.Full ? "storage.room" : state == StorageState.Full ? "storage.full" : "storage.low",
                new JobTarget(TargetType.Host, HostOperations.LocalHostId, folder.Folder), "system", text, state != StorageState.Ok, new { folder.Folder, folder.FreeBytes, folder.TotalBytes, state }, ct);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            logger.LogError(e, "An event about the room on the disk could not be stored.");
        }
    }
}
