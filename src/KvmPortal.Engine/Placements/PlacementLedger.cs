using System.Globalization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Placements;

/// <summary>
/// Who holds which CPUs, pages and devices of the host, in the database. Written by compare-and-swap: a plan is recorded only on the generation that it was made from, so two
/// plans never take the same core. A reservation lives from the planning of a start to the end of its machine (or of the job, where that started none).
/// </summary>
internal sealed class PlacementLedger(PortalStore store, VmTracker tracker, TimeProvider time)
{
    private const string Key = "ledger-generation";
    // Giving back takes time on the host: nobody takes meanwhile.
    private readonly SemaphoreSlim turn = new(1, 1);

    /// <summary>As it is now, with what runs marked as running.</summary>
    public async Task<Ledger> ReadAsync(CancellationToken ct)
    {
        var (generation, rows) = await store.ReadAsync(async db => (await GenerationAsync(db, ct), await db.Reservations.OrderBy(r => r.VmId).Select(r => new { r.VmId, r.Held }).ToListAsync(ct)), ct);
        var held = new List<Reservation>(rows.Count);
        foreach (var row in rows)
            held.Add(row.Held with { Running = await tracker.HasProcessAsync(row.VmId, ct) });
        return new Ledger(generation, held);
    }

    /// <summary>Records a plan; false when the ledger has moved on since it was made.</summary>
    public async Task<bool> TryReserveAsync(PlacementPlan plan, VmId vm, CancellationToken ct)
    {
        await turn.WaitAsync(ct);
        try
        {
            return await store.WriteAsync(async db =>
            {
                if (await GenerationAsync(db, ct) != plan.LedgerGeneration)
                    return false;
                var held = plan.ToReservation();
                if (await db.Reservations.FirstOrDefaultAsync(r => r.VmId == vm, ct) is { } row)
                    (row.Held, row.Since, row.Plan) = (held, time.GetUtcNow(), plan);
                else
                    db.Reservations.Add(new ReservationRow { VmId = vm, Held = held, Since = time.GetUtcNow(), Plan = plan });
                await MoveOnAsync(db, plan.LedgerGeneration + 1, ct);
                return true;
            }, ct);
        }
        finally
        {
            turn.Release();
        }
    }

    /// <summary>Records the place of a running machine inside a transaction of its job. Throws Conflict when the ledger has moved on since the plan was made.</summary>
    /// <param name="how">The generation that it may be recorded on, null for any; and CPUs that it holds besides.</param>
    internal static async Task RecordAsync(PortalDb db, VmId vm, PlacementPlan plan, (long? Generation, CpuSet Also) how, CancellationToken ct)
    {
        var generation = await GenerationAsync(db, ct);
        if (how.Generation is { } wanted && wanted != generation)
            throw new PortalException(ErrorCode.Conflict, Say.LedgerMoves) { Hint = Say.LedgerMovesHint };
        if (await db.Reservations.FirstOrDefaultAsync(r => r.VmId == vm, ct) is not { } row)
            return;
        (row.Held, row.Plan) = (plan.ToReservation() with { Cpus = plan.Dedicated | how.Also }, plan);
        await MoveOnAsync(db, generation + 1, ct);
    }

    /// <summary>Gives back what the machine holds, unless its process runs or a job of it is under way: first what was changed on the host for it, then its line.</summary>
    /// <param name="restore">Gives one chore back on the host; false keeps the line, and what was promised with it.</param>
    /// <returns>True when something was given back.</returns>
    public async Task<bool> ReleaseIfIdleAsync(VmId vm, Func<PlacementChore, Task<bool>> restore, CancellationToken ct)
    {
        await turn.WaitAsync(ct);
        try
        {
            // In this order: a start that ended after the first look has left a process, and none can reserve before this is done.
            if (await IsBusyAsync(vm, ct) || await tracker.HasProcessAsync(vm, ct) || await LineAsync(vm, ct) is not { } line)
                return false;
            var given = true;
            foreach (var chore in PlacementChores.Of(line.Plan, vm).Reverse())
                given &= await restore(chore);
            return given && await store.WriteWithPatienceAsync(async db =>
            {
                if (await db.Reservations.FirstOrDefaultAsync(r => r.VmId == vm, ct) is not { } row)
                    return false;
                db.Reservations.Remove(row);
                await MoveOnAsync(db, await GenerationAsync(db, ct) + 1, ct);
                return true;
            }, ct);
        }
        finally
        {
            turn.Release();
        }
    }

    private Task<bool> IsBusyAsync(VmId vm, CancellationToken ct) => store.ReadAsync(db => JobStore.IsBusyAsync(db, new JobTarget(TargetType.Vm, vm.Value, ""), ct), ct);

    public Task<bool> HoldsAsync(VmId vm, CancellationToken ct) => store.ReadAsync(db => db.Reservations.AnyAsync(r => r.VmId == vm, ct), ct);

    /// <summary>All lines with their plans, which planning itself does not need.</summary>
    public Task<List<ReservationRow>> LinesAsync(CancellationToken ct) => store.ReadAsync(db => db.Reservations.AsNoTracking().OrderBy(r => r.VmId).ToListAsync(ct), ct);

    public Task<ReservationRow?> LineAsync(VmId vm, CancellationToken ct) => store.ReadAsync(db => db.Reservations.AsNoTracking().FirstOrDefaultAsync(r => r.VmId == vm, ct), ct);

    /// <summary>Who holds something, and since when.</summary>
    public Task<Dictionary<VmId, DateTimeOffset>> SinceAsync(CancellationToken ct) => store.ReadAsync(db => db.Reservations.Select(r => new { r.VmId, r.Since }).ToDictionaryAsync(r => r.VmId, r => r.Since, ct), ct);

    public Task<List<VmId>> HoldersAsync(CancellationToken ct) => store.ReadAsync(db => db.Reservations.Select(r => r.VmId).ToListAsync(ct), ct);

    private static async Task<long> GenerationAsync(PortalDb db, CancellationToken ct) =>
        long.TryParse(await db.PortalFacts.Where(f => f.Key == Key).Select(f => f.Value).FirstOrDefaultAsync(ct), NumberStyles.None, CultureInfo.InvariantCulture, out var generation) ? generation : 0;

    private static async Task MoveOnAsync(PortalDb db, long to, CancellationToken ct)
    {
        var value = to.ToString(CultureInfo.InvariantCulture);
        if (await db.PortalFacts.FirstOrDefaultAsync(f => f.Key == Key, ct) is { } row)
            row.Value = value;
        else
            db.PortalFacts.Add(new PortalFact { Key = Key, Value = value });
    }
}
