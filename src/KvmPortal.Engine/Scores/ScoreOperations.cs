using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Scores;

/// <summary>How near machines are to bare metal; both doors call it.</summary>
public sealed class ScoreOperations
{
    private readonly VmReader reader;
    private readonly PlacementReader placements;
    private readonly IMachineHost host;

    internal ScoreOperations(VmReader reader, PlacementReader placements, IMachineHost host) => (this.reader, this.placements, this.host) = (reader, placements, host);

    /// <summary>Read from the running machine, or as it would start now. Throws NotFound.</summary>
    public async Task<ScoreReport> ScoreAsync(Caller caller, VmId id, CancellationToken ct) => BareMetalScore.Of(await InputAsync(id, ct));

    internal async Task<ScoreInput> InputAsync(VmId id, CancellationToken ct)
    {
        var inputs = await reader.InputsAsync(id, ct);
        if (inputs.HasProcess && inputs.Vm.RunningDefinition is { } running)
        {
            // What runs is told, not what waits for the next boot.
            inputs.Vm.Definition = running;
            inputs = await reader.InputsAsync(inputs.Vm, ct);
        }

        var (resolved, refused) = Resolve(inputs);
        var report = inputs.HasProcess ? await InspectAsync(id, ct) : null;
        var spec = resolved?.Spec;
        var accelerator = (inputs.HasProcess ? inputs.Status.Accelerator : null) ?? spec?.Accelerator ?? (inputs.Facts.Kvm.Verdict == KvmVerdict.Works && inputs.Definition.Accelerator != AcceleratorChoice.Tcg ? Accelerator.Kvm : Accelerator.Tcg);
        var placement = report is null ? spec?.Placement : report.Placement;
        if (spec is not null)
            spec = spec with { Accelerator = accelerator, Placement = placement };
        return new ScoreInput
        {
            Definition = inputs.Definition,
            Accelerator = accelerator,
            Running = inputs.HasProcess,
            Spec = spec,
            Argv = spec is null ? [] : await ArgvAsync(spec, ct),
            Placement = placement,
            Refused = placement is null ? refused ?? await RefusalAsync(id, inputs, ct) : null,
            Report = report,
            Confinement = inputs.HasProcess ? inputs.Vm.Confinement : null,
            Host = await host.ReadInventoryAsync(ct),
            Facts = inputs.Facts,
        };
    }

    private static (ResolvedSpec? Spec, Sentence? Refused) Resolve(VmInputs inputs)
    {
        // A disk that was taken out of the definition of a running machine has no row any more.
        if (inputs.Definition.Disks.Any(d => !d.Cdrom && inputs.Vm.Disks.All(row => row.Name != d.Name)))
            return (null, null);
        try
        {
            return (SpecResolver.Resolve(inputs), null);
        }
        catch (PortalException e)
        {
            return (null, (inputs.Placement as PlacementRefusal)?.Message ?? (e.Problems.Count > 0 ? e.Problems[0].Message : e.Said));
        }
    }

    /// <summary>Whether an ordinary machine could have a place of its own at all.</summary>
    private async Task<Sentence?> RefusalAsync(VmId id, VmInputs inputs, CancellationToken ct) =>
        (await placements.PlanAsync(id, inputs.Definition with { Profile = Profiles.Hpc.Name }, Profiles.Hpc, inputs.Facts, ct) as PlacementRefusal)?.Message;

    private async Task<PlacementReport?> InspectAsync(VmId id, CancellationToken ct)
    {
        try
        {
            return await host.InspectPlacementAsync(id.Value, ct);
        }
        catch (HostException e) when (e.Error == HostError.NotRunning)
        {
            return null;
        }
    }

    private async Task<IReadOnlyList<string>> ArgvAsync(MachineSpec spec, CancellationToken ct)
    {
        try
        {
            return await host.ComposeAsync(spec, ct);
        }
        catch (HostException)
        {
            // Nothing is known of the command line; the rows say so by what they do not find.
            return [];
        }
    }
}
