using System.Globalization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;

namespace KvmPortal.Engine.Hosts;

/// <summary>
/// Fills an empty portal with N machines for UI work and scale (`run --simulated N`), and gives the simulated host, which remembers nothing, the
/// machines back that ran before a restart. Some machines are named so that the simulated host fails them on purpose.
/// </summary>
internal sealed class SimulatedFleet(PortalStore store, VmTracker tracker, (VmReader Reader, PlacementLedger Ledger) placed, IMachineHost host, EngineOptions options) : BackgroundService
{
    private static readonly string[] Roles = ["web", "db", "cache", "build", "mail", "queue", "gpu", "edge"];
    private static readonly string[] Stages = ["prod", "qa", "dev"];
    // The host has room for a few machines with CPUs of their own.
    private const int MostPlaced = 60;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            await tracker.LoadAsync(stoppingToken);
            if ((await tracker.AllAsync(stoppingToken)).Length == 0)
                await MakeAsync(options.Simulated ?? 0, stoppingToken);
            foreach (var vm in await store.ReadAsync(db => db.Vms.Where(v => v.RunningDefinition != null).Select(v => v.Id).ToListAsync(stoppingToken), stoppingToken))
                await LaunchAsync(vm, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    private async Task MakeAsync(int count, CancellationToken ct)
    {
        var facts = await host.GetFactsAsync(ct);
        var none = new Dictionary<string, Image>();
        foreach (var batch in Enumerable.Range(1, count).Chunk(500))
        {
            var made = batch.Select(i => Machine(i, facts, none)).ToList();
            await store.WriteAsync(db =>
            {
                db.ChangeTracker.AutoDetectChangesEnabled = false;
                db.Vms.AddRange(made);
                return Task.CompletedTask;
            }, ct);
            foreach (var vm in made)
                tracker.Put(vm);
        }
    }

    private static Vm Machine(int i, HostFacts facts, Dictionary<string, Image> none)
    {
        var role = Roles[i % Roles.Length];
        var trouble = (i % 97) switch { 13 => "-fail-start", 29 => "-ignore-shutdown", 53 => "-crash-90s", _ => "" };
        var definition = new VmDefinition
        {
            Name = string.Create(CultureInfo.InvariantCulture, $"{role}-{i:00000}{trouble}"),
            Tags = [Stages[i % Stages.Length], role],
            Profile = ProfileOf(i),
            Cpu = new CpuDefinition { Count = 1 << (i % 4) },
            Memory = new MemoryDefinition { SizeMiB = 512 << (i % 5) },
            Disks = [new DiskDefinition { Name = "disk0", SizeGiB = 10 + (i % 9 * 10) }],
            Nics = [new NicDefinition { Name = "net0" }],
        };
        var vm = VmRows.New(VmId.New(TimeProvider.System), definition, "demo", TimeProvider.System.GetUtcNow(), facts.Folders, none, TimeProvider.System);
        // Two of three run; what fails on purpose waits for somebody to try.
        vm.RunningDefinition = i % 3 != 0 && trouble != "-fail-start" ? vm.Definition : null;
        return vm;
    }

    // Two machines of the bare-metal class even in a small fleet, so that there is something to see.
    private static string ProfileOf(int i) => i switch { 2 => "hpc", 7 => "low-latency", _ => Profiles.BuiltIn[i % 11 == 0 && i < MostPlaced ? i % Profiles.BuiltIn.Count : 0].Name };

    private async Task LaunchAsync(VmId id, CancellationToken ct)
    {
        var inputs = await placed.Reader.InputsAsync(id, ct);
        if (inputs.Placement is PlacementRefusal || inputs.Placement is PlacementPlan plan && !await placed.Ledger.TryReserveAsync(plan, id, ct))
        {
            // The host is full, as hosts are.
            await store.WriteAsync(db => db.Vms.Where(v => v.Id == id).ExecuteUpdateAsync(set => set.SetProperty(v => v.RunningDefinition, (VmDefinition?)null), ct), ct);
            return;
        }

        foreach (var step in StartPlanner.Plan(inputs).Steps)
        {
            if (step.OnHost is { } onHost)
                await foreach (var _ in host.ApplyAsync(onHost, ct))
                {
                    // Nobody reads the log of a fleet that is made at once.
                }
            else if (step.InPortal is RecordDiskReady ready)
                await store.WriteAsync(db => db.Disks.Where(d => d.Id == ready.DiskId).ExecuteUpdateAsync(set => set.SetProperty(d => d.Ready, true), ct), ct);
        }
    }
}
