using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Hosts.Preparations;

/// <summary>Reads what planners need to know about a host and what it was set to.</summary>
internal sealed class PreparationReader(PortalStore store, IMachineHost host)
{
    public async Task<PreparationInputs> InputsAsync(PrepareHostIntent intent, CancellationToken ct)
    {
        var reading = host.ReadInventoryAsync(ct);
        var wanted = new List<WantedSetting>();
        foreach (var (id, setting) in intent.Wanted)
            wanted.Add(new WantedSetting(id, setting, SettingRules.Check(setting, "").Any() ? new SettingLook([], [], false, null) : await host.LookAtSettingAsync(setting, null, ct)));
        var own = intent.Wanted.Select(w => w.Id).ToHashSet();
        var present = (await InForceAsync(ct)).Where(p => !own.Contains(p.Id)).ToList();
        return new PreparationInputs(intent.HostId, (await host.GetFactsAsync(ct)).BootId, await reading, present, wanted, intent.Persistent, intent.Again);
    }

    public async Task<Plan> PlanRestoreAsync(PreparationId id, CancellationToken ct)
    {
        var preparation = await FindAsync(id, ct);
        return PreparationPlanner.Restore(preparation, await host.LookAtSettingAsync(preparation.Setting, id.Value, ct));
    }

    /// <summary>Throws NotFound.</summary>
    public async Task<HostPreparation> FindAsync(PreparationId id, CancellationToken ct) =>
        await store.ReadAsync(db => db.HostPreparations.FirstOrDefaultAsync(p => p.Id == id, ct), ct) ?? throw PortalException.NotFound("preparation", id.ToString());

    /// <summary>In the order in which they were made.</summary>
    public Task<List<HostPreparation>> InForceAsync(CancellationToken ct) =>
        store.ReadAsync(db => db.HostPreparations.Where(p => p.State != PreparationState.Restored).OrderBy(p => p.AppliedAt).ToListAsync(ct), ct);

    /// <summary>The newest that are no more.</summary>
    public Task<List<HostPreparation>> RestoredAsync(int most, CancellationToken ct) =>
        store.ReadAsync(db => db.HostPreparations.Where(p => p.State == PreparationState.Restored).OrderByDescending(p => p.AppliedAt).Take(most).ToListAsync(ct), ct);

    public Task<SettingLook> LookAsync(HostPreparation preparation, CancellationToken ct) => host.LookAtSettingAsync(preparation.Setting, preparation.Id.Value, ct);

    public Task<HostFacts> FactsAsync(CancellationToken ct) => host.GetFactsAsync(ct);
}
