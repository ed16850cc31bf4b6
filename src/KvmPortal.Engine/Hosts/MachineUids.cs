using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Hosts;

/// <summary>A user id of the reserved range: whose it is, or since when it rests.</summary>
internal sealed class MachineUid
{
    public int Uid { get; set; }
    public VmId? VmId { get; set; }
    public DateTimeOffset? FreedAt { get; set; }
}

/// <summary>
/// Gives each VM a user id of its own for its processes and files on the host. After a delete the id rests, so that a file or process that was overlooked never
/// belongs to another machine.
/// </summary>
internal static class MachineUids
{
    public static readonly TimeSpan Quarantine = TimeSpan.FromDays(7);

    /// <summary>Takes an id within the caller's transaction; null when the setting turns them off. Throws Conflict when the range is used up.</summary>
    public static async Task<int?> TakeAsync(PortalDb db, VmId vm, EngineOptions options, DateTimeOffset now, CancellationToken ct)
    {
        if (options.MachineUids is not var (first, last))
            return null;
        var highest = await db.MachineUids.Where(u => u.Uid >= first && u.Uid <= last).MaxAsync(u => (int?)u.Uid, ct);
        if (highest is null || highest < last)
        {
            var fresh = new MachineUid { Uid = (highest ?? first - 1) + 1, VmId = vm };
            db.MachineUids.Add(fresh);
            return fresh.Uid;
        }

        var rested = now - Quarantine;
        var old = await db.MachineUids.Where(u => u.Uid >= first && u.Uid <= last && u.VmId == null && u.FreedAt < rested).OrderBy(u => u.FreedAt).FirstOrDefaultAsync(ct)
            ?? throw new PortalException(ErrorCode.Conflict, Say.UidsUsedUp($"{first}-{last}")) { Hint = Say.WidenUids };
        (old.VmId, old.FreedAt) = (vm, null);
        return old.Uid;
    }

    /// <summary>Gives a deleted VM's id back; it rests first.</summary>
    public static Task FreeAsync(PortalDb db, VmId vm, DateTimeOffset now, CancellationToken ct) =>
        db.MachineUids.Where(u => u.VmId == vm).ExecuteUpdateAsync(set => set.SetProperty(u => u.VmId, (VmId?)null).SetProperty(u => u.FreedAt, now), ct);
}
