using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans;

/// <summary>What a change comes down to, for people to read before it is made: the QMP commands of each step, and how the command line of the next start differs.</summary>
internal static class ChangePreview
{
    public static async Task<Plan> ShowAsync(Plan plan, VmInputs inputs, IMachineHost host, VmReader reader, CancellationToken ct)
    {
        if (!inputs.HasProcess || inputs.Vm.RunningDefinition is not { } running)
            return plan;
        var (shape, plugged) = (inputs.Vm.StartedWith?.Shape, Plugged(inputs.Vm, running));
        var steps = new List<PlanStep>();
        foreach (var step in plan.Steps)
        {
            if (step.OnHost is SetMemory set && inputs.Vm.StartedWith is { } started)
                plugged = set.SizeMiB - started.MemoryMiB;
            steps.Add(step.OnHost is { } onHost ? step with { Commands = StepCommands.Of(onHost, shape, plugged) } : step);
        }

        var shown = plan with { Steps = steps };
        return plan.Effects.Any(e => e.Effect == Effect.NextBoot) ? shown with { NextBoot = await DifferenceAsync(inputs, running, host, reader, ct) } : shown;
    }

    private static int Plugged(Vm vm, VmDefinition running) => vm.StartedWith is { } started ? Math.Max(0, running.Memory.SizeMiB - started.MemoryMiB) : 0;

    /// <summary>Null where one of the two cannot be resolved now: the plan's own words say why.</summary>
    private static async Task<ArgvDifference?> DifferenceAsync(VmInputs inputs, VmDefinition running, IMachineHost host, VmReader reader, CancellationToken ct)
    {
        var wanted = inputs.Vm.Definition;
        try
        {
            var after = await host.ComposeAsync(SpecResolver.Resolve(inputs).Spec, ct);
            inputs.Vm.Definition = running;
            var before = await host.ComposeAsync(SpecResolver.Resolve(await reader.InputsAsync(inputs.Vm, ct)).Spec, ct);
            return ArgvDifference.Of(before, after);
        }
        catch (Exception e) when (e is PortalException or HostException or InvalidOperationException)
        {
            return null;
        }
        finally
        {
            inputs.Vm.Definition = wanted;
        }
    }
}
