using System.Text.Json;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>Saved state fits only into the hardware that it was saved from: how many vCPUs and how much memory there were stands beside it, whatever the definition says by then.</summary>
internal sealed record SavedHardware(CpuSpec Cpu, MemorySpec Memory)
{
    public static void Write(string statePath, MachineSpec spec) => File.WriteAllText(PathOf(statePath), JsonSerializer.Serialize(new SavedHardware(spec.Cpu, spec.Memory)));

    /// <summary>The spec with the hardware of its saved state; unchanged where there is none, or none that can be read.</summary>
    public static MachineSpec Restore(MachineSpec spec)
    {
        if (spec.RestoreFrom is not { } state)
            return spec;
        try
        {
            return JsonSerializer.Deserialize<SavedHardware>(File.ReadAllText(PathOf(state))) is { Cpu: { } cpu, Memory: { } memory } ? spec with { Cpu = cpu, Memory = memory } : spec;
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return spec;
        }
    }

    /// <summary>Removes saved state with what stands beside it.</summary>
    public static void Delete(string statePath)
    {
        File.Delete(statePath);
        File.Delete(PathOf(statePath));
    }

    private static string PathOf(string statePath) => statePath + ".hardware";
}
