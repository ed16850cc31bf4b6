using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Hosts;

/// <summary>One fact about the portal itself that outlives its process.</summary>
internal sealed class PortalFact
{
    public required string Key { get; set; }
    public required string Value { get; set; }
}

/// <summary>Remembers on which boot of the host the portal ran last, and readies what older versions stored.</summary>
internal sealed class HostBoot(PortalStore store, IMachineHost host, EngineOptions options, TimeProvider time)
{
    private const string Key = "host-boot-id";
    private readonly TaskCompletionSource<bool> rebooted = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether the host was booted since the portal ran last; completes once the host has been asked.</summary>
    public Task<bool> Rebooted => rebooted.Task;

    /// <summary>Completes when the host is set up again as it was before the boot, or that has failed: machines that start by themselves wait for it.</summary>
    public TaskCompletionSource Prepared { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Asks the host and writes down its answer; the first answer of this process is the one that counts.</summary>
    public async Task<bool> NoteAsync(CancellationToken ct)
    {
        if (rebooted.Task.IsCompleted)
            return await rebooted.Task;
        var id = (await host.GetFactsAsync(ct)).BootId;
        var changed = await store.WriteAsync(async db =>
        {
            foreach (var vm in await db.Vms.Where(v => v.Uid == null).ToListAsync(ct))
            {
                vm.Uid = await MachineUids.TakeAsync(db, vm.Id, options, time.GetUtcNow(), ct);
                await db.SaveChangesAsync(ct);
            }

            var row = await db.PortalFacts.FirstOrDefaultAsync(f => f.Key == Key, ct);
            var was = row?.Value;
            if (row is null)
                db.PortalFacts.Add(new PortalFact { Key = Key, Value = id });
            else
                row.Value = id;
            return was is not null && was != id;
        }, ct);
        rebooted.TrySetResult(changed);
        return changed;
    }
}
