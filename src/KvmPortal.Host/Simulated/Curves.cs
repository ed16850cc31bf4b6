using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>
/// Load curves that are pure functions of a machine's id and uptime: a daily wave, a wave of minutes and one of seconds. Counters are their
/// integrals, so they never fall and nothing need be remembered between samples.
/// </summary>
internal static class Curves
{
    private static readonly double[] Periods = [86_400, 613, 47];

    public static MachineSample Sample(SimulatedMachine machine, int seed, DateTimeOffset now)
    {
        var seconds = machine.Uptime(now).TotalSeconds;
        var salt = Salt(machine.Id, seed);
        var virtualCpus = new long[machine.Spec.Cpu.Count];
        for (var cpu = 0; cpu < virtualCpus.Length; cpu++)
            virtualCpus[cpu] = (long)(Integral(salt + (uint)cpu, seconds) * 1e9);
        var disk = Integral(salt ^ 0x5bd1e995, seconds);
        var memory = (machine.Spec.Memory.SizeMiB + machine.Spec.Memory.PluggedMiB) * 1024L * 1024;
        return new MachineSample
        {
            MachineId = machine.Id,
            CpuNanoseconds = (long)(virtualCpus.Sum() * 1.04),
            VcpuNanoseconds = virtualCpus,
            RssBytes = (long)(Math.Min(memory, machine.BalloonMiB * 1048576L) * (0.3 + (0.5 * (1 - Math.Exp(-seconds / 120))))),
            BalloonBytes = machine.Spec.Balloon ? machine.BalloonMiB * 1048576L : null,
            DiskReadBytes = (long)(disk * 640 * 4096),
            DiskWriteBytes = (long)(disk * 260 * 4096),
            DiskReadOperations = (long)(disk * 80),
            DiskWriteOperations = (long)(disk * 60),
        };
    }

    /// <summary>Busy CPUs of a running machine now.</summary>
    public static double BusyCpus(SimulatedMachine machine, int seed, DateTimeOffset now) =>
        machine.State == MachineRunState.Running
            ? machine.Spec.Cpu.Count * Rate(Salt(machine.Id, seed), machine.Uptime(now).TotalSeconds) : 0;

    public static uint Salt(Guid id, int seed)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes);
        var hash = unchecked(2166136261u ^ (uint)seed);
        foreach (var one in bytes)
            hash = unchecked((hash ^ one) * 16777619);
        return hash;
    }

    /// <summary>Share 0.02..0.9 of one CPU.</summary>
    private static double Rate(uint salt, double seconds)
    {
        var (floor, height) = Shape(salt);
        var sum = floor;
        for (var wave = 0; wave < Periods.Length; wave++)
            sum += height * (1 + Math.Sin((Math.Tau * seconds / Periods[wave]) + Phase(salt, wave)));
        return sum;
    }

    private static double Integral(uint salt, double seconds)
    {
        var (floor, height) = Shape(salt);
        var sum = floor * seconds;
        for (var wave = 0; wave < Periods.Length; wave++)
        {
            var phase = Phase(salt, wave);
            sum += height * (seconds + (Periods[wave] / Math.Tau
                * (Math.Cos(phase) - Math.Cos((Math.Tau * seconds / Periods[wave]) + phase))));
        }
        return sum;
    }

    private static (double Floor, double Height) Shape(uint salt) => (0.02 + (salt % 97 / 97.0 * 0.1), 0.01 + (salt % 89 / 89.0 * 0.12));

    private static double Phase(uint salt, int wave) => ((salt >> (wave * 7)) & 1023) / 1023.0 * Math.Tau;
}
